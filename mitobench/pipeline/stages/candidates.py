"""All candidates of a split with their scores, and the rule to score them by: for selection and evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mitobench.api import Detections, Fuser
from mitobench.evaluate import FramePrediction, evaluate
from mitobench.pipeline import arrays, checks
from mitobench.pipeline.stages.candidate_threshold import above
from mitobench.pipeline.stages.job import Job

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SplitCandidates:
    """All candidates of a split's frames, one after the other, with both scores."""

    keys: tuple[str, ...]
    frames: list[FramePrediction]
    detector: Floats
    verifier: Floats | None
    found: Mapping[str, Detections]

    def at_gate(self, gate: float | None) -> NDArray[np.bool_]:
        """Which candidates take part, bool [N]: without a verifier there is no gate."""
        return above(self.detector, None if self.verifier is None else gate)

    def scored(self, keep: NDArray[np.bool_], score: Floats) -> list[FramePrediction]:
        """The frames with the kept candidates at their new scores ([kept])."""
        spread = np.full(len(keep), np.nan)
        spread[keep] = score
        predictions, first = [], 0
        for frame in self.frames:
            part = slice(first, first + len(frame.xy))
            kept = keep[part]
            predictions.append(replace(frame, xy=frame.xy[kept], score=spread[part][kept]))
            first += len(frame.xy)
        return predictions


def read(job: Job, part: str) -> SplitCandidates:
    """The candidates of a part of the stage's frames."""
    found = arrays.read_detections(job.inputs["detections"])
    scores = arrays.read_scores(job.inputs["verifier-scores"]) if "verifier-scores" in job.inputs else None
    keys = job.stage.frames[part]
    frames = []
    for key in keys:
        item = job.workspace.item(key)
        group = job.workspace.tissue(key, slide=True)
        frames.append(
            FramePrediction(
                key if part == "val" else item.frame.id,
                group if part == "val" else item.frame.group,
                item.frame.mpp,
                item.mitoses.xy,
                found[key].xy,
                found[key].score,
                item.mitoses.labelled,
            )
        )
    detector = np.concatenate([np.zeros(0), *(found[key].score for key in keys)])
    verifier = None if scores is None else np.concatenate([np.zeros(0), *(scores[key] for key in keys)])
    return SplitCandidates(keys, frames, detector, verifier, found)


def fused_scores(fuser: Fuser, split: SplitCandidates, keep: NDArray[np.bool_]) -> Floats:
    """The fuser's score of the kept candidates, [kept], checked. Raises PluginError."""
    detector = split.detector[keep]
    verifier = detector if split.verifier is None else split.verifier[keep]
    return checks.scores(fuser, None, fuser.fuse(detector, verifier), len(detector))


def evaluated(job: Job, frames: list[FramePrediction], threshold: float | None) -> dict[str, Any]:
    """All metrics of these frames at a threshold, by the stage's rule."""
    return evaluate(frames, threshold, *rule(job)).model_dump()


def rule(job: Job) -> tuple[str, float]:
    """Matcher, and radius in um."""
    return str(job.stage.settings["matcher"]), float(job.stage.settings["radius_um"])
