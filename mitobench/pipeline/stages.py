"""What each kind of stage does: reads its inputs, asks its plugin, checks the answer, writes its output.

The only place where plugins are called. Plugins are handed training and validation annotation in `fit`, and none at
all when they predict.
"""

from __future__ import annotations

import functools
import json
import logging
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import mitobench.evaluate
from mitobench import api
from mitobench.api import (
    BoxEstimator,
    Candidates,
    Context,
    Detections,
    Frame,
    Mitoses,
    Plugin,
    PluginError,
    Sample,
)
from mitobench.datasets import images
from mitobench.evaluate import matching
from mitobench.pipeline import arrays, canonical, checks, judge, processes, workspace
from mitobench.pipeline.graph import FACTS, Stage
from mitobench.pipeline.plugins import code_digest
from mitobench.pipeline.store import Output
from mitobench.pipeline.workspace import Workspace

LOG = "fit.log"


@dataclass(frozen=True)
class Job:
    """One stage about to be done.

    Attributes:
        stage: what.
        inputs: verified outputs of its upstream stages, by role.
        folder: empty; the output goes here.
        work: survives a killed run.
        workspace: the frames.
        progress: called with (done, total).
    """

    stage: Stage
    inputs: Mapping[str, Output]
    folder: Path
    work: Path
    workspace: Workspace
    progress: Callable[[int, int], None]

    @property
    def device(self) -> str:
        """`cpu` or `cuda`."""
        return str(self.stage.settings["device"])

    def plugin(self) -> Any:
        """The stage's plugin, as it was fitted upstream where it learns."""
        assert self.stage.plugin is not None
        fitted = self.inputs.get(self.stage.plugin.role)
        return self.stage.plugin.create(self.device, fitted.folder if fitted else None)

    def frames(self, part: str) -> Iterator[tuple[str, Frame, Mitoses]]:
        """(key, frame, annotation) of a part, with progress."""
        keys = self.stage.frames[part]
        for done, key in enumerate(keys):
            item = self.workspace.item(key)
            yield key, item.frame, item.mitoses
            self.progress(done + 1, len(keys))


def do(job: Job) -> None:
    """Do the stage."""
    KINDS[job.stage.kind](job)


@functools.cache
def source(kind: str) -> str:
    """SHA-256 over the harness's own code that does a kind of stage: part of its key."""
    rooms = [api, arrays, checks, matching, processes, workspace, images, sys.modules[__name__]]
    if kind in ("box-scores", "fusion", "evaluation"):
        rooms += [judge, mitobench.evaluate]
    return canonical.digest([code_digest(Path(str(room.__file__))) for room in rooms])


# ---------------------------------------------------------------------------------------------------- fitting


def fit(job: Job) -> None:
    """Fit a plugin and save it; over several processes where the stage says so."""
    if job.stage.settings["processes"] > 1:
        processes.fit_together(job, int(job.stage.settings["processes"]))
    else:
        fit_one(job)


def fit_one(job: Job, rank: int = 0, world_size: int = 1) -> None:
    """This process's part of a fit; the first one saves."""
    assert job.stage.plugin is not None
    plugin = job.stage.plugin.create(job.device)
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
    )
    plugin.fit(_samples(job, "train"), _samples(job, "val"), context)
    if rank == 0:
        plugin.save(job.folder)
        _write_facts(plugin, context.facts, job.folder / FACTS)
        if (job.work / LOG).is_file():
            shutil.copy(job.work / LOG, job.folder / LOG)


def _write_facts(plugin: Plugin, facts: Mapping[str, Any], path: Path) -> None:
    try:
        path.write_text(canonical.dumps(facts), encoding="utf-8")
    except (TypeError, ValueError) as reason:
        raise PluginError(f"{plugin.name}: context.facts must hold JSON values, and does not: {reason}.") from reason


def _upstream(job: Job) -> dict[str, Plugin]:
    """The fitted plugins that this one requires."""
    plugins = {}
    for role, stage in job.stage.upstream.items():
        if role.startswith("requires-") and stage.plugin:
            plugins[role.removeprefix("requires-")] = stage.plugin.create(job.device, job.inputs[role].folder)
    return plugins


