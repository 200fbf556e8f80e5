"""Fitting: fits a plugin on training and validation frames, with their annotation.

No annotation of test frames is used here. Only `BoxEstimator.boxes` and `covered` ever see it (`boxes`, `box_scores`).
"""

from __future__ import annotations

import logging
import math
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mitobench.api import Candidates, Context, Detections, Embeddings, Frame, Mitoses, Plugin, PluginError, Sample
from mitobench.evaluate import FramePrediction, choose_threshold, matching
from mitobench.foreign.tensors import tensor_shapes
from mitobench.pipeline import arrays, canonical
from mitobench.pipeline.saved_files import LOG, TRAINING_INFO, check_names
from mitobench.pipeline.stages.distributed_fit import fit_together
from mitobench.pipeline.stages.embedding import of_sample
from mitobench.pipeline.stages.job import Job
from mitobench.pipeline.stages.tensorboard import curves
from mitobench.weights_search import WHOLE

OF_ENSEMBLE = re.compile(r"^networks\.\d+\.")  # before the names of the tensors of a network among several
DEFAULT_MATCHER = "mitos"  # whatever the run's: a fit does not depend on how its detections will be scored


def fit(job: Job) -> None:
    """Fit a plugin and save it, in as many processes as the stage's `processes` setting says."""
    if job.stage.settings["processes"] > 1:
        fit_together(job, fit_one, int(job.stage.settings["processes"]))
    else:
        fit_one(job)


def fit_one(job: Job, rank: int = 0, world_size: int = 1) -> None:
    """Fit a plugin as process `rank` of `world_size`. The first process (rank 0) saves it.

    Raises PluginError if the plugin's training info cannot be stored as JSON, or it saves a file of a reserved name.
    """
    assert job.stage.plugin is not None
    plugin = job.stage.plugin.create(job.device)
    train, val = _samples(job, "train"), _samples(job, "val")
    context = Context(
        seed=int(job.stage.settings["seed"]),
        device=job.device,
        work=job.work,
        upstream=_upstream(job),
        pretrained=job.stage.plugin.weights,
        progress=job.progress,
        log=_log(job.work / LOG),
        amp=bool(job.stage.settings["amp"]),
        rank=rank,
        world_size=world_size,
        label=lambda sample, detections: label(
            detections, sample.frame, sample.mitoses, job.workspace.radius_um(sample.frame.key)
        ),
        radius_um=lambda frame: job.workspace.radius_um(frame.key),
        validation_f1=lambda detect: _best_f1(job, val, detect),
    )
    with curves(job.stage, rank) as log_scalar:
        plugin.fit(train, val, replace(context, log_scalar=log_scalar))
    if rank == 0:
        plugin.save(job.folder)
        check_names(plugin, job.folder)
        if _is_whole(job.stage.plugin.weights, job.folder):
            context.training_info[WHOLE] = True
        _write_training_info(plugin, context.training_info, job.folder / TRAINING_INFO)
        if (job.work / LOG).is_file():
            shutil.copy(job.work / LOG, job.folder / LOG)


def _is_whole(weights: Path | None, saved: Path) -> bool:
    """Returns whether a fit, or each network of an ensemble, started from all tensors that it saved."""
    files = list(saved.rglob("*.safetensors"))
    if weights is None or weights.suffix != ".safetensors" or len(files) != 1:
        return False
    found, given = tensor_shapes(files[0]), tensor_shapes(weights)
    members = {OF_ENSEMBLE.sub("", name): shape for name, shape in found.items()}
    return given in (found, members)


def _write_training_info(plugin: Plugin, training_info: Mapping[str, Any], path: Path) -> None:
    try:
        path.write_text(canonical.dumps(training_info), encoding="utf-8")
    except (TypeError, ValueError) as reason:
        raise PluginError(f"{plugin.name}: context.training_info must hold JSON values: {reason}.") from reason


def _upstream(job: Job) -> dict[str, Any]:
    """Returns the fitted plugins that this one requires, by role; a tuple for a role with several."""
    plugins: dict[str, Any] = {}
    for name, stage in job.stage.upstream.items():
        if name.startswith("requires-") and name not in job.stage.members and stage.plugin:
            plugins[name.removeprefix("requires-")] = stage.plugin.create(job.device, job.inputs[name])
    for name, member in job.stage.members.items():
        plugins[member.role] = (*plugins.get(member.role, ()), member.create(job.device, job.inputs.get(name)))
    return plugins


def _samples(job: Job, part: str) -> list[Sample]:
    """Returns the frames of a part with annotation, and the boxes, labelled candidates and embeddings that fits use."""
    boxes = arrays.read_boxes(job.inputs["boxes"]) if "boxes" in job.inputs else {}
    candidates: dict[str, Detections] = {}
    for role, output in job.inputs.items():
        if role.startswith(f"candidates-{part}"):
            candidates |= arrays.read_detections(output)
    embedded = _embeddings(job, part)
    samples = []
    for key in job.stage.frames[part]:
        item = job.workspace.item(key)
        labelled = None
        if key in candidates:
            labelled = label(candidates[key], item.frame, item.mitoses, job.workspace.radius_um(key))
        samples.append(Sample(item.frame, item.mitoses, boxes.get(key), labelled, embedded.get(key)))
    return samples


def _embeddings(job: Job, part: str) -> dict[str, Embeddings]:
    """Returns the embeddings of a part's frames, by frame key; empty if the plugin has no encoder."""
    if "embeddings-annotated" not in job.inputs:
        return {}
    of_candidates: dict[str, arrays.Embedded] = {}
    for role, output in job.inputs.items():
        if role.startswith(f"embeddings-{part}"):
            of_candidates |= dict(arrays.read_embeddings(output))
    return {
        key: of_sample(job.workspace.item(key).mitoses, annotated, of_candidates[key])
        for key, annotated in arrays.read_embeddings(job.inputs["embeddings-annotated"])
        if key in of_candidates
    }


def label(detections: Detections, frame: Frame, mitoses: Mitoses, radius_um: float) -> Candidates:
    """Returns the detections with labels: positive if closer to an annotated mitosis than the radius (um).

    Several detections near one mitosis are all positive.
    """
    near = matching.near(mitoses.xy, detections.xy, frame.mpp, radius_um)
    return Candidates.of(detections, near)


def _best_f1(job: Job, val: Sequence[Sample], detect: Callable[[Frame], Detections]) -> float:
    """Returns the best F1 on the validation frames; with data sets of different radii, the mean over the radii."""
    by_radius: dict[float, list[FramePrediction]] = {}
    for sample in val:
        frame = FramePrediction.of(sample.frame, sample.mitoses, detect(sample.frame))
        by_radius.setdefault(job.workspace.radius_um(sample.frame.key), []).append(frame)
    points = [choose_threshold(frames, DEFAULT_MATCHER, radius_um) for radius_um, frames in by_radius.items()]
    annotated = any(len(sample.mitoses) for sample in val)
    return sum(point.f1 or 0.0 for point in points) / len(points) if annotated else math.nan


def _log(path: Path) -> logging.Logger:
    log = logging.Logger("mitobench.fit")
    handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    log.addHandler(handler)
    return log
