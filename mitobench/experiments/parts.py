"""The parts of an experiment, each one benchmark: rows of a table that go together, or a grid."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mitobench import datasets
from mitobench.benchmark import Benchmark
from mitobench.benchmark import Grid as Combinations
from mitobench.datasets import splits
from mitobench.discovery import ROLES
from mitobench.errors import DataError, MitobenchError, nearest
from mitobench.experiments.definition import Definition, Grid, Grids, PaperTable, Row
from mitobench.pipeline.settings import Override

Notify = Callable[[str], None]


@dataclass(frozen=True)
class Overrides:
    """What is asked for in place of what the definition says; None or nothing: as it says.

    Attributes:
        dataset: to measure on. Grids of this data set are done alone; where there are none, and in a table, it takes
            the place of all data sets, under its own first protocol where it lacks the definition's.
        scanners: whose frames to take; `all` for all.
        profile: whose options all plugins start from.
        scale: factor on all schedules.
        seeds: their number.
        sets: overrides that come after the definition's.
        grids: those to do, by a part of their names.
    """

    dataset: str | None = None
    scanners: Sequence[str] = ()
    profile: str | None = None
    scale: float | None = None
    seeds: int | None = None
    sets: Sequence[str] = ()
    grids: Sequence[str] = ()


@dataclass
class Part:
    """What one benchmark measures.

    Attributes:
        name: a grid's, or what a table's rows here have in common.
        dataset: tested on; `meant` is the definition's, in whose place another may be.
        protocol, train_on, scanners, profile, scale, seeds: of all combinations.
        sets: what is set for all combinations.
        grids: to combine; one for each of `rows` in a table.
        notes: what a reader should know.
        benchmark: once it is prepared.
        absent: why there is none.
    """

    name: str
    dataset: str
    meant: str
    protocol: str
    train_on: Sequence[str]
    scanners: Sequence[str]
    profile: str
    scale: float
    seeds: int
    sets: Sequence[str]
    grids: Sequence[Combinations]
    rows: Sequence[Row] = ()
    notes: Sequence[str] = ()
    benchmark: Benchmark | None = None
    absent: str | None = None

    @property
    def how(self) -> list[str]:
        """Whose options were taken, and what was changed of them and of the data."""
        said = [f"profile {Path(self.profile).name}"]
        said += [f"with {', '.join(self.sets)}"] if self.sets else []
        said += [f"schedules shortened to {self.scale:g}"] if self.scale != 1 else []
        said += [f"measured on {self.dataset}, not {self.meant}"] if self.dataset != self.meant else []
        return said

    def prepare(self, notify: Notify, **options: Any) -> None:
        """Read the data and plan; where they lack what this part needs, `absent` says so.

        `options` are those of `Benchmark.prepare`. Raises MitobenchError for an option that does not exist.
        """
        try:
            self.benchmark = Benchmark.prepare(
                self.grids,
                datasets=[self.dataset],
                train_on=self.train_on,
                protocol=self.protocol,
                scanners=self.scanners,
                profile=self.profile,
                scale=self.scale,
                seeds=range(self.seeds),
                notify=notify,
                **options,
            )
        except DataError as reason:
            self.absent = str(reason)
            notify(f"{self.name} cannot be measured here: {reason}")


def parts(definition: Definition, overrides: Overrides, notify: Notify) -> list[Part]:
    """What is to be measured. Raises MitobenchError for a data set or a grid that does not exist."""
    if isinstance(definition, Grids):
        return _of_grids(definition, overrides)
    if overrides.grids:
        raise MitobenchError(
            f"--grid {overrides.grids[0]}: {definition.name} is a table and has no grids. Leave it out."
        )
    return _of_table(definition, overrides, notify)


def _of_grids(grids: Grids, overrides: Overrides) -> list[Part]:
    chosen = _called(grids, overrides.grids)
    kept = [grid for grid in chosen if grid.dataset == overrides.dataset]
    elsewhere = None if kept else overrides.dataset
    return [_of_grid(grids, grid, overrides, elsewhere) for grid in kept or chosen]


def _called(grids: Grids, wanted: Sequence[str]) -> Sequence[Grid]:
    found = {text: [grid for grid in grids.grid if text.lower() in grid.name.lower()] for text in wanted}
    for text in wanted:
        if not found[text]:
            names = [grid.name for grid in grids.grid]
            raise MitobenchError(f"--grid {text}: {grids.name} has no such grid. {nearest(text, names)}")
    return [grid for grid in grids.grid if not wanted or any(grid in some for some in found.values())]


def _of_grid(grids: Grids, grid: Grid, overrides: Overrides, elsewhere: str | None) -> Part:
    """`elsewhere`: the data set that takes the place of all."""
    sets = [*grids.overrides(grid), *map(Override.parse, overrides.sets)]
    return Part(
        name=grid.name,
        dataset=elsewhere or grid.dataset,
        meant=grid.dataset,
        protocol=_first_protocol(elsewhere) if elsewhere else grid.protocol,
        train_on=[elsewhere] if elsewhere else grid.train_on or [grid.dataset],
        scanners=_scanners(overrides, () if elsewhere else grid.scanners),
        profile=overrides.profile or grid.profile or grids.profile,
        scale=overrides.scale or grid.scale,
        seeds=overrides.seeds or grid.seeds,
        sets=[override.text for override in sets],
        grids=[Combinations({role: getattr(grid, role) for role in ROLES}, sets)],
        notes=grid.notes,
    )


def _of_table(table: PaperTable, overrides: Overrides, notify: Notify) -> list[Part]:
    """Rows of equal protocol, training sets and scanners share a benchmark, and with it what they have in common."""
    here = overrides.dataset or table.dataset
    scanners = _scanners(overrides, table.scanners)
    if scanners and not overrides.scanners:
        notify(f"Frames of scanner {', '.join(scanners)}, as in the paper; --scanner takes others.")
    wanted = dict.fromkeys(row.protocol or table.protocol for row in table.row)
    protocols = {protocol: _protocol(here, protocol, table, notify) for protocol in wanted}
    together: dict[tuple[str, tuple[str, ...], tuple[str, ...]], list[Row]] = defaultdict(list)
    for row in table.row:
        own = here == table.dataset
        train_on = (row.train_on or table.train_on) if own else ()
        of = _scanners(overrides, (row.scanners if own else ()) or table.scanners)
        together[protocols[row.protocol or table.protocol], train_on or (here,), tuple(of)].append(row)
    return [
        Part(
            name=f"Protocol {protocol}{'' if train_on == (here,) else ', trained on ' + ', '.join(train_on)}",
            dataset=here,
            meant=table.dataset,
            protocol=protocol,
            train_on=train_on,
            scanners=of,
            profile=overrides.profile or table.profile,
            scale=overrides.scale or 1.0,
            seeds=overrides.seeds or 1,
            sets=overrides.sets,
            grids=[Combinations(table.plugins(row), [*table.overrides(row), *overrides.sets]) for row in rows],
            rows=rows,
        )
        for (protocol, train_on, of), rows in together.items()
    ]


def _scanners(overrides: Overrides, given: Sequence[str]) -> Sequence[str]:
    return [] if "all" in overrides.scanners else overrides.scanners or given


def _protocol(dataset: str, wanted: str, table: PaperTable, notify: Notify) -> str:
    if dataset == table.dataset or wanted in splits.protocols(dataset):
        return wanted
    first = _first_protocol(dataset)
    notify(f"{dataset} has no protocol {wanted!r}: {first} is in its place.")
    return first


def _first_protocol(dataset: str) -> str:
    return datasets.reader(dataset).card().default_protocol
