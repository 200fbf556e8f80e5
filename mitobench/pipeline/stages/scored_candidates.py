"""Reads, fuses, scores and writes the candidates of validation or test frames, for selection and evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mitobench.api import Detections, Frame, Fuser
from mitobench.evaluate import FramePrediction, evaluate
from mitobench.evaluate.case_counts import CutOffs
from mitobench.evaluate.stored import of_frames, to_csv
from mitobench.pipeline import arrays, checks
from mitobench.pipeline.frame_prediction import frame_prediction
from mitobench.pipeline.stages.candidate_threshold import above
from mitobench.pipeline.stages.job import Job

Floats = NDArray[np.float64]

DETECTIONS = "detections.csv"


@dataclass(frozen=True)
class SplitCandidates:
    """All N detections on the validation or test frames.

    Attributes:
        keys: the frames' keys.
        frames: the frames with their annotation and the detector's scores, in the order of `keys`.
        detector: the detector's scores [N], frame after frame.
        verifier: the verifier's scores [N], NaN where there is none; None without a verifier.
        detections: the detections of each frame, by key.
    """

    keys: tuple[str, ...]
    frames: list[FramePrediction]
    detector: Floats
    verifier: Floats | None
    detections: Mapping[str, Detections]

    def above(self, candidate_threshold: float | None) -> NDArray[np.bool_]:
        """Returns which detections are above the candidate threshold, bool [N]; without a verifier, all of them."""
        return above(self.detector, None if self.verifier is None else candidate_threshold)

    def with_scores(self, keep: NDArray[np.bool_], score: Floats) -> list[FramePrediction]:
        """Returns the frames with only the K detections in `keep` (bool [N]), which get new scores `score` [K]."""
        scores = np.full(len(keep), np.nan)
        scores[keep] = score
        predictions, first = [], 0
        for frame in self.frames:
            part = slice(first, first + len(frame.xy))
            predictions.append(frame.keep(keep[part], scores[part][keep[part]]))
            first += len(frame.xy)
        return predictions


def read(job: Job, part: str) -> SplitCandidates:
    """Returns the candidates of one part (`val` or `test`) of the stage's frames."""
    detections = arrays.read_detections(job.inputs["detections"])
    scores = arrays.read_scores(job.inputs["verifier-scores"]) if "verifier-scores" in job.inputs else None
    keys = job.stage.frames[part]
    found = [detections[key] for key in keys]
    frames = [
        frame_prediction(job.workspace, key, part, on_frame.xy, on_frame.score, on_frame.boxes)
        for key, on_frame in zip(keys, found, strict=True)
    ]
    detector = np.concatenate([np.zeros(0), *(detections[key].score for key in keys)])
    verifier = None if scores is None else np.concatenate([np.zeros(0), *(scores[key] for key in keys)])
    return SplitCandidates(keys, frames, detector, verifier, detections)


def fused_scores(job: Job, fuser: Fuser, split: SplitCandidates, keep: NDArray[np.bool_]) -> Floats:
    """Returns the fuser's scores [K] of the K detections in `keep`, checked. Raises PluginError for wrong scores.

    The fuser gets one frame after the other, as in `mitobench predict`, so that no score depends on other frames.
    """
    verifier = split.detector if split.verifier is None else split.verifier
    fused, first = [np.zeros(0)], 0
    for key in split.keys:
        part = slice(first, first + len(split.detections[key]))
        kept = np.flatnonzero(keep[part])
        first = part.stop
        if len(kept):
            frame, found = job.workspace.item(key).frame, split.detections[key][kept]
            scores = split.detector[part][kept], verifier[part][kept]
            fused.append(checks.fused(fuser, frame, *scores, [frame], [found]))
    return np.concatenate(fused)


def seen_by(
    job: Job, fuser: Fuser, split: SplitCandidates, keep: NDArray[np.bool_]
) -> tuple[list[Frame], list[Detections]]:
    """Returns the frames and the detections in `keep` of each, for a fuser that uses them; otherwise nothing."""
    if not fuser.uses_candidates:
        return [], []
    kept, first = [], 0
    for key in split.keys:
        found = split.detections[key]
        kept.append(found[keep[first : first + len(found)]])
        first += len(found)
    return [job.workspace.item(key).frame for key in split.keys], kept


def write_detections_csv(job: Job, split: SplitCandidates, keep: NDArray[np.bool_], fused: Floats) -> None:
    """Write every detection as records store it, with its scores and the mitoses near it, to `detections.csv`."""
    missing = np.full(len(keep), np.nan)
    score = missing.copy()
    score[keep] = fused
    boxes = [split.detections[key].boxes for key in split.keys]
    verifier = missing if split.verifier is None else split.verifier
    stored = of_frames(split.frames, boxes, verifier, score, *matching_rule(job))
    (job.folder / DETECTIONS).write_text(to_csv(stored), encoding="utf-8")


def metrics_of(
    job: Job, frames: list[FramePrediction], threshold: float | None, cut_offs: CutOffs | None = None
) -> dict[str, Any]:
    """Returns all metrics of these frames at a threshold, as JSON values; cases are compared if cut-offs are given."""
    return evaluate(frames, threshold, *matching_rule(job), cut_offs=cut_offs).model_dump()


def matching_rule(job: Job) -> tuple[str, float]:
    """Returns how the stage matches detections with mitoses: the matcher's name, and the radius in um."""
    return str(job.stage.settings["matcher"]), float(job.stage.settings["radius_um"])
