"""What an experiment is: `registry/experiments/*.toml`, or a file of the user's own."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mitobench import discovery, registry
from mitobench.discovery import ROLES
from mitobench.errors import MitobenchError
from mitobench.pipeline.settings import Override

FOLDER = "experiments"
ROW = r"\s*\[\[\s*row\s*\]\]"

Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(gt=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Reported(_Strict):
    """What the paper reports of a row; None where it reports nothing. Times are those of the paper's machine, s."""

    precision: Share | None = None
    recall: Share | None = None
    f1: Share | None = None
    seconds_a_frame: Seconds | None = None
    seconds_a_candidate: Seconds | None = None


class Row(_Strict):
    """One row: what it changes of the experiment. `set` holds overrides, `ROLE.OPTION=VALUE`."""

    name: Annotated[str, Field(min_length=1)]
    paper: Reported = Reported()
    protocol: str | None = None
    estimator: str | None = None
    detector: str | None = None
    verifier: str | None = None
    fuser: str | None = None
    set: tuple[str, ...] = ()


class Definition(_Strict):
    """An experiment.

    Attributes:
        title: what it shows.
        dataset, protocol: that the paper's numbers are of; a row may have another protocol.
        scanners: whose frames those are; none given: all.
        estimator, detector, verifier, fuser, set: of all rows.
        profile: whose options the rows start from.
        notes: what a reader should know.
        row: the rows; none where everything is published elsewhere.
        table: number of the paper's table, whose rows of other methods are shown as published.
        submission: whether the contest's submission files are written.
        path: where it was read from.
    """

    title: str
    dataset: str
    protocol: str
    scanners: tuple[str, ...] = ()
    estimator: str = "mask"
    detector: str = "frcnn"
    verifier: str = "none"
    fuser: str = "detector-only"
    set: tuple[str, ...] = ()
    profile: str = "paper"
    notes: tuple[str, ...] = ()
    row: tuple[Row, ...] = ()
    table: int | None = None
    submission: bool = False
    path: Path = Field(default=Path(), exclude=True)

    @model_validator(mode="after")
    def _shows_something(self) -> Definition:
        names = [row.name for row in self.row]
        if not names and self.table is None:
            raise ValueError("has neither a [[row]] nor a table of published numbers")
        if len(set(names)) < len(names):
            raise ValueError(f"two rows are called {next(name for name in names if names.count(name) > 1)!r}")
        return self

    @property
    def name(self) -> str:
        """The file's name without ending: what the experiment is called."""
        return self.path.stem

    def plugins(self, row: Row) -> dict[str, list[str]]:
        """The row's plugin of each role, as a grid of one."""
        return {role: [getattr(row, role) or getattr(self, role)] for role in ROLES}

    def overrides(self, row: Row) -> list[Override]:
        """What a row changes of the profile, each with the file's line that says so."""
        lines = _Lines(self.path)
        shared = [Override.parse(text, lines.of(text)) for text in self.set]
        return [*shared, *(Override.parse(text, lines.of(text, self.row.index(row))) for text in row.set)]


def names() -> list[str]:
    """The experiments of the registry, sorted."""
    return sorted(path.stem for path in (registry.ROOT / FOLDER).glob("*.toml"))


def read(name: str) -> Definition:
    """An experiment by name, or from a `.toml` file.

    Raises MitobenchError for an unknown name (with the nearest), or naming file, line and mend of what is wrong.
    """
    path = Path(name) if name.endswith(".toml") else registry.entry(FOLDER, name)
    content = registry.read_toml(path)
    try:
        definition = Definition.model_validate(content).model_copy(update={"path": path})
    except ValidationError as reason:
        lines = _Lines(path)
        wrong = [f"{lines.at(e['loc'])} {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in reason.errors()]
        raise MitobenchError("\n".join(wrong)) from reason
    for row in definition.row:
        definition.overrides(row)
    _check_names(definition)
    return definition


def _check_names(definition: Definition) -> None:
    """Raises MitobenchError with file and line for a plugin or a data set that does not exist."""
    lines = _Lines(definition.path)
    named: list[tuple[str, str | None, list[str | int]]]
    named = [(role, getattr(definition, role), [role]) for role in (*ROLES, "dataset")]
    for number, row in enumerate(definition.row):
        named += [(role, getattr(row, role), ["row", number, role]) for role in ROLES]
    for role, name, loc in named:
        try:
            if name is not None:
                discovery.find(role, name)
        except MitobenchError as reason:
            raise MitobenchError(f"{lines.at(loc)} {reason}") from reason


@dataclass(frozen=True)
class _Lines:
    """Where in a file something is said, for messages: `FILE:LINE:`. TOML readers keep no lines."""

    path: Path

    def of(self, text: str, row: int | None = None) -> str:
        """The line that holds a text, in the row of that number or before all rows."""
        return self._where(lambda line: f'"{text}"' in line or f"'{text}'" in line, row)

    def at(self, loc: Sequence[str | int]) -> str:
        """The line of a field as pydantic locates it."""
        row = int(loc[1]) if len(loc) > 1 and loc[0] == "row" else None
        field = str(loc[2] if row is not None and len(loc) > 2 else loc[0] if loc else "title")
        return self._where(lambda line: bool(re.match(rf"\s*{re.escape(field)}\b", line)), row)

    def _where(self, found: Callable[[str], bool], row: int | None) -> str:
        lines = self.path.read_text(encoding="utf-8").splitlines()
        starts = [number for number, line in enumerate(lines) if re.match(ROW, line)]
        first = starts[row] if row is not None and row < len(starts) else 0  # rows may be written in other ways
        number = next((n for n in range(first, len(lines)) if found(lines[n])), first)
        return f"{self.path}:{number + 1}:"
