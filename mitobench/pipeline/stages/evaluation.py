"""What the test set says: validation's choices are applied, and nothing is chosen."""

from __future__ import annotations

import csv
import json

import numpy as np
from numpy.typing import NDArray

from mitobench.pipeline.stages import candidates
from mitobench.pipeline.stages.candidates import Floats, SplitCandidates, evaluated, fused_scores, rule
from mitobench.pipeline.stages.job import Job, write_json

DETECTIONS = "detections.csv"
COLUMNS = (
    "frame",
    "x",
    "y",
    "x1",
    "y1",
    "x2",
    "y2",
    "score_detector",
    "score_verifier",
    "score",
    "above_gate",
    "hit",
    "distance_um",
)


def evaluate_test(job: Job) -> None:
    """Score the test frames, by the fused score and by the detector alone, at the thresholds from validation."""
    assert job.stage.plugin is not None
    chosen = json.loads((job.inputs["fusion"] / "operating_point.json").read_text(encoding="utf-8"))
    fuser = job.stage.plugin.create("cpu", job.inputs["fusion"] / "fuser")
    split = candidates.read(job, "test")
    keep = split.at_gate(chosen["gate"])
    fused = fused_scores(fuser, split, keep)
    frames = split.scored(keep, fused)
    write_json(
        job.folder / "metrics.json",
        {
            "test": evaluated(job, frames, chosen["point"]["threshold"]),
            "detector_alone": evaluated(job, split.frames, chosen["detector_alone"]["threshold"]),
        },
    )
    _write_detections(job, split, keep, fused, chosen["point"]["threshold"])
    job.progress(1, 1)


def _write_detections(
    job: Job, split: SplitCandidates, keep: NDArray[np.bool_], fused: Floats, threshold: float | None
) -> None:
    """Every candidate of the test frames, with its scores before and after verification, and what became of it.

    `hit` is said of the detections that count, those at or above the threshold; `distance_um` of all above the gate.
    """
    verifier = np.full(len(keep), np.nan) if split.verifier is None else split.verifier
    score, hit, distance = np.full(len(keep), np.nan), np.full(len(keep), np.nan), np.full(len(keep), np.nan)
    matched = [frame.match(*rule(job)) for frame in split.scored(keep, fused)]
    score[keep] = fused
    distance[keep] = np.concatenate([np.zeros(0), *(m.distance_um for m in matched)])
    counted = keep & (score >= (np.inf if threshold is None else threshold))
    matched = [frame.match(*rule(job)) for frame in split.scored(counted, score[counted])]
    hit[counted] = np.concatenate([np.zeros(0), *(m.hit for m in matched)])
    frames = [frame for frame in split.frames for _ in frame.xy]
    boxes = np.concatenate([np.zeros((0, 4)), *(split.found[key].boxes for key in split.keys)])
    xy = np.concatenate([np.zeros((0, 2)), *(frame.xy for frame in split.frames)])
    with (job.folder / DETECTIONS).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for i, frame in enumerate(frames):
            place = [f"{n:.2f}" for n in (*xy[i], *boxes[i])]
            scores = [_spell(s) for s in (split.detector[i], verifier[i], score[i])]
            became = _spell(hit[i], 0) if frame.labelled else ""
            writer.writerow([frame.frame, *place, *scores, int(keep[i]), became, _spell(distance[i], 4)])


def _spell(value: float | None, digits: int | None = None) -> str:
    """A number for a CSV: all of its digits unless told otherwise, nothing where there is none."""
    if value is None or np.isnan(value):
        return ""
    return repr(float(value)) if digits is None else f"{value:.{digits}f}"
