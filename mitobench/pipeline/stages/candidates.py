"""All candidates of a split with their scores, and the rule to score them by: for selection and evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mitobench.api import Detections, Fuser
from mitobench.evaluate import FramePrediction, evaluate
from mitobench.evaluate.stored import of_frames, to_csv
from mitobench.pipeline import arrays, checks
from mitobench.pipeline.scored import scored
from mitobench.pipeline.stages.candidate_threshold import above
from mitobench.pipeline.stages.job import Job

Floats = NDArray[np.float64]

DETECTIONS = "detections.csv"


@dataclass(frozen=True)
class SplitCandidates:
    """All candidates of a split's frames, one after the other, with both scores."""

    keys: tuple[str, ...]
    frames: list[FramePrediction]
    detector: Floats
    verifier: Floats | None
    found: Mapping[str, Detections]

    def above(self, candidate_threshold: float | None) -> NDArray[np.bool_]:
        """Which detections are candidates, bool [N]; without a verifier all are."""
        return above(self.detector, None if self.verifier is None else candidate_threshold)

    def scored(self, keep: NDArray[np.bool_], score: Floats) -> list[FramePrediction]:
        """The frames with the kept candidates at their new scores ([kept])."""
        spread = np.full(len(keep), np.nan)
        spread[keep] = score
        predictions, first = [], 0
        for frame in self.frames:
            part = slice(first, first + len(frame.xy))
            predictions.append(frame.keep(keep[part], spread[part][keep[part]]))
            first += len(frame.xy)
        return predictions


def read(job: Job, part: str) -> SplitCandidates:
    """The candidates of a part of the stage's frames."""
    found = arrays.read_detections(job.inputs["detections"])
    scores = arrays.read_scores(job.inputs["verifier-scores"]) if "verifier-scores" in job.inputs else None
    keys = job.stage.frames[part]
    frames = [scored(job.workspace, key, part, found[key].xy, found[key].score) for key in keys]
    detector = np.concatenate([np.zeros(0), *(found[key].score for key in keys)])
    verifier = None if scores is None else np.concatenate([np.zeros(0), *(scores[key] for key in keys)])
    return SplitCandidates(keys, frames, detector, verifier, found)


def fused_scores(fuser: Fuser, split: SplitCandidates, keep: NDArray[np.bool_]) -> Floats:
    """The fuser's score of the kept candidates, [kept], checked. Raises PluginError."""
    detector = split.detector[keep]
    verifier = detector if split.verifier is None else split.verifier[keep]
    return checks.scores(fuser, None, fuser.fuse(detector, verifier), len(detector))


def write_detections(job: Job, split: SplitCandidates, keep: NDArray[np.bool_], fused: Floats) -> None:
    """Write every detection of the split as a record stores it, with its scores and the mitoses near it."""
    nothing = np.full(len(keep), np.nan)
    score = nothing.copy()
    score[keep] = fused
    boxes = [split.found[key].boxes for key in split.keys]
    verifier = nothing if split.verifier is None else split.verifier
    stored = of_frames(split.frames, boxes, verifier, score, *rule(job))
    (job.folder / DETECTIONS).write_text(to_csv(stored), encoding="utf-8")


def evaluated(job: Job, frames: list[FramePrediction], threshold: float | None) -> dict[str, Any]:
    """All metrics of these frames at a threshold, by the stage's rule."""
    return evaluate(frames, threshold, *rule(job)).model_dump()


def rule(job: Job) -> tuple[str, float]:
    """Matcher, and radius in um."""
    return str(job.stage.settings["matcher"]), float(job.stage.settings["radius_um"])
