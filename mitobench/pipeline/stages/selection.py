"""What validation chooses: candidate threshold, fuser and threshold. It sees validation frames only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mitobench.api import Fuser, Validation
from mitobench.evaluate import OperatingPoint, Sweep, candidate_thresholds, choose_threshold
from mitobench.evaluate.matching import near
from mitobench.evaluate.operating_point import best_point
from mitobench.pipeline.stages import candidates
from mitobench.pipeline.stages.candidates import SplitCandidates, evaluated, fused_scores, rule, write_detections
from mitobench.pipeline.stages.job import Job, write_json


def fuse(job: Job) -> None:
    """Choose candidate threshold, fuser and threshold, and score the validation frames with them.

    The candidate threshold is the one whose fitted fuser has the best F1, the lowest of equals.
    """
    split = candidates.read(job, "val")
    hits = _near_mitosis(split, float(job.stage.settings["radius_um"]))
    tried = [(*_at(job, split, hits, lowest), lowest) for lowest in _candidate_thresholds(job, split, hits)]
    _, fuser, point, lowest = max(tried, key=lambda t: (t[0], np.inf if t[3] is None else -t[3]))
    keep = split.above(lowest)
    fused = fused_scores(fuser, split, keep)
    alone = choose_threshold(split.frames, *rule(job))  # what the verifier has to beat
    (job.folder / "fuser").mkdir()
    fuser.save(job.folder / "fuser")
    write_json(
        job.folder / "operating_point.json",
        {
            "candidate_threshold": None if split.verifier is None else lowest,
            "fuser": fuser.chosen(),
            "point": point.model_dump(),
            "validation": evaluated(job, split.scored(keep, fused), point.threshold),
            "detector_alone": alone.model_dump(),
        },
    )
    write_detections(job, split, keep, fused)
    job.progress(1, 1)


def _at(
    job: Job, split: SplitCandidates, hits: NDArray[np.bool_], lowest: float | None
) -> tuple[float, Fuser, OperatingPoint]:
    """The fuser fitted on the candidates above a threshold: its best validation F1, itself, and the threshold."""
    assert job.stage.plugin is not None
    keep = split.above(lowest)
    sweep = Sweep(split.scored(keep, split.detector[keep]), *rule(job))
    fuser = job.stage.plugin.create("cpu")
    verifier = split.detector if split.verifier is None else split.verifier
    fuser.fit(Validation(split.detector[keep], verifier[keep], hits[keep], sweep.best_f1))
    point = best_point(sweep.curve(fused_scores(fuser, split, keep)))
    return point.f1 or 0.0, fuser, point


def _candidate_thresholds(job: Job, split: SplitCandidates, hits: NDArray[np.bool_]) -> list[float | None]:
    """The candidate threshold as it is given, or those to choose from."""
    given: float | str | None = job.stage.settings["candidate_threshold"]
    if not isinstance(given, str):
        return [given]
    return [None] if split.verifier is None else candidate_thresholds(split.detector, hits)


def _near_mitosis(split: SplitCandidates, radius_um: float) -> NDArray[np.bool_]:
    """Which candidates show a mitosis, bool [N]."""
    frames = (near(frame.truth_xy, frame.xy, frame.mpp, radius_um) for frame in split.frames)
    return np.concatenate([np.zeros(0, dtype=bool), *frames])
