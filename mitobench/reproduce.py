"""Runs a record's combination again and compares the results: the Python interface behind `mitobench reproduce`.

Options, data sets, split, seed and matcher come from the record; only the folder of the data is given. By default, the
outputs of stages go to a temporary store, so that cached outputs are not compared with themselves.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mitobench import discovery
from mitobench.api import Plugin
from mitobench.benchmark import Benchmark, Grid
from mitobench.content import check_brought
from mitobench.datasets import splits
from mitobench.discovery import ROLES
from mitobench.errors import DataError, MitobenchError, PluginError, RecordError
from mitobench.file_cache import computing_anew
from mitobench.pipeline import canonical, trust
from mitobench.pipeline.executors import Executor, ProgressListener
from mitobench.pipeline.graph import UNUSED
from mitobench.pipeline.overrides import Override
from mitobench.pipeline.pipeline_options import PipelineOptions
from mitobench.pipeline.plugin_ref import PRETRAINED, has_pretrained
from mitobench.results import option_files, record, resource_estimate
from mitobench.results.check import check
from mitobench.results.local_datasets import LocalDatasets
from mitobench.results.option_files import FileEntry
from mitobench.results.record_files import packed_otherwise, record_files
from mitobench.results.reproducibility import Reproducibility, reproducibility
from mitobench.results.schema import Record

Notify = Callable[[str], None]
ShowProgress = Callable[[Sequence[Benchmark]], AbstractContextManager[ProgressListener]]

# Which profile does not matter: the record's options override all of the profile's.
PROFILE = "smoke"


@computing_anew()
def reproduce(
    path: Path,
    *,
    data: Path | None = None,
    store: Path | None = None,
    out: Path | None = None,
    executor: Executor | None = None,
    allow: Collection[str] = (),
    show_progress: ShowProgress,
    notify: Notify,
) -> Reproducibility:
    """Run a record's combination again and compare.

    Args:
        path: the record's .json file. Records of other seeds in the same folder are read for comparison, not run.
        data: folder that contains its data sets; None: synthetic frames are generated.
        store: folder for the outputs of stages; None: a temporary one, so that everything is computed again.
        out: folder for the new record, which goes to its `records/`; None: the new record is not kept.
        executor: where the stages run; None: in this process.
        allow: what the record's plugins may do beyond computing: `external` (run the programs that it names),
            `download` (contact the hubs that it names, if MITOBENCH_ALLOW_DOWNLOAD is set).
        show_progress: shows the progress of the run.
        notify: called with each message for the user.

    Digests of the data's files are computed anew.

    Without a run, the verdict is `different` if the record contradicts itself, or if its test frames differ from those
    in `data`. Raises RecordError for a file that is not a record, was edited, or is damaged, and MitobenchError for a
    plugin or data set that is not available here, or something that its plugins would do and that is not allowed.
    """
    recorded = record.read_with_detections(path)
    if packed := packed_otherwise(path):
        raise RecordError(packed)
    problems = check(path).problems
    if problems:
        return Reproducibility.refused(recorded, problems)
    local = LocalDatasets(data)
    try:
        local.workspace(recorded)
    except DataError as reason:
        return Reproducibility.refused(recorded, [str(reason)])
    with tempfile.TemporaryDirectory(prefix="mitobench-") as temporary, trust.only(allow):
        benchmark = _prepared(path, recorded, local, Path(temporary), store, allow, notify)
        impossible = [row.problem[1] for row in benchmark.problems if row.problem]
        if impossible:
            raise MitobenchError(f"{path}: cannot be reproduced here: {impossible[0]}")
        with show_progress([benchmark]) as listener:
            benchmark.run(out or Path(temporary, "out"), listener, executor)
        ((_, again),) = benchmark.records
    return reproducibility(recorded, again, _other_seeds(path, recorded))


def _prepared(
    path: Path,
    recorded: Record,
    local: LocalDatasets,
    temporary: Path,
    store: Path | None,
    allow: Collection[str],
    notify: Notify,
) -> Benchmark:
    combination = recorded.combination
    roles = {role: [str(combination[role])] for role in ROLES}
    if combination["estimator"] == UNUSED:
        roles["estimator"] = [_any_estimator()]
    return Benchmark.prepare(
        [Grid(roles, list(_overrides(path, recorded, temporary / "files")))],
        data=local.folder(combination["dataset"]),
        datasets=[combination["dataset"]],
        train_on=combination["train_on"],
        protocol=_protocol(recorded, temporary),
        scanners=recorded.only_scanners,
        seeds=[combination["seed"]],
        profile=PROFILE,
        matcher=recorded.pipeline["matcher"],
        device="cpu" if recorded.device == "cpu" else "auto",
        processes=resource_estimate.processes(recorded),
        threads=resource_estimate.threads(recorded),
        store=store or temporary / "store",
        allow=allow,
        typed=False,
        notify=notify,
    )


def _protocol(recorded: Record, temporary: Path) -> str:
    """Returns the protocol's name, or the path of a copy of the record's split if nothing installed has it."""
    dataset = recorded.combination["dataset"]
    split = recorded.data[dataset].split
    if split.content is None or split.protocol in splits.protocols(dataset):
        return split.protocol
    own = temporary / "split.json"
    own.write_text(canonical.dumps(split.content), encoding="utf-8")
    return str(own)


def _overrides(path: Path, recorded: Record, folder: Path) -> Iterator[Override]:
    """Yields the record's options as overrides, as far as these options still exist.

    The files among the options are written below `folder`.
    """
    main_detectors = {entry.name for role, entry in recorded.plugins.items() if role == "detector"}
    for number, (where, entry) in enumerate(recorded.plugins.items()):
        role = where if where in ROLES else "detector"  # `verifier requires frcnn`: only a detector can be required
        if where in ROLES or entry.name not in main_detectors:
            plugin = discovery.load(role, entry.name)
            check_path(plugin, entry.name)
            option_files.write(folder / str(number), entry.files, _in_current_directory)
            recorded_options = option_files.options_with(entry.options, folder / str(number))
            options = _current(plugin.Options, recorded_options)
            _check_files(plugin, entry.name, options, option_files.places(folder / str(number)))
            options = {PRETRAINED: "none", **options}  # fits of records without this option began from random weights
            for option in options.keys() & plugin.Options.model_fields.keys():
                value = _weights(plugin, options) if option == PRETRAINED else options[option]
                text = f"{role}.{entry.name}.{option}={canonical.dumps(value)}"
                yield Override(str(path), text, role, entry.name, option, value)
    pipeline = _current(PipelineOptions, recorded.pipeline)
    for option in PipelineOptions.model_fields.keys() & pipeline.keys():
        value = pipeline[option]
        yield Override(str(path), f"pipeline.{option}={canonical.dumps(value)}", "pipeline", None, option, value)


def check_path(plugin: type[Plugin], spec: str) -> None:
    """Raises RecordError if a spec of a record, `NAME:PATH`, leads out of the current directory."""
    argument = discovery.split(spec)[1]
    if argument is None or not plugin.is_path(argument):
        return
    path = Path(argument)
    if path.is_absolute() or ".." in path.parts or argument.startswith("~") or ":" in argument:
        raise RecordError(
            f"The record names {spec!r}, a path of the machine that it was made on, which is not opened. Run it again "
            "with your own path: `mitobench run`."
        )


def _check_files(plugin: type[Plugin], spec: str, options: Mapping[str, Any], brought: Collection[str]) -> None:
    """Raises RecordError if an option names a file of this machine: the new record would hold its content."""
    known = {option: value for option, value in options.items() if option in plugin.Options.model_fields}
    with suppress(ValidationError):  # other values that are wrong are reported by the plan
        read = plugin.Options.model_validate({**known, PRETRAINED: "none"} if PRETRAINED in known else known)
        try:
            check_brought(read, brought)
        except ValueError as reason:
            raise RecordError(f"The record's {spec}: {reason}. It is not used.") from reason


def _current(options: type[Any], recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Returns recorded options under their current names."""
    return {options.renamed.get(option, option): value for option, value in recorded.items()}


