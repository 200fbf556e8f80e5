"""Does again what a record says was done, and compares.

Options, data, seed, gate and matcher are taken from the record itself; its command tells only what no record holds:
where the data lay, and a split of one's own. The outputs of stages go to a folder of their own unless told otherwise,
so that nothing cached vouches for itself.
"""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

from mitobench import discovery
from mitobench.benchmark import SYNTHETIC, Benchmark, Grid
from mitobench.discovery import ROLES
from mitobench.errors import DataError, MitobenchError, PluginError
from mitobench.pipeline import canonical
from mitobench.pipeline.executors import Watcher
from mitobench.pipeline.plan import UNUSED
from mitobench.pipeline.plugins import PRETRAINED
from mitobench.pipeline.settings import Override, PipelineOptions
from mitobench.results import demands, record
from mitobench.results.agreement import Agreement, agreement
from mitobench.results.check import check
from mitobench.results.record import Record
from mitobench.results.rematch import Copies

Say = Callable[[str], None]
Watch = Callable[[Benchmark], AbstractContextManager[Watcher]]

# Any profile does: every option that a plugin has is taken from the record, over the profile's.
PROFILE = "smoke"


def reproduce(
    path: Path, *, data: Path | None = None, store: Path | None = None, out: Path | None = None, watch: Watch, say: Say
) -> Agreement:
    """Run a record's combination again and compare.

    Args:
        path: the record's .json file; the other seeds of its series, unverified, are looked for beside it.
        data: folder that holds its data sets; None: where its command had them, or synthetic frames.
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
        return Agreement.refused(recorded, problems)
    copies = Copies(_data(recorded, data))
    whole = copies.dataset(recorded.combination["dataset"])
    protocol = _own_split(recorded) or recorded.combination["protocol"]
    try:
        workspace = copies.workspace(recorded, protocol)
    except DataError as reason:
        return Agreement.refused(recorded, [str(reason)])
    scanners = workspace.datasets[whole.name].scanners
    if scanners == whole.scanners:  # the command tells whether that was by chance: other data sets may have more
        scanners = tuple(filter(None, (_told(recorded, "--scanner") or "").split(",")))
    with tempfile.TemporaryDirectory(prefix="mitobench-") as temporary, _threads(recorded):
        benchmark = _prepared(path, recorded, copies.root, protocol, scanners, store or Path(temporary, "store"), say)
        impossible = [row.problem[1] for row in benchmark.problems if row.problem]
        if impossible:
            raise MitobenchError(f"{path}: cannot be done here: {impossible[0]}")
        with watch(benchmark) as watcher:
            benchmark.run(out or Path(temporary, "out"), watcher)
        ((_, again),) = benchmark.records
    return agreement(recorded, again, _series(path, recorded))


def _prepared(
    path: Path, recorded: Record, data: Path, protocol: str, scanners: tuple[str, ...], store: Path, say: Say
) -> Benchmark:
    combination = recorded.combination
    roles = {role: [str(combination[role])] for role in ROLES}
    if combination["estimator"] == UNUSED:
        roles["estimator"] = [_any_estimator()]
    return Benchmark.prepare(
        [Grid(roles, list(_overrides(path, recorded)))],
        data=data,
        datasets=[combination["dataset"]],
        train_on=combination["train_on"],
        protocol=protocol,
        scanners=scanners,
        seeds=[combination["seed"]],
        profile=PROFILE,
        matcher=recorded.pipeline["matcher"],
        device="cpu" if recorded.device == "cpu" else "auto",
        processes=demands.processes(recorded),
        store=store,
        command=recorded.run.command,
        say=say,
    )


def _overrides(path: Path, recorded: Record) -> Iterator[Override]:
    """All options of the record that are still there, each with the record as the place where it was given."""
    taken = {entry.name for role, entry in recorded.plugins.items() if role == "detector"}
    for where, entry in recorded.plugins.items():
        role = where if where in ROLES else "detector"  # `verifier requires frcnn`: only a detector can be required
        if where in ROLES or entry.name not in taken:
            plugin = discovery.load(role, entry.name)
            there = plugin.Options.model_fields
            options = {PRETRAINED: "none", **entry.options}  # a record from before that option began from nothing
            for option in options.keys() & there.keys():
                value = _weights(recorded, plugin, options) if option == PRETRAINED else options[option]
                text = f"{role}.{entry.name}.{option}={canonical.dumps(value)}"
                yield Override(str(path), text, role, entry.name, option, value)
    for option in PipelineOptions.model_fields.keys() & recorded.pipeline.keys():
        value = recorded.pipeline[option]
        yield Override(str(path), f"pipeline.{option}={canonical.dumps(value)}", "pipeline", None, option, value)


def _weights(recorded: Record, plugin: Any, options: Mapping[str, Any]) -> str:
    """The file of pretrained weights that a record knows by `NAME, sha256 DIGEST`. Raises MitobenchError without it."""
    from mitobench.training.pretrained import weights_folder

    known = str(options[PRETRAINED])
    name, _, digest = known.partition(", sha256 ")
    if not digest:  # none
        return known
    if not (weights_folder() / name).is_file():
        there = {option: value for option, value in options.items() if option in plugin.Options.model_fields}
        plugin.pretrained(plugin.Options.model_validate({**there, PRETRAINED: "auto"}))  # puts there what can be had
    given = [Path(text.partition("=")[2]) for text in recorded.overrides if f".{PRETRAINED}=" in text]
    for path in (weights_folder() / name, *given):
        if path.is_file() and canonical.file_digest(path) == digest:
            return str(path)
    raise MitobenchError(f"It started from {name} (SHA-256 {digest}): put that file into {weights_folder()}.")


def _any_estimator() -> str:
    """An estimator to name where none is used: one that needs no other data set to be read."""
    for name in discovery.names("estimator"):
        with suppress(PluginError):
            if not discovery.load("estimator", name).learns_from_masks:  # type: ignore[attr-defined]
                return name
    raise MitobenchError("No box estimator is installed; `mitobench list` shows what is.")


def _data(recorded: Record, given: Path | None) -> Path:
    told = _told(recorded, "--data")
    if given is not None or (told and Path(told).is_dir()):
        return given or Path(str(told))
    names = sorted(recorded.data)
    if all(name.startswith(SYNTHETIC) for name in names):
        from mitobench.datasets import synthetic

        return synthetic.ensure()
    raise MitobenchError(f"{', '.join(names)}: say where it is, with --data FOLDER or MITOBENCH_DATA.")


def _own_split(recorded: Record) -> str | None:
    """The file that the command names as split, where it is here."""
    told = _told(recorded, "--protocol")
    return told if told and told.endswith(".json") and Path(told).is_file() else None


def _told(recorded: Record, option: str) -> str | None:
    """The value of an option in the record's command."""
    try:
        words = shlex.split(recorded.run.command or "")
    except ValueError:  # a quote that is not closed
        return None
    joined = [word.partition("=")[2] for word in words if word.startswith(f"{option}=")]
    apart = [value for name, value in pairwise(words) if name == option]
    return next(iter([*apart, *joined]), None)


@contextmanager
def _threads(recorded: Record) -> Iterator[None]:
    """As many threads as the record had: on a CPU their number decides the last bits."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(demands.threads(recorded) or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _series(path: Path, recorded: Record) -> list[Record]:
    """The other good records beside it that differ in nothing but the seed; they are not verified by a run."""
    found: list[Any] = []
    for other in sorted(set(path.parent.glob("*.json")) - {path}):
        with suppress(MitobenchError):
            sibling = record.read(other)
            if sibling.status == "ok" and sibling.series == recorded.series:
                found.append(sibling)
    return found
