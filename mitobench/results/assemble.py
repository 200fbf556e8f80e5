"""Makes a record from a planned combination and the results of its stages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from mitobench import datasets, registry
from mitobench.datasets import Dataset, contamination
from mitobench.datasets.duplicates import Duplicate
from mitobench.datasets.folder_settings import as_title
from mitobench.discovery import ROLES
from mitobench.evaluate import FrameEntry
from mitobench.pipeline.executors import StageResult
from mitobench.pipeline.frame_prediction import frame_prediction
from mitobench.pipeline.graph import UNUSED, PlannedRun, Request, stages_of
from mitobench.pipeline.overrides import Override
from mitobench.pipeline.pipeline_options import F1, PipelineOptions
from mitobench.pipeline.plan import scoring_radius_um, training_frames
from mitobench.pipeline.plugin_ref import PluginRef
from mitobench.pipeline.stages.stage import Stage
from mitobench.pipeline.workspace import Workspace
from mitobench.results import notes, option_files, provenance
from mitobench.results.command import command_of
from mitobench.results.local_datasets import split_digest
from mitobench.results.outputs import Outputs, Scores
from mitobench.results.record import RecordDraft
from mitobench.results.schema import DataEntry, Frames, PluginEntry, Record, Run, SplitEntry

RECORD = "record:"  # before the path of a record whose weights a fit starts from


def assemble(
    row: PlannedRun,
    results: Mapping[str, StageResult],
    request: Request,
    workspace: Workspace,
    started: str,
    same_tissue: Sequence[Duplicate] = (),
) -> RecordDraft:
    """Returns the record of a combination whose stages have ended; it has no scores if one of them failed.

    Args:
        row: the combination, with its stages.
        results: of all stages, by key.
        request: what the run was asked for.
        workspace: the data sets.
        started: time at which the run started (ISO 8601).
        same_tissue: pairs of frames that show the same tissue, by image.
    """
    outputs = Outputs.read(row, _fits(row), results)
    plugins = {role: _plugin(ref) for role, ref in (*row.refs.items(), *_required(row))}
    common: dict[str, Any] = {
        "combination": {**asdict(row.combination), "train_on": list(row.combination.train_on)},
        "profile": row.settings.profile,
        "overrides": [_portable(override.text) for override in overrides(row)],
        "scale": row.settings.scale,
        "only_scanners": list(request.only_scanners) if request.only_scanners else None,
        "plugins": plugins,
        "pipeline": {
            **_pipeline(row),
            "matcher": request.matcher,
            "radius_um": scoring_radius_um(workspace, row.combination.dataset, request.matcher),
            "processes": request.processes,
            "threads": request.threads,
        },
        "data": {name: _data(workspace, name) for name in _datasets(row)},
        "stages": {role: stage.key for role, stage in row.stages.items()},
        "specs": {key: stage.spec for key, stage in stages_of(row.stages.values()).items()},
        "training_info": outputs.training_info,
        "notes": [*_notes(row, workspace, same_tissue), *notes.seen_before(plugins.values(), row.combination.dataset)],
        "versions": provenance.versions(),
        "device": request.device,
        "run": _run(row, outputs, results, request, started),
    }
    scored = row.stages.get("box-scores")
    if scored and results[scored.key].output is None:
        common["notes"].append(f"{notes.NO_BOX_SCORES}: {results[scored.key].reason}")
    if outputs.scores is None:
        return _failed(results[row.stages["evaluation"].key].reason, common)
    return _with_scores(row, outputs.scores, workspace, common)


def _with_scores(row: PlannedRun, scores: Scores, workspace: Workspace, common: dict[str, Any]) -> RecordDraft:
    common["notes"] += [
        *_started_from(row),
        *notes.trained_before(common["plugins"], common["training_info"]),
        *notes.nothing_passed(scores.chosen.candidate_threshold, scores.validation, scores.test),
    ]
    record = Record(
        status="ok",
        frames=_frames(row, workspace),
        chosen=scores.chosen,
        validation=scores.validation,
        test=scores.test,
        detector_alone=scores.detector_alone,
        boxes=scores.boxes,
        **common,
    )
    return RecordDraft(_with_command(record), scores.texts["test"], scores.texts["val"])


def _pipeline(row: PlannedRun) -> dict[str, Any]:
    """Returns the pipeline's options; `choose_by` only where it had an effect other than the default's."""
    options = row.settings.pipeline().for_detector(row.combination.detector).model_dump(mode="json")
    chosen_by = row.stages["fusion"].settings["choose_by"] if "fusion" in row.stages else F1
    del options["choose_by"]
    return options if chosen_by == F1 else {**options, "choose_by": chosen_by}


def _failed(reason: str | None, common: dict[str, Any]) -> RecordDraft:
    return RecordDraft(_with_command(Record(status="failed", reason=reason, **common)))


def _with_command(record: Record) -> Record:
    return record.model_copy(update={"run": record.run.model_copy(update={"command": command_of(record)})})


def _portable(override: str) -> str:
    """Returns an override without the folders of this machine: a file by its name."""
    where, _, value = override.partition("=")
    value = value.strip('"')
    kind = RECORD if value.startswith(RECORD) else ""
    path = Path(value.removeprefix(kind))
    return f"{where}={kind}{path.name}" if len(path.parts) > 1 and (kind or path.exists()) else override


def _frames(row: PlannedRun, workspace: Workspace) -> Frames:
    """Returns the frames on which thresholds were chosen, and those that were scored."""
    of_part: dict[str, list[FrameEntry]] = {}
    for part, stage in (("val", row.stages["fusion"]), ("test", row.stages["evaluation"])):
        nothing = np.zeros((0, 2)), np.zeros(0)
        of_part[part] = [FrameEntry.of(frame_prediction(workspace, key, part, *nothing)) for key in stage.frames[part]]
    return Frames(**of_part)


def _required(row: PlannedRun) -> Iterator[tuple[str, PluginRef]]:
    """Yields the plugins that others start from, under names such as `detector requires frcnn`.

    Those that are complete are named `detector uses frcnn`: options that are read only at prediction time count too.
    """
    for stage in stages_of(row.stages.values()).values():
        for role, needed in stage.upstream.items():
            if role.startswith("requires-") and role not in stage.members and stage.plugin and needed.plugin:
                yield f"{stage.plugin.role} requires {needed.plugin.name}", needed.plugin
        for member in stage.members.values():
            if stage.plugin:
                yield f"{stage.plugin.role} uses {member.name}", member


def _plugin(ref: PluginRef) -> PluginEntry:
    options = ref.key_options
    return PluginEntry(
        name=ref.name,
        version=ref.version,
        source=ref.source,
        options=options,
        files={place: option_files.entry(file) for place, file in ref.files.items()},
        variant={option: options[option] for option in ref.variant if option in options},
        trained_on=list(ref.seen),
        learned_from=list(ref.learned_from),
    )


def _datasets(row: PlannedRun) -> list[str]:
    """Returns the data sets that were tested on, trained on, or whose masks an estimator learned from."""
    names = {row.combination.dataset, *row.combination.train_on}
    for stage in stages_of(row.stages.values()).values():
        if stage.kind != "box-scores":
            names |= {key.partition("/")[0] for keys in stage.frames.values() for key in keys}
    return sorted(names)


def _data(workspace: Workspace, name: str) -> DataEntry:
    split = workspace.splits[name]
    parts = {part: workspace.part([name], part) for part in ("train", "val", "test")}
    return DataEntry(
        digest={part: workspace.digest(keys) for part, keys in parts.items()},
        frames={part: len(keys) for part, keys in parts.items()},
        coverage=workspace.coverage(name),
        scanners=list(workspace.datasets[name].scanners),
        split=SplitEntry(
            name=split.name,
            protocol=split.protocol,
            digest=split_digest(split.file),
            note=split.note,
            content=None if _is_ours(split.file.path) else split.file.model_dump(mode="json"),
            together_with=list(workspace.together(name)),
        ),
        title=_own_title(workspace.datasets[name]),
    )


def _own_title(dataset: Dataset) -> str | None:
    """Returns the title that the files of a data set give it; None if it has that of its card."""
    usual = datasets.reader(dataset.name).card().title
    return None if dataset.card.title == usual else as_title(dataset.card.title) or None


def _is_ours(split: Path) -> bool:
    """Returns whether a split is in the registry, which is part of the package."""
    return split.resolve().is_relative_to(registry.ROOT.resolve())


def _notes(row: PlannedRun, workspace: Workspace, same_tissue: Sequence[Duplicate]) -> list[str]:
    """Returns what every table must say about the row; more is added if it has scores."""
    found: list[str] = []
    named = (row.combination.dataset, *row.combination.train_on)
    for name in dict.fromkeys((*named, *_datasets(row))):
        found += notes.of_dataset(name, workspace.coverage(name), name in named)
        found += notes.of_images(name, workspace.datasets[name].remarks)
    test = workspace.part([row.combination.dataset], "test")
    train_on = row.combination.train_on
    learned = training_frames(workspace, row.combination.dataset, train_on)
    for name in train_on:
        if set(learned) & set(workspace.part([name], "test")):
            found.append(notes.all_frames_learned_from(name))
        if name in workspace.together(row.combination.dataset) and row.combination.dataset in train_on:
            found.append(notes.split_together(name, row.combination.dataset))
    fitted = [*learned, *workspace.validation(row.combination.dataset, train_on)]
    found += _seen(row, workspace, fitted, test, same_tissue)
    if {workspace.group_of(key) for key in test} & {workspace.group_of(key) for key in fitted}:
        found.append(notes.shared_slides(row.combination.dataset))
    if row.settings.scale != 1:
        found.append(notes.shortened(row.settings.scale))
    unlabelled = sum(not workspace.item(key).mitoses.labelled for key in test)
    if unlabelled:
        found.append(notes.unlabelled(row.combination.dataset, unlabelled, len(test)))
    return found


def _seen(
    row: PlannedRun,
    workspace: Workspace,
    fitted: Sequence[str],
    test: Sequence[str],
    same_tissue: Sequence[Duplicate],
) -> list[str]:
    """Returns the notes on test slides that a part of the method may have seen, though no split says so."""
    tested = row.combination.dataset
    card, slides = workspace.card(tested), sorted({workspace.item(key).frame.group for key in test})
    found = {}
    for name in row.combination.train_on:
        found[f"training on {name}, which shares slides with {tested}"] = (
            contamination.seen(card, slides, name) if name != tested else []
        )
    for ref in (*row.refs.values(), *(ref for _, ref in _required(row))):
        for name in ref.seen:
            found[f"the weights of {ref.name}, trained on {name}"] = (
                contamination.seen(card, slides, name) if name != tested else []
            )
    same = {workspace.item(key).frame.group for key in contamination.of_slides(same_tissue, fitted, test)}
    found["training or validation frames that show the same tissue"] = sorted(same)
    return [contamination.note(seen, slides, by) for by, seen in found.items() if seen]


def _started_from(row: PlannedRun) -> list[str]:
    """Returns the notes on what training started from."""
    trained = [stage.plugin for stage in _fits(row).values() if stage.plugin and not stage.members]
    return [
        *notes.starts([(plugin.name, plugin.weights.name if plugin.weights else None) for plugin in trained]),
        *(notes.missing_weights(plugin.name, name) for plugin in trained for name in plugin.missing_weights),
    ]


def overrides(row: PlannedRun) -> list[Override]:
    """Returns the overrides with an effect on this row; options of the pipeline have one on verifiers only."""
    names = asdict(row.combination)
    plugins: list[tuple[str, str, Any]] = [
        (role, names[role], row.refs[role].cls().Options if role in row.refs else None)
        for role in ROLES
        if names[role] != UNUSED
    ]
    plugins += [(ref.role, ref.name, ref.cls().Options) for _, ref in _required(row)]
    if "verifier" not in row.refs or row.refs["verifier"].cls().verifies:
        plugins.append(("pipeline", "pipeline", PipelineOptions))
    return row.settings.touching(plugins)


def _fits(row: PlannedRun) -> dict[str, Stage]:
    """Returns the fits that a row reports, by the role of their plugin, without those of cross-fitting."""
    boxes = row.stages.get("boxes")
    named = {"estimator": boxes and boxes.upstream.get("estimator")}
    named |= {role: row.stages.get(role) for role in ("detector", "verifier")}
    fits = {role: stage for role, stage in named.items() if stage}
    pending, seen = list(fits.values()), set[str]()
    while pending:
        stage = pending.pop(0)
        if stage.key in seen:
            continue
        seen.add(stage.key)
        for name, needed in stage.upstream.items():
            if name.startswith("requires-") and stage.plugin and needed.plugin:
                fits[f"{stage.plugin.role} requires {needed.plugin.name}"] = needed
                pending.append(needed)
    return fits


def _run(row: PlannedRun, outputs: Outputs, results: Mapping[str, StageResult], request: Request, started: str) -> Run:
    done = {role: results[stage.key] for role, stage in row.stages.items()}
    finished = {role: result for role, result in done.items() if result.output}
    return Run(
        command="",
        started=started,
        seconds={role: result.output.seconds for role, result in finished.items() if result.output},
        cached=sorted(role for role, result in finished.items() if result.cached),
        seconds_a_frame=outputs.seconds_a_frame,
        seconds_a_candidate=outputs.seconds_a_candidate,
        host=provenance.host(request.device),
        git=provenance.git_state(),
    )
