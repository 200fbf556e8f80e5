"""Finds the line of a definition's file that an error message should name; TOML readers do not keep lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

TABLES = ("row", "grid")
START = rf"\s*\[\[\s*({'|'.join(TABLES)})\s*\]\]"


@dataclass(frozen=True)
class Lines:
    """The lines of a TOML file, given as `FILE:LINE:`. Its `[[row]]` or `[[grid]]` tables are numbered from 0."""

    path: Path

    def of(self, text: str, table: int | None = None) -> str:
        """Returns the first line with this text in quotes, searching from the table of that number or from the top."""
        return self._where(lambda line: f'"{text}"' in line or f"'{text}'" in line, table)

    def at(self, loc: Sequence[str | int]) -> str:
        """Returns the line of a field, which is given as pydantic locates it, for example `("row", 0, "name")`."""
        table = int(loc[1]) if len(loc) > 1 and loc[0] in TABLES else None
        field = str(loc[2] if table is not None and len(loc) > 2 else loc[0] if loc else "title")
        return self._where(lambda line: bool(re.match(rf"\s*(\[\[\s*)?{re.escape(field)}\b", line)), table)

    def _where(self, matches: Callable[[str], bool], table: int | None) -> str:
        lines = self.path.read_text(encoding="utf-8").splitlines()
        starts = [number for number, line in enumerate(lines) if re.match(START, line)]
        first = starts[table] if table is not None and table < len(starts) else 0  # inline tables are not found
        number = next((n for n in range(first, len(lines)) if matches(lines[n])), first)
        return f"{self.path}:{number + 1}:"
