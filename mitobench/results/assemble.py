"""Makes a record of a planned combination and of what became of its stages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mitobench import registry
from mitobench.discovery import ROLES
from mitobench.errors import StoreError
from mitobench.evaluate import BoxScores, FrameEntry, Metrics
from mitobench.foreign import read_json
from mitobench.foreign.limits import MAX_RECORD_BYTES
from mitobench.pipeline import arrays
from mitobench.pipeline.executors import StageResult
from mitobench.pipeline.frame_prediction import frame_prediction
from mitobench.pipeline.graph import PlannedRun, Request
from mitobench.pipeline.plan import UNUSED, learned_from
from mitobench.pipeline.plugins import PluginRef
from mitobench.pipeline.settings import PipelineOptions
from mitobench.pipeline.stages.candidates import DETECTIONS
from mitobench.pipeline.stages.job import TRAINING_INFO
from mitobench.pipeline.stages.stage import Stage
from mitobench.pipeline.workspace import Workspace
from mitobench.results import option_files, provenance
from mitobench.results.command import command_of
from mitobench.results.copies import split_digest
from mitobench.results.schema import Chosen, DataEntry, Frames, PluginEntry, Record, Run, SplitEntry


@dataclass(frozen=True)
class Assembled:
    """A record, with the CSV texts of its detections on test and validation frames; None where it has none."""

    record: Record
    detections: str | None = None
    validation: str | None = None


def assemble(
    row: PlannedRun,
    results: Mapping[str, StageResult],
    request: Request,
    workspace: Workspace,
    started: str,
) -> Assembled:
    """The record of a combination; without scores where it failed, or a plugin is broken."""
    common: dict[str, Any] = {
        "combination": {**asdict(row.combination), "train_on": list(row.combination.train_on)},
        "profile": row.settings.profile,
        "overrides": [_portable(text) for text in _overrides(row)],
        "scale": row.settings.scale,
        "only_scanners": list(request.only_scanners) if request.only_scanners else None,
        "plugins": {role: _plugin(ref) for role, ref in (*row.refs.items(), *_required(row))},
        "pipeline": {
            **row.settings.pipeline().for_detector(row.combination.detector).model_dump(mode="json"),
            "matcher": request.matcher,
            "radius_um": workspace.card(row.combination.dataset).radius_um,
            "processes": request.processes,
        },
        "data": {name: _data(workspace, name) for name in _datasets(row)},
        "stages": {role: stage.key for role, stage in row.stages.items()},
        "specs": {stage.key: stage.spec for stage in _all_stages(row)},
        "training_info": _training_info(row, results),
        "notes": _notes(row, workspace),
        "versions": provenance.versions(),
        "device": request.device,
        "run": _run(row, results, request, started),
    }
    if row.problem:
        return _failed(row.problem[1], common)
    evaluated = results[row.stages["evaluation"].key]
    scored = row.stages.get("box-scores")
    if scored and results[scored.key].output is None:
        common["notes"].append(f"no box scores: {results[scored.key].reason}")
    if evaluated.output is None:
        return _failed(evaluated.reason, common)
    fusion = _json(results, row.stages["fusion"], "operating_point.json")
    metrics = _json(results, row.stages["evaluation"], "metrics.json")
    common["notes"] += [*_started_from(row), *_nothing_passed(fusion, metrics)]
    has_scores = scored is not None and results[scored.key].output is not None
    record = Record(
        status="ok",
        frames=_frames(row, workspace),
        chosen=Chosen(**{key: fusion[key] for key in ("candidate_threshold", "fuser", "point", "detector_alone")}),
        validation=Metrics(**fusion["validation"]),
        test=Metrics(**metrics["test"]),
        detector_alone=Metrics(**metrics["detector_alone"]),
        boxes=BoxScores(**_json(results, scored, "box_scores.json")) if scored and has_scores else None,
        **common,
    )
    texts = {part: _text(results, row.stages[stage]) for part, stage in (("test", "evaluation"), ("val", "fusion"))}
    return Assembled(_with_command(record), texts["test"], texts["val"])


def _failed(reason: str | None, common: dict[str, Any]) -> Assembled:
    return Assembled(_with_command(Record(status="failed", reason=reason, **common)))


def _with_command(record: Record) -> Record:
    return record.model_copy(update={"run": record.run.model_copy(update={"command": command_of(record)})})


def _portable(override: str) -> str:
    """An override without the folders of this machine: of a file its name."""
    where, _, value = override.partition("=")
    path = Path(value.strip('"'))
    return f"{where}={path.name}" if len(path.parts) > 1 and path.exists() else override


def _frames(row: PlannedRun, workspace: Workspace) -> Frames:
    """The frames that chose and that were scored."""
    of_part: dict[str, list[FrameEntry]] = {}
    for part, stage in (("val", row.stages["fusion"]), ("test", row.stages["evaluation"])):
        nothing = np.zeros((0, 2)), np.zeros(0)
        of_part[part] = [FrameEntry.of(frame_prediction(workspace, key, part, *nothing)) for key in stage.frames[part]]
    return Frames(**of_part)


def _text(results: Mapping[str, StageResult], stage: Stage) -> str:
    output = results[stage.key].output
    assert output is not None
    return (output.folder / DETECTIONS).read_text(encoding="utf-8")


def _required(row: PlannedRun) -> Iterator[tuple[str, PluginRef]]:
    """The plugins whose fitted stages others start from: `detector requires frcnn`."""
    for stage in _all_stages(row):
        for role, needed in stage.upstream.items():
            if role.startswith("requires-") and stage.plugin and needed.plugin:
                yield f"{stage.plugin.role} requires {needed.plugin.name}", needed.plugin


def _all_stages(row: PlannedRun) -> Iterator[Stage]:
    pending = list(row.stages.values())
    while pending:
        stage = pending.pop()
        yield stage
        pending += stage.upstream.values()


def _plugin(ref: PluginRef) -> PluginEntry:
    options = ref.key_options
    return PluginEntry(
        name=ref.name,
        version=ref.version,
        source=ref.source,
        options=options,
        files={place: option_files.entry(file) for place, file in ref.files.items()},
        variant={option: options[option] for option in ref.variant if option in options},
    )


def _datasets(row: PlannedRun) -> list[str]:
    """The data sets that took any part: tested on, trained on, and those whose masks an estimator learned from."""
    names = {row.combination.dataset, *row.combination.train_on}
    for stage in _all_stages(row):
        if stage.kind != "box-scores":
            names |= {key.partition("/")[0] for keys in stage.frames.values() for key in keys}
    return sorted(names)


def _data(workspace: Workspace, name: str) -> DataEntry:
    split = workspace.splits[name]
    parts = {part: workspace.part([name], part) for part in ("train", "val", "test")}
    return DataEntry(
        digest={part: workspace.digest(keys) for part, keys in parts.items()},
        frames={part: len(keys) for part, keys in parts.items()},
        coverage=workspace.datasets[name].coverage,
        scanners=list(workspace.datasets[name].scanners),
        split=SplitEntry(
            name=split.name,
            protocol=split.protocol,
            digest=split_digest(split.file),
            note=split.note,
            content=None if _is_ours(split.file.path) else split.file.model_dump(mode="json"),
        ),
    )


def _is_ours(split: Path) -> bool:
    """Whether a split is one of the registry's, which everybody has."""
    return split.resolve().is_relative_to(registry.ROOT.resolve())


