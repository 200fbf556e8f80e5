"""Reads and checks the definition of an experiment: `registry/experiments/*.toml`, or a user's own `.toml` file.

An experiment is either a paper's table, row by row, or a list of grids: every combination of the plugins they name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError, model_validator

from mitobench import discovery, registry
from mitobench.datasets import folds
from mitobench.discovery import ROLES
from mitobench.errors import MitobenchError, field_errors, nearest
from mitobench.experiments.lines import Lines
from mitobench.foreign.limits import MAX_SEEDS
from mitobench.foreign.strict import Strict
from mitobench.pipeline.overrides import Override
from mitobench.pipeline.settings import Settings

FOLDER = "experiments"

Name = Annotated[str, Field(min_length=1)]
Names = Annotated[tuple[str, ...], Field(min_length=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(gt=0)]


class PaperScores(Strict):
    """What the paper reports for a row; None where it reports nothing. Times in s, on the paper's machine."""

    precision: Share | None = None
    recall: Share | None = None
    f1: Share | None = None
    seconds_a_frame: Seconds | None = None
    seconds_a_candidate: Seconds | None = None


class TableRow(Strict):
    """One row of a paper's table, and how it differs from the table's defaults.

    Attributes:
        name: the row's heading.
        paper: what the paper reports for it.
        protocol, train_on, scanners, estimator, detector, verifier, fuser: instead of the table's.
        set: overrides, `ROLE.OPTION=VALUE`.
    """

    name: Name
    paper: PaperScores = PaperScores()
    protocol: str | None = None
    train_on: tuple[str, ...] = ()
    scanners: tuple[str, ...] = ()
    estimator: str | None = None
    detector: str | None = None
    verifier: str | None = None
    fuser: str | None = None
    set: tuple[str, ...] = ()


class ExperimentGrid(Strict):
    """Every combination of the named plugins, on one data set.

    Attributes:
        name: the grid's heading.
        dataset, protocol: the data set to test on, and its split.
        train_on: data sets to train on; empty: the data set tested on.
        scanners: to use; empty: all.
        estimator, detector, verifier, fuser: names of plugins.
        scale: factor on all schedules.
        seeds: number of seeds.
        profile: the profile of all plugins; None: the experiment's.
        set: overrides of all combinations, `ROLE.OPTION=VALUE`.
        notes: notes for readers of the page.
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


class _Definition(Strict, ABC):
    """The fields that both kinds of experiments have.

    Attributes:
        title: what the experiment shows.
        profile: the profile of all plugins.
        set: overrides of the whole experiment, `ROLE.OPTION=VALUE`.
        notes: notes for readers of the page.
        path: the file that it was read from.
    """

    title: str
    profile: str = "paper"
    set: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    path: Path = Field(default=Path(), exclude=True)

    @property
    def name(self) -> str:
        """The experiment's name: its file's name without ending."""
        return self.path.stem

    @property
    @abstractmethod
    def tables(self) -> Sequence[TableRow] | Sequence[ExperimentGrid]:
        """The `[[row]]` or `[[grid]]` tables."""

    def overrides(self, table: TableRow | ExperimentGrid) -> list[Override]:
        """Returns what a row or grid overrides in the profile; each override names its file and line."""
        lines = Lines(self.path)
        shared = [Override.parse(text, lines.of(text)) for text in self.set]
        return [*shared, *(Override.parse(text, lines.of(text, self.tables.index(table))) for text in table.set)]


class PaperTable(_Definition):
    """A paper's table, whose rows are measured and compared with the paper's numbers.

    Attributes:
        dataset, protocol: the data set and split of the paper's numbers; a row may have another protocol.
        train_on: data sets to train on, unless a row has others; empty: the data set tested on.
        scanners: to use, unless a row has others; empty: all.
        estimator, detector, verifier, fuser: the plugins of all rows, unless a row has others.
        row: the rows to measure; empty if only published numbers are shown.
        against: name of the row that all others are compared with; None: rows are not compared.
        table: number of the paper's table, whose other methods are shown as published; None: none are shown.
        submission: whether to write the contest's submission files.
    """

    dataset: str
    protocol: str
    train_on: tuple[str, ...] = ()
    scanners: tuple[str, ...] = ()
    estimator: str = "mask"
    detector: str = "frcnn"
    verifier: str = "none"
    fuser: str = "detector-only"
    row: tuple[TableRow, ...] = ()
    against: str | None = None
    table: int | None = None
    submission: bool = False

    @model_validator(mode="after")
    def _shows_something(self) -> PaperTable:
        if not self.row and self.table is None:
            raise ValueError("contains neither a [[row]] nor a [[grid]] nor `table`, the number of a published table")
        names = [row.name for row in self.row]
        _check_unique("rows", names)
        if self.against is not None and self.against not in names:
            raise ValueError(f"`against` names an unknown row {self.against!r}. {nearest(self.against, names)}")
        return self

    @property
    def tables(self) -> Sequence[TableRow]:
        """The rows."""
        return self.row

    def plugins(self, row: TableRow) -> dict[str, list[str]]:
        """Returns the row's plugin of each role, in lists of one, as grids need them."""
        return {role: [getattr(row, role) or getattr(self, role)] for role in ROLES}


