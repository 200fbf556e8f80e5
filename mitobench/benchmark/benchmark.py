"""Runs a benchmark, from the request to the records: the Python interface behind `mitobench run`."""

from __future__ import annotations

import datetime
import logging
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mitobench import compute, reading, weights_search
from mitobench.benchmark.grid import (
    NO_MASKS,
    Grid,
    check_options,
    expanded,
    for_masks,
    learn_from_masks,
    notify_replaced,
    with_defaults,
)
from mitobench.datasets import contamination, folds, looks
from mitobench.device import find_device
from mitobench.foreign.specs import typed_specs
from mitobench.pipeline import executors, trust
from mitobench.pipeline.executors import Executor
from mitobench.pipeline.graph import Plan, PlannedRun, Request
from mitobench.pipeline.plan import build
from mitobench.pipeline.requirements import loadable
from mitobench.pipeline.settings import Settings
from mitobench.pipeline.store import Store, default_store
from mitobench.pipeline.workspace import Workspace
from mitobench.reading import Notify, once
from mitobench.results import record
from mitobench.results.assemble import assemble

log = logging.getLogger("mitobench")

ANY_PROFILE = "smoke"  # used to check overrides early: the default profile depends on the data, not yet read then


@dataclass(frozen=True)
class RunResult:
    """The record of one planned combination (`row`), and the file that it was written to."""

    row: PlannedRun
    path: Path
    record: record.Record


