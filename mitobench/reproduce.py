"""Does again what a record says was done, and compares.

Options, data, split, seed and matcher are taken from the record itself; only where the data lies is given. The outputs
of stages go to a folder of their own unless another is given, so that nothing cached is compared with itself.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

from mitobench import compute, discovery
from mitobench.benchmark import Benchmark, Grid
from mitobench.discovery import ROLES
from mitobench.errors import DataError, MitobenchError, PluginError, RecordError
from mitobench.pipeline import canonical
from mitobench.pipeline.executors import ProgressListener
from mitobench.pipeline.plan import UNUSED
from mitobench.pipeline.plugins import PRETRAINED
from mitobench.pipeline.settings import Override, PipelineOptions
from mitobench.results import demands, option_files, record
from mitobench.results.check import check
from mitobench.results.copies import Copies
from mitobench.results.option_files import FileEntry
from mitobench.results.reproducibility import Reproducibility, reproducibility
from mitobench.results.schema import Record

Notify = Callable[[str], None]
ShowProgress = Callable[[Benchmark], AbstractContextManager[ProgressListener]]

# Any profile does: every option that a plugin has is taken from the record, over the profile's.
PROFILE = "smoke"


def reproduce(
    path: Path,
    *,
    data: Path | None = None,
    store: Path | None = None,
    out: Path | None = None,
    show_progress: ShowProgress,
    notify: Notify,
) -> Reproducibility:
    """Run a record's combination again and compare.

    Args:
        path: the record's .json file; the other seeds of its series, unverified, are looked for beside it.
        data: folder that holds its data sets; None: synthetic frames are made.
        store: of the stages' outputs; None: a temporary one, so that everything is computed again.
        out: takes the new record below its `records`; None: it is not kept.
        watch: shows the progress of the run.
        say: is told what a user should know.

    A record that contradicts itself, or whose test frames are others here, is different; then nothing is run.
    Raises RecordError for a file that is no record or was edited, MitobenchError for what is not installed or not here.
    """
    recorded = record.read(path)
    problems = check(path).problems
    if problems:
        return Reproducibility.refused(recorded, problems)
    copies = Copies(data)
    try:
        copies.workspace(recorded)
    except DataError as reason:
        return Reproducibility.refused(recorded, [str(reason)])
    with tempfile.TemporaryDirectory(prefix="mitobench-") as temporary, _threads(recorded):
        benchmark = _prepared(path, recorded, copies, Path(temporary), store, notify)
        impossible = [row.problem[1] for row in benchmark.problems if row.problem]
        if impossible:
            raise MitobenchError(f"{path}: cannot be done here: {impossible[0]}")
        with show_progress(benchmark) as listener:
            benchmark.run(out or Path(temporary, "out"), listener)
        ((_, again),) = benchmark.records
    return reproducibility(recorded, again, _series(path, recorded))


def _prepared(
    path: Path, recorded: Record, copies: Copies, temporary: Path, store: Path | None, notify: Notify
) -> Benchmark:
    combination = recorded.combination
    roles = {role: [str(combination[role])] for role in ROLES}
    if combination["estimator"] == UNUSED:
        roles["estimator"] = [_any_estimator()]
    return Benchmark.prepare(
        [Grid(roles, list(_overrides(path, recorded, temporary / "files")))],
        data=copies.folder(combination["dataset"]),
        datasets=[combination["dataset"]],
        train_on=combination["train_on"],
        protocol=_protocol(recorded, temporary),
        scanners=recorded.only_scanners,
        seeds=[combination["seed"]],
        profile=PROFILE,
        matcher=recorded.pipeline["matcher"],
        device="cpu" if recorded.device == "cpu" else "auto",
        processes=demands.processes(recorded),
        store=store or temporary / "store",
        notify=notify,
    )


def _protocol(recorded: Record, temporary: Path) -> str:
    """The protocol's name; the path of a copy of the record's own split, where it brings one."""
    split = recorded.data[recorded.combination["dataset"]].split
    if split.content is None:
        return split.protocol
    own = temporary / "split.json"
    own.write_text(canonical.dumps(split.content), encoding="utf-8")
    return str(own)


def _overrides(path: Path, recorded: Record, folder: Path) -> Iterator[Override]:
    """All options of the record that are still there, each with the record as the place where it was given.

    The files among them are written below `folder`.
    """
    taken = {entry.name for role, entry in recorded.plugins.items() if role == "detector"}
    for number, (where, entry) in enumerate(recorded.plugins.items()):
        role = where if where in ROLES else "detector"  # `verifier requires frcnn`: only a detector can be required
        if where in ROLES or entry.name not in taken:
            plugin = discovery.load(role, entry.name)
            there = plugin.Options.model_fields
            option_files.write(folder / str(number), entry.files, _in_current_directory)
            recorded_options = option_files.options_with(entry.options, folder / str(number))
            options = _current(plugin.Options, recorded_options)
            options = {PRETRAINED: "none", **options}  # a record from before that option began from nothing
            for option in options.keys() & there.keys():
                value = _weights(plugin, options) if option == PRETRAINED else options[option]
                text = f"{role}.{entry.name}.{option}={canonical.dumps(value)}"
                yield Override(str(path), text, role, entry.name, option, value)
    pipeline = _current(PipelineOptions, recorded.pipeline)
    for option in PipelineOptions.model_fields.keys() & pipeline.keys():
        value = pipeline[option]
        yield Override(str(path), f"pipeline.{option}={canonical.dumps(value)}", "pipeline", None, option, value)


def _current(options: type[Any], recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Recorded options under the names that they have now."""
    return {options.renamed.get(option, option): value for option, value in recorded.items()}


