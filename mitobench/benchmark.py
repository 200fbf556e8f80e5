"""Runs a benchmark, from the request to the records: the Python interface behind `mitobench run`."""

from __future__ import annotations

import datetime
import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mitobench import compute, discovery, reading, weights_search
from mitobench.api import Options, Plugin
from mitobench.datasets import contamination, folds, looks
from mitobench.discovery import ROLES
from mitobench.errors import MitobenchError, PluginError, StoreError
from mitobench.foreign.specs import typed_specs
from mitobench.pipeline import executors, trust
from mitobench.pipeline.executors import Executor
from mitobench.pipeline.graph import Combination, Plan, PlannedRun, Request
from mitobench.pipeline.plan import NO_FUSER, build
from mitobench.pipeline.plugin_ref import flat
from mitobench.pipeline.settings import Override, Settings
from mitobench.pipeline.store import Store, default_store
from mitobench.pipeline.workspace import Workspace
from mitobench.reading import Notify
from mitobench.results import record
from mitobench.results.assemble import assemble

log = logging.getLogger("mitobench")

NO_MASKS = "fixed"  # the default estimator where there are no masks
ANY_PROFILE = "smoke"  # used to check overrides early: the default profile depends on the data, not yet read then


@dataclass(frozen=True)
class Grid:
    """Plugins to combine, each with each, and overrides of the profile.

    Attributes:
        roles: plugin names by role; `all` means every installed plugin. A role that is left out uses the profile's
            default plugin.
        sets: overrides, `ROLE.OPTION=VALUE`.
    """

    roles: Mapping[str, Sequence[str]]
    sets: Sequence[str | Override] = ()


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
            named = [{role: _expand(role, names) for role, names in grid.roles.items()} for grid in grids]
        train_on = list(dict.fromkeys(train_on or ()))
        matcher = _matcher(matcher, typed, notify)
        device = find_device(device, processes)
        _check_options(named, [Settings.load(profile or ANY_PROFILE, [*grid.sets, *sets], scale) for grid in grids])
        root, tested = reading.find_data(data, datasets, train_on, protocol, scanners, notify)
        synthetic = all(looks.is_made_here(name) for name in tested)
        profile = profile or ("smoke" if synthetic else "cpu" if device == "cpu" else "paper")
        settings = [Settings.load(profile, [*grid.sets, *sets], scale) for grid in grids]
        notify = once(notify)
        allowed = trust.allowed_for(allow, named if typed else [])
        named = [_with_defaults(roles, own, notify) for roles, own in zip(named, settings, strict=True)]
        trust.check(trust.requests_of_grids(named, settings), allowed, "This run")
        estimators = {name for roles in named for name in roles["estimator"]}
        masks = _learns_from_masks(estimators)
        workspace = reading.read(root, tested, train_on, protocol, scanners, masks, notify, known)
        replaced: list[str] = []
        named = [_for_masks(roles, grid.roles, workspace, replaced) for roles, grid in zip(named, grids, strict=True)]
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
                _notify_replaced(roles["fuser"], planned, notify)
        uses_boxes = any(row.combination.estimator == NO_MASKS for row in plan.rows)
        for note in (*(replaced if uses_boxes else ()), *(note for own in settings for note in own.notes)):
            notify(note)
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
        try:
            assembled = assemble(row, results, self.request, self.workspace, started, same_tissue)
        except (LookupError, TypeError, ValueError, AttributeError) as reason:
            raise StoreError(
                f"The store {self.store.root} contains an output of {row.combination.title} that this version of "
                f"mitobench did not write ({type(reason).__name__}: {reason}). Choose another folder with --store."
            ) from reason
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


def once(notify: Notify) -> Notify:
    """Returns a function that passes each message on once, however many grids give it."""
    seen: set[str] = set()

    def notify_once(text: str) -> None:
        if text not in seen:
            seen.add(text)
            notify(text)

    return notify_once


def _expand(role: str, names: Sequence[str]) -> list[str]:
    """Returns the names without duplicates, and all installed plugins for `all`. Raises MitobenchError."""
    stripped = [name.strip() for name in names if name.strip()]
    if "all" in stripped:
        return [name for name in discovery.names(role) if not _needs_argument(role, name)]
    if not stripped:
        available = ", ".join(discovery.names(role)) or "none"
        raise MitobenchError(f"--{role}: no name given. Give at least one. Available: {available}.")
    for name in stripped:
        discovery.find(role, name)  # raises MitobenchError with similar names
    return list(dict.fromkeys(_spelled(role, name) for name in stripped))


def _spelled(role: str, spec: str) -> str:
    """Returns the full spelling of a spec; as it is where its family is broken, which the plan reports."""
    with suppress(PluginError):
        return discovery.spelled(role, spec)
    return spec