def _samples(job: Job, part: str) -> list[Sample]:
    boxes = arrays.read_boxes(job.inputs["boxes"].folder) if "boxes" in job.inputs else {}
    candidates: dict[str, Detections] = {}
    for role, output in job.inputs.items():
        if role.startswith(f"candidates-{part}"):
            candidates |= arrays.read_detections(output.folder)
    samples = []
    for key in job.stage.frames[part]:
        item = job.workspace.item(key)
        labelled = None
        if key in candidates:
            labelled = label(candidates[key], item.frame, item.mitoses, job.workspace.radius_um(key))
        samples.append(Sample(item.frame, item.mitoses, boxes.get(key), labelled))
    return samples


def label(found: Detections, frame: Frame, mitoses: Mitoses, radius_um: float) -> Candidates:
    """Candidates: a mitosis is what is closer to an annotated one than the radius, a second hit on it too."""
    return Candidates(found.xy, found.boxes, found.score, matching.near(mitoses.xy, found.xy, frame.mpp, radius_um))


def _log(path: Path) -> logging.Logger:
    log = logging.Logger("mitobench.fit")
    handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    log.addHandler(handler)
    return log


# ------------------------------------------------------------------------------------------------- predicting


def boxes(job: Job) -> None:
    """The estimator's box of every annotated mitosis of the frames that the detector trains on."""
    plugin = job.plugin()
    found = {}
    for key, frame, mitoses in job.frames("frames"):
        found[key] = checks.boxes(plugin, frame, plugin.boxes(frame, seen_by(plugin, mitoses)), len(mitoses))
    arrays.write_boxes(job.folder, found)


def box_scores(job: Job) -> None:
    """The estimator's boxes against those of the masks."""
    plugin = job.plugin()
    estimated, truth, covered = [np.zeros((0, 4))], [np.zeros((0, 4))], [np.zeros(0, dtype=bool)]
    for _, frame, mitoses in job.frames("test"):
        if not mitoses.labelled or mitoses.masks is None:
            continue
        shown = seen_by(plugin, mitoses)
        estimated.append(checks.boxes(plugin, frame, plugin.boxes(frame, shown), len(mitoses)))
        truth.append(_mask_boxes(mitoses))
        covered.append(checks.covered(plugin, frame, plugin.covered(frame, shown), len(mitoses)))
    looks = type(plugin).covered is not BoxEstimator.covered
    blobs = np.concatenate(covered) if looks else None
    judge.box_scores(job.folder, np.concatenate(estimated), np.concatenate(truth), blobs)


def seen_by(plugin: BoxEstimator, mitoses: Mitoses) -> Mitoses:
    """The annotation that an estimator may look at: centroids, and masks only for one that needs them."""
    return mitoses if plugin.needs_masks else replace(mitoses, masks=None)


def _mask_boxes(mitoses: Mitoses) -> NDArray[np.float64]:
    return np.array([api.mask_box(mask) for mask in mitoses.masks or ()]).reshape(-1, 4)


def detections(job: Job) -> None:
    """The detector's candidates on every frame, and the seconds it took."""
    plugin = job.plugin()
    found, seconds = {}, {}
    for key, frame, _ in job.frames("frames"):
        started = time.perf_counter()
        given = plugin.predict(frame)
        seconds[key] = round(time.perf_counter() - started, 4)
        found[key] = checks.detections(plugin, frame, given)
    arrays.write_detections(job.folder, found)
    (job.folder / "seconds.json").write_text(json.dumps(seconds), encoding="utf-8")


def verdicts(job: Job) -> None:
    """The verifier's score of every detection above the gate; what is not above it is not looked at and has none."""
    plugin = job.plugin()
    candidates = arrays.read_detections(job.inputs["detections"].folder)
    gate = job.stage.settings["candidate_threshold"]
    scores, seconds = {}, {}
    for key, frame, _ in job.frames("frames"):
        above = judge.above(candidates[key].score, gate)
        shown = candidates[key][above]
        started = time.perf_counter()
        given = plugin.score(frame, shown) if len(shown) else np.zeros(0)
        seconds[key] = round(time.perf_counter() - started, 4)
        scores[key] = np.full(len(above), np.nan)
        scores[key][above] = checks.scores(plugin, frame, given, len(shown))
    arrays.write_scores(job.folder, scores)
    (job.folder / "seconds.json").write_text(json.dumps(seconds), encoding="utf-8")


KINDS: dict[str, Callable[[Job], None]] = {
    "fit-estimator": fit,
    "fit-detector": fit,
    "fit-verifier": fit,
    "boxes": boxes,
    "box-scores": box_scores,
    "detections": detections,
    "verdicts": verdicts,
    "fusion": judge.fuse,
    "evaluation": judge.evaluate_test,
}