def _weights(plugin: Any, options: Mapping[str, Any]) -> str:
    """The file of pretrained weights that a record knows by `NAME, sha256 DIGEST`. Raises MitobenchError without it."""
    from mitobench.training.pretrained import weights_folder

    known = str(options[PRETRAINED])
    name, _, digest = known.partition(", sha256 ")
    if not digest:  # none
        return known
    if Path(name).name != name:
        raise RecordError(f"It started from {name!r}, which is not the name of a file.")
    if not (weights_folder() / name).is_file():
        there = {option: value for option, value in options.items() if option in plugin.Options.model_fields}
        plugin.pretrained(plugin.Options.model_validate({**there, PRETRAINED: "auto"}))  # puts there what can be had
    for path in (weights_folder() / name, Path(name)):  # never a path out of the record
        if path.is_file() and canonical.file_digest(path) == digest:
            return str(path)
    raise MitobenchError(f"It started from {name} (SHA-256 {digest}): put that file into {weights_folder()}.")


def _in_current_directory(wanted: FileEntry) -> Path:
    """Where an option's file may lie whose content no record holds. Never a path out of the record."""
    return Path(wanted.name)


def _any_estimator() -> str:
    """An estimator to name where none is used: one that needs no other data set to be read."""
    for name in discovery.names("estimator"):
        with suppress(PluginError):
            if not discovery.load("estimator", name).learns_from_masks:  # type: ignore[attr-defined]
                return name
    raise MitobenchError("No box estimator is installed; `mitobench list` shows what is.")


@contextmanager
def _threads(recorded: Record) -> Iterator[None]:
    """As many threads as the record had: on a CPU their number decides the last bits."""
    before = compute.threads()
    compute.set_threads(demands.threads(recorded) or before)
    try:
        yield
    finally:
        compute.set_threads(before)


def _series(path: Path, recorded: Record) -> list[Record]:
    """The other good records beside it that differ in nothing but the seed; they are not verified by a run."""
    found: list[Any] = []
    for other in sorted(set(path.parent.glob("*.json")) - {path}):
        with suppress(MitobenchError):
            sibling = record.read(other)
            if sibling.status == "ok" and sibling.series == recorded.series:
                found.append(sibling)
    return found