def _weights(plugin: Any, options: Mapping[str, Any]) -> str:
    """Returns the path of a record's pretrained weights, which the record gives as `NAME, sha256 DIGEST`; or `none`.

    Looks in the folder of weights and in the current directory; returns `auto` if that finds the file elsewhere. Raises
    MitobenchError if the file is not found.
    """
    from mitobench.training.pretrained import weights_folder

    recorded = str(options[PRETRAINED])
    name, _, digest = recorded.partition(", sha256 ")
    if not digest:
        if recorded == "none" or not has_pretrained(plugin):
            return recorded
        raise RecordError(f"The record names the weights {recorded!r} without their SHA-256, so they are not read.")
    if Path(name).name != name:
        raise RecordError(f"The record's fit started from {name!r}, which is not the name of a file.")
    own: Path | None = None
    if not (weights_folder() / name).is_file():
        current = {option: value for option, value in options.items() if option in plugin.Options.model_fields}
        # the plugin may bring the file: then this writes it to the folder of weights, or finds it in its own place
        own = plugin.pretrained(plugin.Options.model_validate({**current, PRETRAINED: "auto"}))
    for path in (weights_folder() / name, Path(name)):  # a path from a record is never opened
        if path.is_file() and canonical.file_digest(path) == digest:
            return str(path)
    if own and canonical.file_digest(own) == digest:  # elsewhere, for example in the cache of a hub
        return "auto"
    raise MitobenchError(
        f"The record's fit started from {name} (SHA-256 {digest}), which is not here. Put it into {weights_folder()}."
    )


def _in_current_directory(entry: FileEntry) -> Path:
    """Returns where to look for an option's file if the record does not contain its content: here, by its name."""
    return Path(entry.name)


def _any_estimator() -> str:
    """Returns an estimator for a combination that uses none: one that does not learn from masks of other data sets."""
    for name in discovery.names("estimator"):
        with suppress(PluginError):
            if not discovery.family("estimator", name).learns_from_masks:  # type: ignore[attr-defined]
                return name
    raise MitobenchError("No box estimator is installed. Run `mitobench list` to see the installed plugins.")


def _other_seeds(path: Path, recorded: Record) -> list[Record]:
    """Returns the successful records in the same folder that differ only in the seed. They are not run again."""
    siblings: list[Record] = []
    with suppress(RecordError):  # the folder may not be listed
        for other in record_files(path.parent, below=False):
            with suppress(RecordError):
                sibling = record.read(other)
                if sibling.status == "ok" and sibling.series == recorded.series:
                    siblings.append(sibling)
    return siblings
