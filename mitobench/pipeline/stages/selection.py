"""Selection: chooses candidate threshold, fusion weights and detection threshold, on validation frames only."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from mitobench.api import Fuser, Validation
from mitobench.evaluate import OperatingPoint, Sweep, candidate_thresholds, choose_threshold
from mitobench.evaluate.operating_point import best_point
from mitobench.pipeline import checks
from mitobench.pipeline.saved_files import check_names
from mitobench.pipeline.stages import scored_candidates
from mitobench.pipeline.stages.job import Job, write_json
from mitobench.pipeline.stages.scored_candidates import (
    SplitCandidates,
    fused_scores,
    matching_rule,
    metrics_of,
    seen_by,
    write_detections_csv,
)

Floats = NDArray[np.float64]


def select(job: Job) -> None:
    """Choose candidate threshold, fusion weights and detection threshold; write them and the validation metrics.

    Every candidate threshold is tried with a fuser fitted to it. The one that is best by the run's `choose_by` is
    chosen; of equals, the lowest.
    """
    split = scored_candidates.read(job, "val")
    hits = _near_mitosis(split, *matching_rule(job))
    tried = [(*_fit_fuser(job, split, hits, lowest), lowest) for lowest in _candidate_thresholds(job, split, hits)]
    _, fuser, point, fused, lowest = max(tried, key=lambda t: (t[0], np.inf if t[4] is None else -t[4]))
    keep = split.above(lowest)
    alone = choose_threshold(split.frames, *matching_rule(job))  # the detector's own score, for comparison
    (job.folder / "fuser").mkdir()
    fuser.save(job.folder / "fuser")
    check_names(fuser, job.folder / "fuser")
    write_json(
        job.folder / "operating_point.json",
        {
            "candidate_threshold": None if split.verifier is None else lowest,
            "fuser": fuser.chosen(),
            "point": point.model_dump(),
            "validation": metrics_of(job, split.with_scores(keep, fused), point.threshold),
            "detector_alone": alone.model_dump(),
        },
    )
    write_detections_csv(job, split, keep, fused)
    job.progress(1, 1)


def _fit_fuser(
    job: Job, split: SplitCandidates, hits: NDArray[np.bool_], lowest: float | None
) -> tuple[float, Fuser, OperatingPoint, Floats]:
    """Fit a fuser on the candidates above `lowest`.

    Returns how good it is by `choose_by`, the fuser, its threshold, and the candidates' scores that these were chosen
    with: cross-fitted ones if the fuser has them, otherwise its own.
    """
    assert job.stage.plugin is not None
    keep = split.above(lowest)
    sweep = Sweep(split.with_scores(keep, split.detector[keep]), *matching_rule(job))
    by_f1 = job.stage.settings["choose_by"] == "f1"
    choose_by = None if by_f1 else partial(_average_precision, sweep)
    fuser = job.stage.plugin.create("cpu")
    verifier = split.detector if split.verifier is None else split.verifier
    seen = seen_by(job, fuser, split, keep)
    fuser.fit(Validation(split.detector[keep], verifier[keep], hits[keep], sweep.best_f1, *seen, choose_by))
    cross_fitted = fuser.cross_fitted()
    if cross_fitted is None:
        fused = fused_scores(job, fuser, split, keep)
    else:
        fused = checks.scores(fuser, None, cross_fitted, int(keep.sum()))
    point = best_point(sweep.curve(fused))
    return choose_by(fused) if choose_by else point.f1 or 0.0, fuser, point, fused


def _average_precision(sweep: Sweep, scores: Floats) -> float:
    """Returns the average precision, 0 without a mitosis; rounded, so that the order of a sum does not break ties."""
    return round(sweep.curve(scores).average_precision() or 0.0, 12)


def _candidate_thresholds(job: Job, split: SplitCandidates, hits: NDArray[np.bool_]) -> list[float | None]:
    """Returns the candidate thresholds to try: the configured one, or those that validation offers."""
    configured: float | str | None = job.stage.settings["candidate_threshold"]
    if not isinstance(configured, str):
        return [configured]
    return [None] if split.verifier is None else candidate_thresholds(split.detector, hits)


def _near_mitosis(split: SplitCandidates, matcher: str, radius_um: float) -> NDArray[np.bool_]:
    """Returns which detections lie within the radius of an annotated mitosis, bool [N]."""
    frames = (frame.near(matcher, radius_um) for frame in split.frames)
    return np.concatenate([np.zeros(0, dtype=bool), *frames])
