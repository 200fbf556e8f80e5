"""Where in a definition's file something is said, for messages. TOML readers keep no lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

TABLES = ("row", "grid")
START = rf"\s*\[\[\s*({'|'.join(TABLES)})\s*\]\]"


@dataclass(frozen=True)
class Lines:
    """The lines of a file, as `FILE:LINE:`; its `[[row]]` or `[[grid]]` tables by their number, from 0."""

    path: Path

    def of(self, text: str, table: int | None = None) -> str:
        """The line that holds a text, in the table of that number or before all tables."""
        return self._where(lambda line: f'"{text}"' in line or f"'{text}'" in line, table)

    def at(self, loc: Sequence[str | int]) -> str:
        """The line of a field as pydantic locates it."""
        table = int(loc[1]) if len(loc) > 1 and loc[0] in TABLES else None
        field = str(loc[2] if table is not None and len(loc) > 2 else loc[0] if loc else "title")
        return self._where(lambda line: bool(re.match(rf"\s*(\[\[\s*)?{re.escape(field)}\b", line)), table)

    def _where(self, found: Callable[[str], bool], table: int | None) -> str:
        lines = self.path.read_text(encoding="utf-8").splitlines()
        starts = [number for number, line in enumerate(lines) if re.match(START, line)]
        first = starts[table] if table is not None and table < len(starts) else 0  # tables may be written in other ways
        number = next((n for n in range(first, len(lines)) if found(lines[n])), first)
        return f"{self.path}:{number + 1}:"