@dataclass
class Benchmark:
    """A planned benchmark: `Benchmark.prepare` plans it, `run` runs it.

    Attributes:
        request: what was requested.
        settings: the options of each grid.
        workspace: the frames.
        plan: the combinations and their stages.
        store: where the outputs of stages go.
        done: the combinations that have a record so far.
    """

    request: Request
    settings: Sequence[Settings]
    workspace: Workspace
    plan: Plan
    store: Store
    done: list[RunResult] = field(default_factory=list)

    @classmethod
    def prepare(
        cls,
        grids: Sequence[Grid],
        *,
        data: Path | None = None,
        datasets: Sequence[str] | None = None,
        train_on: Sequence[str] | None = None,
        protocol: str | None = None,
        scanners: Sequence[str] | None = None,
        seeds: Sequence[int] = (0,),
        profile: str | None = None,
        sets: Sequence[str] = (),
        scale: float = 1.0,
        matcher: str = "mitos",
        device: str = "auto",
        processes: int = 1,
        threads: int | None = None,
        part: Literal["test", "val"] = "test",
        store: Path | None = None,
        allow: Collection[str] = (),
        typed: bool = True,
        notify: Notify = log.info,
        known: reading.ReadDatasets | None = None,
    ) -> Benchmark:
        """Read the data and plan the grids. Stages that several combinations need are planned once.

        Args:
            grids: the plugins to combine.
            data: folder that contains data sets at any depth; None: synthetic frames are generated.
            datasets: to test on; None: all that are found in `data`.
            train_on: to train on; None: the data set tested on.
            protocol: the split of the data sets tested on: a name, or `.json` files separated by commas; None: the
                default on each data set's card.
            scanners: to use; None: all.
            seeds: of training. They do not change the split.
            profile: the options of all plugins; None: `smoke` on synthetic frames, otherwise `cpu` without CUDA and
                `paper` with it.
            sets: overrides of every grid, `ROLE.OPTION=VALUE`, applied after the grid's own.
            scale: factor on all schedules (the options that plugins count in optimizer steps).
            matcher: a name in `evaluate.MATCHERS`. The deprecated `midog` is `evalutils`, unless `typed` is False: a
                record's `midog` is `midog-strict`.
            device: `auto`, `cpu` or `cuda`.
            processes: number of processes that one fit is distributed over.
            threads: CPU threads of a stage, part of the key of a fit; None: as many as torch uses by itself.
            part: `val` plans everything but the stages of the test frames, which are then not available at all.
            store: folder for the outputs of stages; None: `default_store()`.
            allow: what plugins may do beyond computing: `external` (run programs), `download` (contact hubs; also
                allowed where MITOBENCH_ALLOW_DOWNLOAD is set).
            typed: whether the user wrote the grids, which allows the commands in them. False for grids from a file.
            notify: called with each message for the user.
            known: data sets that were read already, which are not read again; those that are read are added.

        Raises MitobenchError for a name that does not exist, arguments that cannot be combined, or something that a
        plugin would do and that is not allowed.
        """
        with typed_specs() if typed else nullcontext():
            named = [{role: expanded(role, names) for role, names in grid.roles.items()} for grid in grids]
        train_on, known = list(dict.fromkeys(train_on or ())), known or reading.ReadDatasets()
        matcher = _matcher(matcher, typed, notify)
        device = find_device(device, processes)
        check_options(named, [Settings.load(profile or ANY_PROFILE, [*grid.sets, *sets], scale) for grid in grids])
        root, tested = reading.find_data(data, datasets, train_on, protocol, scanners, notify, known)
        synthetic = all(looks.is_made_here(name) for name in tested)
        profile = profile or ("smoke" if synthetic else "cpu" if device == "cpu" else "paper")
        settings = [Settings.load(profile, [*grid.sets, *sets], scale) for grid in grids]
        notify = once(notify)
        allowed = trust.allowed_for(allow, named if typed else [])
        named = [with_defaults(roles, own, notify) for roles, own in zip(named, settings, strict=True)]
        check_options(named, settings)
        trust.check(trust.requests_of_grids(named, settings), allowed, "This run")
        estimators = {name for roles in named for name in roles["estimator"]}
        masks = learn_from_masks(estimators)
        workspace = reading.read(root, tested, train_on, protocol, scanners, masks, notify, known)
        replaced: list[str] = []
        named = [for_masks(roles, grid.roles, workspace, replaced) for roles, grid in zip(named, grids, strict=True)]
        check_options(named, settings)  # a default estimator may have been replaced
        if part == "val":
            workspace = workspace.without_test(tested)
        request = Request(
            datasets=tested,
            train_on=tuple(train_on),
            seeds=tuple(seeds),
            matcher=matcher,
            device=device,
            amp=device == "cuda",
            processes=processes,
            threads=threads or compute.threads(),
            only_scanners=tuple(scanners) if scanners else None,
            part=part,
        )
        store = store or default_store()
        with weights_search.searching(store=store):
            plan = build(list(zip(named, settings, strict=True)), request, workspace)
        trust.check(trust.requests_of_plan(plan), allowed, "This run")
        for roles, grid, own in zip(named, grids, settings, strict=True):
            if typed and "fuser" in grid.roles:
                planned = [row.combination for row in plan.rows if row.settings is own and not row.problem]
                notify_replaced(roles["fuser"], planned, notify)
        uses_boxes = any(row.combination.estimator == NO_MASKS for row in plan.rows)
        for note in replaced if uses_boxes else ():
            notify(note)
        for roles, own in zip(named, settings, strict=True):
            for role, plugin, _ in loadable(own, roles):
                if shortened := own.note_on(role, plugin):
                    notify(shortened)
        return cls(request, settings, workspace, plan, Store(store))

    def run(
        self, out: Path, listener: executors.ProgressListener | None = None, executor: Executor | None = None
    ) -> None:
        """Run all stages, as `run_all` does."""
        run_all([self], out, listener, executor)

    def write(
        self,
        out: Path,
        row: PlannedRun,
        results: Mapping[str, executors.StageResult],
        started: str,
        same_tissue: Sequence[contamination.Duplicate],
    ) -> None:
        """Write the record of a combination whose stages have ended to `out/records`.

        Raises StoreError if the store contains outputs that this version cannot read.
        """
        assembled = assemble(row, results, self.request, self.workspace, started, same_tissue)
        path = record.write(out / "records", assembled.record, assembled.detections, assembled.validation)
        self.done.append(RunResult(row, path, record.read(path)))

    @property
    def records(self) -> list[tuple[Path, record.Record]]:
        """All records so far, with their files, in the order of the plan, in whatever order stages ended."""
        place = {id(row): number for number, row in enumerate(self.plan.rows)}
        return [(done.path, done.record) for done in sorted(self.done, key=lambda done: place[id(done.row)])]

    @property
    def fold(self) -> str | None:
        """The name of the fold that is tested, `cv-by-slide-1of3`; None under a protocol without folds."""
        protocol = self.workspace.splits[self.request.datasets[0]].protocol
        return protocol if folds.fold_of(protocol) else None

    @property
    def problems(self) -> list[PlannedRun]:
        """The combinations that cannot run: not applicable, or with a broken plugin."""
        return [row for row in self.plan.rows if row.problem]

    @property
    def has_failures(self) -> bool:
        """Whether a combination failed, in a stage or because of a broken plugin. Not applicable is not a failure."""
        return self.plan.has_broken or any(done.record.status != "ok" for done in self.done)