def _notes(row: PlannedRun, workspace: Workspace) -> list[str]:
    """What every table must say of the row."""
    notes = []
    named = (row.combination.dataset, *row.combination.train_on)
    for name in dict.fromkeys((*named, *_datasets(row))):
        if name not in named:
            notes.append(f"estimator learned from the masks of {name}")
        if name.startswith("synthetic"):
            notes.append(f"{name}: made by a program, no tissue")
        coverage = workspace.datasets[name].coverage
        if coverage:
            notes.append(f"{name}: {coverage}")
    test = workspace.part([row.combination.dataset], "test")
    train_on = row.combination.train_on
    learned = learned_from(workspace, row.combination.dataset, train_on)
    for name in train_on:
        if set(learned) & set(workspace.part([name], "test")):
            notes.append(f"{name}: all labelled frames are learned from, as it is neither tested nor chosen on")
    fitted = [*learned, *workspace.validation(row.combination.dataset, train_on)]
    if {workspace.group_of(key) for key in test} & {workspace.group_of(key) for key in fitted}:
        notes.append(f"{row.combination.dataset}: slides are shared between training and test")
    if row.settings.scale != 1:
        notes.append(f"schedules shortened to {row.settings.scale:g} of the profile's")
    unlabelled = sum(not workspace.item(key).mitoses.labelled for key in test)
    if unlabelled:
        notes.append(f"{row.combination.dataset}: {unlabelled} of {len(test)} test frames are unlabelled, not scored")
    return notes


