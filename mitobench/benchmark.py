"""One benchmark from request to records: what `mitobench run` does, for use from Python too."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mitobench import compute, discovery
from mitobench import datasets as data_sets
from mitobench.datasets import splits
from mitobench.discovery import ROLES
from mitobench.errors import DataError, MitobenchError, PluginError, StoreError, nearest
from mitobench.pipeline import executors
from mitobench.pipeline.graph import Plan, PlannedRun, Request
from mitobench.pipeline.plan import build
from mitobench.pipeline.settings import Override, Settings
from mitobench.pipeline.store import Store
from mitobench.pipeline.workspace import Workspace
from mitobench.results import record
from mitobench.results.assemble import assemble

log = logging.getLogger("mitobench")

SYNTHETIC = "synthetic"
ANY_PROFILE = "smoke"  # to check overrides with before it is known which profile the data call for
Notify = Callable[[str], None]


def default_store() -> Path:
    """Where stages' outputs are kept unless told otherwise."""
    import platformdirs

    return platformdirs.user_cache_path("mitobench") / "store"


@dataclass(frozen=True)
class Grid:
    """Every combination of these names, with these changes of the profile.

    Attributes:
        roles: plugin names by role; `all` stands for every one there is. A role that is left out has the profile's.
        sets: overrides, `ROLE.OPTION=VALUE`.
    """

    roles: Mapping[str, Sequence[str]]
    sets: Sequence[str | Override] = ()


@dataclass(frozen=True)
class RunResult:
    """A planned row with its record, and the file that it was written to."""

    row: PlannedRun
    path: Path
    record: record.Record


@dataclass
class Benchmark:
    """A planned benchmark.

    Attributes:
        request, settings, workspace, plan: what will be done; `settings` of each grid.
        store: where outputs go.
        done: the rows that have a record so far.
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
        store: Path | None = None,
        notify: Notify = log.info,
    ) -> Benchmark:
        """Read the data and plan the grids; what they share is done once.

        Args:
            grids: what to combine.
            data: folder that holds data sets at any depth; None: synthetic frames are made.
            datasets: to test on; None: all found.
            train_on: to train on; None: the one tested on.
            protocol: the split of the data sets tested on, or files of splits with commas; None: their cards' first.
            scanners: to use; None: all.
            seeds: of training; the split stays.
            profile: options of all plugins; None: `smoke` on synthetic frames, `cpu` without CUDA, else `paper`.
            sets: overrides of every grid, `ROLE.OPTION=VALUE`; they come after its own.
            scale: factor on all schedules, those options that plugins count in optimizer steps.
            matcher: `mitos`, `greedy`, `hungarian` or `midog`.
            device: `auto`, `cpu` or `cuda`.
            processes: that a fit is distributed over.
            store: folder of the stages' outputs.
            say: is told what a user should know.

        Raises MitobenchError for whatever of this does not exist or does not fit together.
        """
        named = [{role: _expand(role, names) for role, names in grid.roles.items()} for grid in grids]
        train_on = list(dict.fromkeys(train_on or ()))
        _matcher(matcher)
        device = find_device(device, processes)
        _check_options(named, [Settings.load(profile or ANY_PROFILE, [*grid.sets, *sets], scale) for grid in grids])
        root, tested = _find(data, datasets, train_on, protocol, scanners, notify)
        synthetic = all(name.startswith(SYNTHETIC) for name in tested)
        profile = profile or ("smoke" if synthetic else "cpu" if device == "cpu" else "paper")
        settings = [Settings.load(profile, [*grid.sets, *sets], scale) for grid in grids]
        named = [_with_defaults(roles, of, notify) for roles, of in zip(named, settings, strict=True)]
        estimators = {name for roles in named for name in roles["estimator"]}
        workspace = _read(root, tested, train_on, protocol, scanners, _learns_from_masks(estimators), notify)
        request = Request(
            datasets=tested,
            train_on=tuple(train_on),
            seeds=tuple(seeds),
            matcher=_matcher(matcher),
            device=device,
            amp=device == "cuda",
            processes=processes,
            only_scanners=tuple(scanners) if scanners else None,
        )
        plan = build(list(zip(named, settings, strict=True)), request, workspace)
        return cls(request, settings, workspace, plan, Store(store or default_store()))

    def run(self, out: Path, listener: executors.ProgressListener | None = None, jobs: int = 1) -> None:
        """Do all stages; the record of a combination is written below `out/records` as soon as its stages are done."""
        self.store.open()
        started = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        results: dict[str, executors.StageResult] = {}

        def write(row: PlannedRun) -> None:
            try:
                made = assemble(row, results, self.request, self.workspace, started)
            except (LookupError, TypeError, ValueError, AttributeError) as reason:
                raise StoreError(
                    f"The store {self.store.root} holds what no stage of {row.combination.title} writes "
                    f"({type(reason).__name__}: {reason}). Give another folder with --store."
                ) from reason
            path = record.write(out / "records", made.record, made.detections, made.validation)
            self.done.append(RunResult(row, path, record.read(path)))

        waiting = [row for row in self.plan.rows if row.problem is None]
        for key, result in executors.run(
            self.plan, self.store, self.workspace, listener or executors.ProgressListener(), jobs
        ):
            results[key] = result
            for row in [row for row in waiting if all(stage.key in results for stage in row.stages.values())]:
                waiting.remove(row)
                write(row)
        for row in self.problems:
            if row.problem and row.problem[0] == "broken":
                write(row)

    @property
    def records(self) -> list[tuple[Path, record.Record]]:
        """All records so far, with their files."""
        return [(done.path, done.record) for done in self.done]

    @property
    def problems(self) -> list[PlannedRun]:
        """Rows that cannot be done: not applicable, or a broken plugin."""
        return [row for row in self.plan.rows if row.problem]

    @property
    def has_failures(self) -> bool:
        """Whether a row failed, for a broken plugin or in a stage; what is not applicable spoils nothing."""
        return any(done.record.status != "ok" for done in self.done)


def _expand(role: str, names: Sequence[str]) -> list[str]:
    stripped = [name.strip() for name in names if name.strip()]
    if "all" in stripped:
        return discovery.names(role)
    if not stripped:
        raise MitobenchError(f"--{role}: give at least one name. There is: {', '.join(discovery.names(role))}.")
    for name in stripped:
        if name not in discovery.names(role):
            discovery.find(role, name)  # raises with the nearest names
    return list(dict.fromkeys(stripped))


def _with_defaults(roles: Mapping[str, list[str]], settings: Settings, notify: Notify) -> dict[str, list[str]]:
    """The names of all roles: those given, and the profile's default of each role that is left out."""
    named = dict(roles)
    for role in (role for role in ROLES if role not in roles):
        name, note = settings.default(role)
        named[role] = [name]
        if note:
            notify(note)
    return named


