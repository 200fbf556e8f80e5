"""What an experiment is: `registry/experiments/*.toml`, or a file of the user's own.

It is a paper's table, row by row, or grids: every combination of the plugins they name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mitobench import discovery, registry
from mitobench.datasets import splits
from mitobench.discovery import ROLES
from mitobench.errors import MitobenchError, field_errors
from mitobench.experiments.lines import Lines
from mitobench.foreign.limits import MAX_SEEDS
from mitobench.pipeline.settings import Override, Settings

FOLDER = "experiments"

Name = Annotated[str, Field(min_length=1)]
Names = Annotated[tuple[str, ...], Field(min_length=1)]
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
    """One row: what it changes of its table. `set` holds overrides, `ROLE.OPTION=VALUE`."""

    name: Name
    paper: Reported = Reported()
    protocol: str | None = None
    train_on: tuple[str, ...] = ()
    scanners: tuple[str, ...] = ()
    estimator: str | None = None
    detector: str | None = None
    verifier: str | None = None
    fuser: str | None = None
    set: tuple[str, ...] = ()


class Grid(_Strict):
    """Every combination of the named plugins, on one data set.

    Attributes:
        name: its heading.
        dataset, protocol: tested on.
        train_on: data sets to train on; none given: the one tested on.
        scanners: whose frames to take; none given: all.
        estimator, detector, verifier, fuser: names of plugins.
        scale: factor on all schedules.
        seeds: their number.
        profile: whose options the plugins start from; None: the experiment's.
        set: overrides of all combinations, `ROLE.OPTION=VALUE`.
        notes: what a reader should know.
    """

    name: Name
    dataset: str
    protocol: str
    train_on: tuple[str, ...] = ()
    scanners: tuple[str, ...] = ()
    estimator: Names
    detector: Names
    verifier: Names
    fuser: Names
    scale: Annotated[float, Field(gt=0, le=1)] = 1.0
    seeds: Annotated[int, Field(ge=1, le=MAX_SEEDS)] = 1
    profile: str | None = None
    set: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class _Definition(_Strict, ABC):
    """What tables and grids have in common.

    Attributes:
        title: what it shows.
        profile: whose options everything starts from.
        set: overrides of everything, `ROLE.OPTION=VALUE`.
        notes: what a reader should know.
        path: where it was read from.
    """

    title: str
    profile: str = "paper"
    set: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    path: Path = Field(default=Path(), exclude=True)

    @property
    def name(self) -> str:
        """The file's name without ending: what the experiment is called."""
        return self.path.stem

    @property
    @abstractmethod
    def tables(self) -> Sequence[Row] | Sequence[Grid]:
        """The `[[row]]` or `[[grid]]` tables."""

    def overrides(self, table: Row | Grid) -> list[Override]:
        """What a table changes of the profile, each with the file's line that says so."""
        lines = Lines(self.path)
        shared = [Override.parse(text, lines.of(text)) for text in self.set]
        return [*shared, *(Override.parse(text, lines.of(text, self.tables.index(table))) for text in table.set)]


class PaperTable(_Definition):
    """A paper's table.

    Attributes:
        dataset, protocol: that the paper's numbers are of; a row may have another protocol.
        train_on: data sets to train on, unless a row has others; none given: the one tested on.
        scanners: whose frames those are, unless a row has others; none given: all.
        estimator, detector, verifier, fuser: of all rows.
        row: the rows; none where everything is published elsewhere.
        against: name of the row that all others are compared with; None: none.
        table: number of the paper's table, whose rows of other methods are shown as published.
        submission: whether the contest's submission files are written.
    """

    dataset: str
    protocol: str
    train_on: tuple[str, ...] = ()
    scanners: tuple[str, ...] = ()
    estimator: str = "mask"
    detector: str = "frcnn"
    verifier: str = "none"
    fuser: str = "detector-only"
    row: tuple[Row, ...] = ()
    against: str | None = None
    table: int | None = None
    submission: bool = False

    @model_validator(mode="after")
    def _shows_something(self) -> PaperTable:
        if not self.row and self.table is None:
            raise ValueError("has neither a [[row]] nor a [[grid]] nor a table of published numbers")
        names = [row.name for row in self.row]
        _refuse_twice("rows", names)
        if self.against is not None and self.against not in names:
            raise ValueError(f"no row is called {self.against!r}, which `against` names")
        return self

    @property
    def tables(self) -> Sequence[Row]:
        """The rows."""
        return self.row

    def plugins(self, row: Row) -> dict[str, list[str]]:
        """The row's plugin of each role, as a grid of one."""
        return {role: [getattr(row, role) or getattr(self, role)] for role in ROLES}


class Grids(_Definition):
    """Grids, each measured on its own."""

    title: str = "Every combination"
    grid: Annotated[tuple[Grid, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _are_told_apart(self) -> Grids:
        _refuse_twice("grids", [grid.name for grid in self.grid])
        return self

    @property
    def tables(self) -> Sequence[Grid]:
        """The grids."""
        return self.grid


Definition = PaperTable | Grids


def names() -> list[str]:
    """The experiments of the registry, sorted."""
    return sorted(path.stem for path in (registry.ROOT / FOLDER).glob("*.toml"))


def read(name: str) -> Definition:
    """An experiment by name, or from a `.toml` file.

    Raises MitobenchError for an unknown name (with the nearest), or naming file, line and mend of what is wrong.
    """
    path = Path(name) if name.endswith(".toml") else registry.entry(FOLDER, name)
    content = registry.read_toml(path)
    if "row" in content and "grid" in content:
        raise MitobenchError(
            f"{Lines(path).at(['grid'])} has [[row]] and [[grid]] tables: an experiment is one or the other. "
            "Move the grids to a file of their own."
        )
    try:
        kind = Grids if "grid" in content else PaperTable
        definition = kind.model_validate(content).model_copy(update={"path": path})
    except ValidationError as reason:
        lines = Lines(path)
        wrong = [f"{lines.at(place)} {sentence}" for place, sentence in field_errors(reason)]
        raise MitobenchError("\n".join(wrong)) from reason
    _check(definition)
    return definition


def _refuse_twice(what: str, given: Sequence[str]) -> None:
    twice = [name for name in given if given.count(name) > 1]
    if twice:
        raise ValueError(f"two {what} are called {twice[0]!r}")


def _check(definition: Definition) -> None:
    """Raises MitobenchError with file and line for an override that is none, or a name that does not exist."""
    for table in definition.tables:
        definition.overrides(table)
    lines = Lines(definition.path)
    for loc, look_up in _named(definition):
        try:
            look_up()
        except MitobenchError as reason:
            raise MitobenchError(f"{lines.at(loc)} {reason}") from reason


def _named(definition: Definition) -> Iterator[tuple[list[str | int], Callable[[], object]]]:
    """Where a plugin, a data set, a profile or a grid's protocol is named, and what finds it."""
    kind = "grid" if isinstance(definition, Grids) else "row"
    holders: list[tuple[list[str | int], BaseModel]] = [([], definition)]
    holders += [([kind, number], table) for number, table in enumerate(definition.tables)]
    for loc, table in holders:
        for field in (*ROLES, "dataset", "train_on"):
            given = getattr(table, field, None) or ()
            for name in [given] if isinstance(given, str) else given:
                yield [*loc, field], partial(discovery.find, "dataset" if field == "train_on" else field, name)
        if isinstance(table, Grid):
            yield [*loc, "protocol"], partial(splits.load_split, table.dataset, table.protocol)
        profile = getattr(table, "profile", None)
        if profile:
            yield [*loc, "profile"], partial(Settings.load, profile)