def _started_from(row: PlannedRun) -> list[str]:
    """What training started from; only of a row that was trained to its end."""
    trained = [stage.plugin for stage in _fits(row).values() if stage.plugin]
    if any(plugin.weights for plugin in trained):
        return [
            f"{plugin.name} started from {plugin.weights.name}" if plugin.weights else f"{plugin.name} from scratch"
            for plugin in trained
        ]
    return ["trained from scratch"] if trained else []


def _nothing_passed(fusion: Mapping[str, Any], metrics: Mapping[str, Any]) -> list[str]:
    """A note for each part without a candidate to score, so that an F1 of 0 explains itself."""
    threshold = fusion["candidate_threshold"]
    said = (
        "the detector found no candidate" if threshold is None else f"no candidate passed the threshold {threshold:g}"
    )
    parts = {"validation": fusion["validation"], "test": metrics["test"]}
    return [
        f"{said} on the {part} frames"
        for part, scores in parts.items()
        if scores["n_frames"] and not scores["n_detections"]
    ]


def _overrides(row: PlannedRun) -> list[str]:
    """The `--set` texts that decide something in this row: the pipeline's options have an effect on a verifier only."""
    names = asdict(row.combination)
    plugins: list[tuple[str, str, Any]] = [
        (role, names[role], row.refs[role].cls().Options if role in row.refs else None)
        for role in ROLES
        if names[role] != UNUSED
    ]
    plugins += [(ref.role, ref.name, ref.cls().Options) for _, ref in _required(row)]
    if "verifier" not in row.refs or row.refs["verifier"].cls().verifies:
        plugins.append(("pipeline", "pipeline", PipelineOptions))
    return [override.text for override in row.settings.touching(plugins)]


def _fits(row: PlannedRun) -> dict[str, Stage]:
    """The fits whose work a row shows, by the role of their plugin; the folds of a detector are not among them."""
    boxes = row.stages.get("boxes")
    named = {"estimator": boxes and boxes.upstream.get("estimator")}
    named |= {role: row.stages.get(role) for role in ("detector", "verifier")}
    fits = {role: stage for role, stage in named.items() if stage}
    required = {
        f"{role} requires {needed.plugin.name}": needed
        for role, stage in fits.items()
        for name, needed in stage.upstream.items()
        if name.startswith("requires-") and needed.plugin
    }
    return fits | required


def _training_info(row: PlannedRun, results: Mapping[str, StageResult]) -> dict[str, dict[str, Any]]:
    """What each fit said of itself, where it said anything."""
    done = {name: stage for name, stage in _fits(row).items() if results[stage.key].output}
    training_info = {name: _json(results, stage, TRAINING_INFO) for name, stage in done.items()}
    return {name: said for name, said in training_info.items() if said}


def _run(row: PlannedRun, results: Mapping[str, StageResult], request: Request, started: str) -> Run:
    done = {role: results[stage.key] for role, stage in row.stages.items()}
    finished = {role: result for role, result in done.items() if result.output}
    return Run(
        command="",
        started=started,
        seconds={role: result.output.seconds for role, result in finished.items() if result.output},
        cached=sorted(role for role, result in finished.items() if result.cached),
        seconds_a_frame=_seconds_a_frame(row, results),
        seconds_a_candidate=_seconds_a_candidate(row, results),
        host=provenance.host(request.device),
        git=provenance.git_state(),
    )


def _seconds_a_frame(row: PlannedRun, results: Mapping[str, StageResult]) -> float | None:
    means = []
    for role in ("detections-test", "verifier-scores-test"):
        stage = row.stages.get(role)
        if stage is not None:
            if results[stage.key].output is None:
                return None
            means.append(float(np.mean(list(_json(results, stage, "seconds.json").values()))))
    return round(sum(means), 4) if means else None


def _seconds_a_candidate(row: PlannedRun, results: Mapping[str, StageResult]) -> float | None:
    stage = row.stages.get("verifier-scores-test")
    output = results[stage.key].output if stage else None
    if stage is None or output is None:
        return None
    seconds = sum(_json(results, stage, "seconds.json").values())
    looked_at = sum(int(np.isfinite(scores).sum()) for scores in arrays.read_scores(output.folder).values())
    return round(seconds / looked_at, 5) if looked_at else None


def _json(results: Mapping[str, StageResult], stage: Stage, name: str) -> Any:
    output = results[stage.key].output
    assert output is not None
    return read_json(Path(output.folder) / name, MAX_RECORD_BYTES, "stage's output", StoreError)