class Grids(_Definition):
    """A list of grids. Each is measured separately."""

    title: str = "Every combination"
    grid: Annotated[tuple[ExperimentGrid, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _has_unique_names(self) -> Grids:
        _check_unique("grids", [grid.name for grid in self.grid])
        return self

    @property
    def tables(self) -> Sequence[ExperimentGrid]:
        """The grids."""
        return self.grid


Definition = PaperTable | Grids


def names() -> list[str]:
    """Returns the names of the built-in experiments, sorted."""
    return sorted(path.stem for path in (registry.ROOT / FOLDER).glob("*.toml"))


def read(name: str) -> Definition:
    """Returns a built-in experiment by its name, or the experiment in a `.toml` file.

    Raises MitobenchError for an unknown name (with similar ones), or with file and line of what is wrong.
    """
    path = Path(name) if name.endswith(".toml") else registry.entry(FOLDER, name)
    content = registry.read_toml(path)
    if "row" in content and "grid" in content:
        raise MitobenchError(
            f"{Lines(path).at(['grid'])} contains both [[row]] and [[grid]] tables; an experiment has one or the "
            "other. Move the grids to a file of their own."
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


def _check_unique(what: str, names: Sequence[str]) -> None:
    duplicates = [name for name in names if names.count(name) > 1]
    if duplicates:
        raise ValueError(f"two {what} have the name {duplicates[0]!r}. Rename one")


def _check(definition: Definition) -> None:
    """Raises MitobenchError with file and line for an override of another form, or a name that does not exist."""
    for table in definition.tables:
        definition.overrides(table)
    lines = Lines(definition.path)
    for loc, look_up in _named(definition):
        try:
            look_up()
        except MitobenchError as reason:
            raise MitobenchError(f"{lines.at(loc)} {reason}") from reason


def _named(definition: Definition) -> Iterator[tuple[list[str | int], Callable[[], object]]]:
    """Yields each place where a plugin, data set, profile or protocol is named, and a function that looks it up."""
    kind = "grid" if isinstance(definition, Grids) else "row"
    holders: list[tuple[list[str | int], BaseModel]] = [([], definition)]
    holders += [([kind, number], table) for number, table in enumerate(definition.tables)]
    for loc, table in holders:
        for field in (*ROLES, "dataset", "train_on"):
            value = getattr(table, field, None) or ()
            for name in [value] if isinstance(value, str) else value:
                yield [*loc, field], partial(discovery.find, "dataset" if field == "train_on" else field, name)
        if isinstance(table, ExperimentGrid):
            yield [*loc, "protocol"], partial(folds.note_of, table.dataset, table.protocol)
        elif isinstance(definition, PaperTable) and (protocol := getattr(table, "protocol", None)):
            yield [*loc, "protocol"], partial(folds.check_single, definition.dataset, protocol)
        profile = getattr(table, "profile", None)
        if profile:
            yield [*loc, "profile"], partial(Settings.load, profile)
