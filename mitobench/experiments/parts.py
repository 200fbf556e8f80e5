"""Divides an experiment into parts: a grid with a benchmark for each fold, or the table rows that share their data."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mitobench import datasets, folding
from mitobench.benchmark import Benchmark, Grid
from mitobench.datasets import folds, splits
from mitobench.discovery import ROLES
from mitobench.errors import DataError, MitobenchError, nearest
from mitobench.experiments.definition import Definition, ExperimentGrid, Grids, PaperTable, TableRow
from mitobench.pipeline.overrides import Override

Notify = Callable[[str], None]


@dataclass(frozen=True)
class Overrides:
    """What replaces values of an experiment's definition. None or empty: the definition's value is used.

    Attributes:
        dataset: to measure on. If the experiment has grids of this data set, only these are measured. Otherwise, and
            in a table, it replaces all data sets; if it lacks the definition's protocol, its own default is used.
        scanners: to use; `all` for all.
        profile: the profile of all plugins.
        scale: factor on all schedules.
        seeds: number of seeds.
        sets: overrides that are applied after the definition's, `ROLE.OPTION=VALUE`.
        grids: which grids to measure, by parts of their names.
    """

    dataset: str | None = None
    scanners: Sequence[str] = ()
    profile: str | None = None
    scale: float | None = None
    seeds: int | None = None
    sets: Sequence[str] = ()
    grids: Sequence[str] = ()


@dataclass
class ExperimentPart:
    """One part of an experiment, which one benchmark measures, or one for each fold of its protocol.

    Attributes:
        name: the grid's name, or what the table rows of this part have in common.
        dataset: the data set to test on.
        defined_dataset: the definition's data set, which `dataset` may replace.
        protocol, train_on, scanners, profile, scale, seeds: the same for all combinations.
        sets: overrides of all combinations.
        grids: the plugins to combine; in a table, one grid for each of `rows`.
        rows: the table's rows; empty for a grid.
        notes: notes for readers of the page.
        benchmarks: the planned ones; empty before `prepare`, or if it cannot be measured here.
        absent: why it cannot be measured here; None if it can.
    """

    name: str
    dataset: str
    defined_dataset: str
    protocol: str
    train_on: Sequence[str]
    scanners: Sequence[str]
    profile: str
    scale: float
    seeds: int
    sets: Sequence[str]
    grids: Sequence[Grid]
    rows: Sequence[TableRow] = ()
    notes: Sequence[str] = ()
    benchmarks: Sequence[Benchmark] = ()
    absent: str | None = None

    @property
    def how(self) -> list[str]:
        """How it was measured, in short phrases: the profile, and what was changed in it and in the data."""
        phrases = [f"profile {Path(self.profile).name}"]
        phrases += [f"with {', '.join(self.sets)}"] if self.sets else []
        phrases += [f"schedules shortened to {self.scale:g}"] if self.scale != 1 else []
        if self.dataset != self.defined_dataset:
            phrases.append(f"measured on {self.dataset}, not {self.defined_dataset}")
        return phrases

    def prepare(self, notify: Notify, **options: Any) -> None:
        """Read the data and plan the benchmarks. If the data lack what this part needs, set `absent` to the reason.

        `options` are passed to `Benchmark.prepare`. Raises MitobenchError for an option that does not exist.
        """
        try:
            self.benchmarks = folding.prepare(
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


def parts(definition: Definition, overrides: Overrides, notify: Notify) -> list[ExperimentPart]:
    """Returns the parts of an experiment. Raises MitobenchError for a data set or a grid that does not exist."""
    if isinstance(definition, Grids):
        return _of_grids(definition, overrides)
    if overrides.grids:
        raise MitobenchError(
            f"--grid {overrides.grids[0]}: {definition.name} is a table and has no grids. Leave out --grid."
        )
    return _of_table(definition, overrides, notify)


def _of_grids(grids: Grids, overrides: Overrides) -> list[ExperimentPart]:
    chosen = _with_names(grids, overrides.grids)
    on_dataset = [grid for grid in chosen if grid.dataset == overrides.dataset]
    replacement = None if on_dataset else overrides.dataset
    return [_of_grid(grids, grid, overrides, replacement) for grid in on_dataset or chosen]


def _with_names(grids: Grids, wanted: Sequence[str]) -> Sequence[ExperimentGrid]:
    """Returns the grids whose names contain one of these texts; without texts, all grids."""
    matching = {text: [grid for grid in grids.grid if text.lower() in grid.name.lower()] for text in wanted}
    for text in wanted:
        if not matching[text]:
            names = [grid.name for grid in grids.grid]
            raise MitobenchError(f"--grid {text}: no grid of {grids.name} has this in its name. {nearest(text, names)}")
    return [grid for grid in grids.grid if not wanted or any(grid in some for some in matching.values())]


def _of_grid(grids: Grids, grid: ExperimentGrid, overrides: Overrides, replacement: str | None) -> ExperimentPart:
    """Returns the part of one grid. The data set `replacement`, if given, replaces all of its data sets."""
    sets = [*grids.overrides(grid), *map(Override.parse, overrides.sets)]
    return ExperimentPart(
        name=grid.name,
        dataset=replacement or grid.dataset,
        defined_dataset=grid.dataset,
        protocol=_default_protocol(replacement) if replacement else grid.protocol,
        train_on=[replacement] if replacement else grid.train_on or [grid.dataset],
        scanners=_scanners(overrides, () if replacement else grid.scanners),
        profile=overrides.profile or grid.profile or grids.profile,
        scale=overrides.scale or grid.scale,
        seeds=overrides.seeds or grid.seeds,
        sets=[override.text for override in sets],
        grids=[Grid({role: getattr(grid, role) for role in ROLES}, sets)],
        notes=grid.notes,
    )


def _of_table(table: PaperTable, overrides: Overrides, notify: Notify) -> list[ExperimentPart]:
    """Returns the parts of a table. Rows with the same protocol, training sets and scanners share one benchmark."""
    dataset = overrides.dataset or table.dataset
    scanners = _scanners(overrides, table.scanners)
    if scanners and not overrides.scanners:
        notify(f"Using frames of scanner {', '.join(scanners)}, as in the paper. Choose others with --scanner.")
    wanted = dict.fromkeys(row.protocol or table.protocol for row in table.row)
    protocols = {protocol: _protocol(dataset, protocol, table, notify) for protocol in wanted}
    for protocol in protocols.values():
        folds.check_single(dataset, protocol)
    groups: dict[tuple[str, tuple[str, ...], tuple[str, ...]], list[TableRow]] = defaultdict(list)
    for row in table.row:
        own = dataset == table.dataset
        train_on = (row.train_on or table.train_on) if own else ()
        row_scanners = _scanners(overrides, (row.scanners if own else ()) or table.scanners)
        groups[protocols[row.protocol or table.protocol], train_on or (dataset,), tuple(row_scanners)].append(row)
    return [
        ExperimentPart(
            name=f"Protocol {protocol}{'' if train_on == (dataset,) else ', trained on ' + ', '.join(train_on)}",
            dataset=dataset,
            defined_dataset=table.dataset,
            protocol=protocol,
            train_on=train_on,
            scanners=row_scanners,
            profile=overrides.profile or table.profile,
            scale=overrides.scale or 1.0,
            seeds=overrides.seeds or 1,
            sets=overrides.sets,
            grids=[Grid(table.plugins(row), [*table.overrides(row), *overrides.sets]) for row in rows],
            rows=rows,
        )
        for (protocol, train_on, row_scanners), rows in groups.items()
    ]


def _scanners(overrides: Overrides, defined: Sequence[str]) -> Sequence[str]:
    return [] if "all" in overrides.scanners else overrides.scanners or defined


def _protocol(dataset: str, wanted: str, table: PaperTable, notify: Notify) -> str:
    """Returns the wanted protocol; for a data set that lacks it, the data set's default and a note to the user."""
    if dataset == table.dataset or wanted in splits.protocols(dataset):
        return wanted
    default = _default_protocol(dataset)
    notify(f"{dataset} has no protocol {wanted!r}. Using its default, {default}.")
    return default


def _default_protocol(dataset: str) -> str:
    return datasets.reader(dataset).card().default_protocol