def _needs_argument(role: str, name: str) -> bool:
    """Returns whether a plugin is a family, whose members `all` does not list. A broken plugin is listed."""
    with suppress(PluginError):
        return discovery.family(role, name).argument is not None
    return False


def _with_defaults(roles: Mapping[str, list[str]], settings: Settings, notify: Notify) -> dict[str, list[str]]:
    """Returns plugin names for every role: those given, and the profile's default for each role that is left out."""
    named = dict(roles)
    for role in (role for role in ROLES if role not in roles):
        name, note = settings.default(role)
        named[role] = [name]
        if note:
            notify(note)
    return named


def _for_masks(
    roles: dict[str, list[str]], given: Mapping[str, Any], workspace: Workspace, notes: list[str]
) -> dict[str, list[str]]:
    """Replaces the default estimator by `fixed`, and notes it, if it learns from masks and no data set here has any."""
    if "estimator" in given or any(workspace.card(name).has_masks for name in workspace.datasets):
        return roles
    if not _learns_from_masks(roles["estimator"]):
        return roles
    (name,) = roles["estimator"]
    notes.append(f"Default estimator: {NO_MASKS}, because {name} learns from masks, and no data set here has any.")
    return {**roles, "estimator": [NO_MASKS]}


def _notify_replaced(fusers: Sequence[str], planned: Sequence[Combination], notify: Notify) -> None:
    """Says which of the fusers that the user named are planned as the detector alone, for lack of a verifier."""
    alone = {combination.verifier for combination in planned if combination.fuser == NO_FUSER}
    kept = {combination.fuser for combination in planned if combination.verifier in alone}
    replaced = [name for name in fusers if name not in kept]
    if alone and replaced and NO_FUSER not in fusers:
        compute = "computes" if len(replaced) == 1 else "compute"
        notify(f"Without a verifier, {' and '.join(replaced)} {compute} what {NO_FUSER} does: the row has its name.")


def find_device(name: str, processes: int = 1) -> str:
    """Returns `cpu` or `cuda`; for `auto`, `cuda` if there is a CUDA device.

    Raises MitobenchError for another name, or if there are too few CUDA devices for this number of processes.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise MitobenchError(f"--device {name}: must be auto, cpu or cuda.")
    count = len(compute.cuda_devices()) if name != "cpu" else 0
    if name == "cuda" and not count:
        raise MitobenchError("--device cuda: torch finds no CUDA device. Run `mitobench doctor` to see why.")
    device = "cuda" if count else "cpu"
    if device == "cuda" and count < processes:
        raise MitobenchError(f"--gpus {processes}: torch finds fewer CUDA devices ({count}). Use --gpus {count}.")
    return device


def _check_options(named: Sequence[Mapping[str, Sequence[str]]], settings: Sequence[Settings]) -> None:
    """Check all options before any data is read.

    Raises MitobenchError, with the place where the option was given, for an option that no plugin has or that has the
    wrong type. Plugins that cannot be loaded are left to the plan, which marks their combinations as broken.
    """
    loaded = [
        _accepts_options(own, role, name)
        for roles, own in zip(named, settings, strict=True)
        for role in roles
        for name in roles[role]
    ]
    for own in settings:
        own.pipeline()
    if all(loaded):
        for own in settings:
            own.check_all_used(settings)


def _accepts_options(settings: Settings, role: str, name: str) -> bool:
    """Returns whether a plugin and those that it requires can be loaded and accept their options.

    Raises MitobenchError for an option of the plugin that is wrong.
    """
    try:
        cls = discovery.load(role, name)
    except PluginError:
        return False
    try:
        options = settings.options(role, cls)
    except PluginError:  # its card cannot be read
        return False
    return _requirements_accept_options(settings, cls, options)


def _requirements_accept_options(settings: Settings, cls: type[Plugin], options: Options) -> bool:
    try:
        for role, required in flat(cls.requires(options)).values():
            other = discovery.load(role, required.name)
            own = settings.options(role, other, required.options)
            if not _requirements_accept_options(settings, other, own):
                return False
    except Exception:  # whatever a plugin raises here breaks only its own combinations: the plan reports it
        return False
    return True


def _matcher(name: str, typed: bool, notify: Notify) -> str:
    from mitobench.evaluate.matching import find_matcher, requested_matcher

    if not typed:
        find_matcher(name)
        return name
    name, notice = requested_matcher(name)
    if notice:
        notify(notice)
    return name


def _learns_from_masks(estimators: Iterable[str]) -> bool:
    for name in estimators:
        with suppress(PluginError):  # the plan reports a plugin that cannot be loaded
            if discovery.load("estimator", name).learns_from_masks:  # type: ignore[attr-defined]
                return True
    return False