def find_device(asked: str, processes: int = 1) -> str:
    """`cpu` or `cuda`, for `auto` the best there is. Raises MitobenchError for one that is not there."""
    if asked not in ("auto", "cpu", "cuda"):
        raise MitobenchError(f"--device {asked}: must be auto, cpu or cuda.")
    found = len(compute.cuda_devices()) if asked != "cpu" else 0
    if asked == "cuda" and not found:
        raise MitobenchError("--device cuda: torch finds no CUDA device; `mitobench doctor` tells more.")
    device = "cuda" if found else "cpu"
    if device == "cuda" and found < processes:
        raise MitobenchError(f"--gpus {processes}: torch finds {found} CUDA devices.")
    return device


def _check_options(named: Sequence[Mapping[str, Sequence[str]]], settings: Sequence[Settings]) -> None:
    """Refuse options that no plugin has, or of a wrong type, before any data is read; the plan says what is broken.

    Raises MitobenchError naming where the option was given.
    """
    works = [
        _takes(own, role, name)
        for roles, own in zip(named, settings, strict=True)
        for role in roles
        for name in roles[role]
    ]
    for own in settings:
        own.pipeline()
    if all(works):
        for own in settings:
            own.check_all_used(settings)


def _takes(settings: Settings, role: str, name: str) -> bool:
    """Whether a plugin and those that it requires load and take their options."""
    try:
        cls = discovery.load(role, name)
    except PluginError:
        return False
    options = settings.options(role, cls)
    try:
        for of, required in cls.requires(options).items():
            settings.options(of, discovery.load(of, required.name), required.options)
    except Exception:  # what a plugin raises here makes its own rows broken, no others
        return False
    return True


def _matcher(name: str) -> str:
    from mitobench.evaluate.matching import find_matcher

    find_matcher(name)
    return name