def run_all(
    benchmarks: Sequence[Benchmark],
    out: Path,
    listener: executors.ProgressListener | None = None,
    executor: Executor | None = None,
) -> None:
    """Run the stages of several benchmarks, and write the record of each combination as soon as its stages have ended.

    Combinations that cannot run (`Benchmark.problems`) have no record.

    Args:
        benchmarks: the benchmarks of one command, for example those of the folds of a protocol.
        out: folder of the leaderboard; records go to its `records/`.
        listener: receives progress events; None: no events are sent.
        executor: where the stages run (`executors.executor_of`); None: in this process.

    Raises StoreError if the store cannot be written, or contains outputs that this version cannot read.
    """
    started = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    same_tissue = {id(one): contamination.in_data(one.workspace.datasets) for one in benchmarks}
    for benchmark, row, results in finished_rows(benchmarks, listener, executor):
        benchmark.write(out, row, results, started, same_tissue[id(benchmark)])


def finished_rows(
    benchmarks: Sequence[Benchmark],
    listener: executors.ProgressListener | None = None,
    executor: Executor | None = None,
) -> Iterator[tuple[Benchmark, PlannedRun, Mapping[str, executors.StageResult]]]:
    """Run the stages of several benchmarks; yields each combination as soon as its stages have ended.

    Benchmarks whose frames agree run as one plan, so that folds do not wait for each other; those without test frames
    (`part="val"`) do not, as the test frames of a fold are training frames of the others. Each combination comes with
    its benchmark, and with all results so far by key. The arguments are those of `run_all`.

    Raises StoreError if the store cannot be written.
    """
    listener, executor = listener or executors.ProgressListener(), executor or executors.Local()
    workspaces: list[tuple[Workspace, list[Benchmark]]] = []
    for benchmark in benchmarks:
        apart = not workspaces or benchmark.request.part == "val"
        joined = None if apart else workspaces[-1][0].joined(benchmark.workspace)
        if joined is None:
            workspaces.append((benchmark.workspace, [benchmark]))
        else:
            workspaces[-1] = joined, [*workspaces[-1][1], benchmark]
    for workspace, together in workspaces:
        yield from _finished_rows(workspace, together, listener, executor)


def _finished_rows(
    workspace: Workspace, benchmarks: Sequence[Benchmark], listener: executors.ProgressListener, executor: Executor
) -> Iterator[tuple[Benchmark, PlannedRun, Mapping[str, executors.StageResult]]]:
    store, request = benchmarks[0].store.open(), benchmarks[0].request
    planned = [(benchmark, row) for benchmark in benchmarks for row in benchmark.plan.rows]
    missing = [{stage.key for stage in row.stages.values()} for _, row in planned]
    needed_by: dict[str, list[int]] = defaultdict(list)
    for number, keys in enumerate(missing):
        for key in keys:
            needed_by[key].append(number)
    results: dict[str, executors.StageResult] = {}
    work = executors.Work(store, workspace, request.threads, request.device)
    with store.in_use():
        for key, result in executors.run(Plan([row for _, row in planned]), work, listener, executor):
            results[key] = result
            for number in needed_by[key]:
                missing[number].remove(key)
                if not missing[number]:
                    yield *planned[number], results


def _matcher(name: str, typed: bool, notify: Notify) -> str:
    from mitobench.evaluate.matching import find_matcher, requested_matcher

    if not typed:
        find_matcher(name)
        return name
    name, notice = requested_matcher(name)
    if notice:
        notify(notice)
    return name