def _find(
    data: Path | None,
    wanted: Sequence[str] | None,
    train_on: Sequence[str] | None,
    protocol: str | None,
    scanners: Sequence[str] | None,
    notify: Notify,
) -> tuple[Path, list[str]]:
    """The folder of the data and the data sets to test on."""
    for name in (*(wanted or ()), *(train_on or ())):
        discovery.find("dataset", name)
    only_synthetic = wanted is not None and all(n.startswith(SYNTHETIC) for n in (*wanted, *(train_on or ())))
    if data is None and (wanted is None or only_synthetic):
        from mitobench.datasets import synthetic

        _check_parts(wanted or [SYNTHETIC], protocol, scanners)
        notify("No data given (--data or MITOBENCH_DATA): using SYNTHETIC frames, made by a program.")
        root = synthetic.ensure()
        notify(f"They are in {root}.")
        return root, list(wanted or [SYNTHETIC])
    if data is None:
        raise MitobenchError(f"{', '.join(wanted or ())}: say where it is, with --data FOLDER or MITOBENCH_DATA.")
    if not data.is_dir():
        raise DataError(f"{data}: is no folder. Give the folder that holds the data sets with --data.")
    if wanted is not None:
        return data, list(dict.fromkeys(wanted))
    found = data_sets.available(data)
    if not found:
        known = ", ".join(discovery.names("dataset"))
        raise DataError(f"{data}: holds no data set at any depth. Looked for: {known}. Leave out --data for synthetic.")
    return data, found


def _check_parts(names: Sequence[str], protocol: str | None, scanners: Sequence[str] | None) -> None:
    """Refuse a protocol or scanner that a data set cannot have, before it is made. Raises MitobenchError."""
    for name in names:
        card = data_sets.reader(name).card()
        splits.load_split(name, _protocol_of(name, protocol) if protocol else card.default_protocol)
        for scanner in scanners or ():
            if scanner not in card.mpp:
                raise DataError(f"{name} has no scanner {scanner!r}. {nearest(scanner, card.mpp)}")


def _read(
    root: Path,
    tested: Sequence[str],
    train_on: Sequence[str],
    protocol: str | None,
    scanners: Sequence[str] | None,
    masks_wanted: bool,
    notify: Notify,
) -> Workspace:
    """The data sets asked for with their splits, and those whose masks an estimator learns from where it needs any."""
    read: dict[str, data_sets.Dataset] = {}
    parts: dict[str, splits.Split] = {}
    for name in dict.fromkeys([*tested, *train_on]):
        own = _protocol_of(name, protocol) if protocol and name in tested else None
        read[name], parts[name] = _with_split(name, root, own, scanners)
        for note in read[name].notes:
            notify(f"{name}: {note}")
        if read[name].coverage:
            notify(f"{name}: {read[name].coverage}.")
    if masks_wanted and not all(dataset.card.has_masks for dataset in read.values()):
        for name in _other_mask_sources(root, read):
            try:
                read[name], parts[name] = _with_split(name, root, None, _there(name, root, scanners))
            except MitobenchError as reason:
                notify(f"{name} cannot serve as a source of masks: {reason}")
    return Workspace(read, parts)


def _protocol_of(dataset: str, given: str) -> str:
    """What `--protocol` says of a data set: a name is for all of them, a `.json` file for the one that it splits."""
    several = [part.strip() for part in given.split(",") if part.strip()]
    parts = [given] if len(several) < 2 or Path(given).is_file() else several
    fitting = [part for part in parts if not part.endswith(".json") or splits.read_split(Path(part)).dataset == dataset]
    if not fitting:
        raise MitobenchError(
            f"--protocol: none of {', '.join(parts)} splits {dataset!r}. Give one file for each data set, with commas."
        )
    return fitting[0]


def _there(name: str, root: Path, scanners: Sequence[str] | None) -> list[str] | None:
    """Those of the scanners that a source of masks has; None, for all of its own, where it has none of them."""
    return [scanner for scanner in scanners or () if scanner in data_sets.load(name, root).scanners] or None


def _learns_from_masks(estimators: Iterable[str]) -> bool:
    for name in estimators:
        with suppress(PluginError):  # the plan says what is broken
            if discovery.load("estimator", name).learns_from_masks:  # type: ignore[attr-defined]
                return True
    return False


def _with_split(
    name: str, root: Path, protocol: str | None, scanners: Iterable[str] | None
) -> tuple[data_sets.Dataset, splits.Split]:
    dataset = data_sets.load(name, root)
    if scanners:
        dataset = dataset.select(scanners)
    return dataset, splits.assign(splits.load_split(name, protocol or dataset.card.default_protocol), dataset)


def _other_mask_sources(root: Path, read: Mapping[str, Any]) -> list[str]:
    return [name for name in data_sets.available(root) if name not in read and data_sets.reader(name).card().has_masks]
