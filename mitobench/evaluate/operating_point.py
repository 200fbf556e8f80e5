"""The threshold, chosen on validation frames: the one that never sees the test set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from mitobench.evaluate.curve import Curve, sweep
from mitobench.evaluate.metrics import FramePrediction

Floats = NDArray[np.float64]

# A candidate threshold chosen on validation may discard these fractions of the detected mitoses.
DISCARDED = (0.02, 0.05, 0.1, 0.2)


class OperatingPoint(BaseModel):
    """The threshold of the best F1.

    Attributes:
        threshold: keep a detection where score >= threshold; None where none can be chosen, `reason` says why.
        f1, precision, recall: there, on the frames that it was chosen on.
        upper: the lowest score kept.
        lower: the highest score left out; None where all are kept. Every threshold in (lower, upper] counts the same.
        reason: why there is no threshold.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    threshold: float | None = None
    f1: float | None = None
    precision: float | None = None
    recall: float | None = None
    lower: float | None = None
    upper: float | None = None
    reason: str | None = None


def choose_threshold(frames: Sequence[FramePrediction], matcher: str, radius_um: float) -> OperatingPoint:
    """The threshold of the highest F1 over `frames`, which are the validation frames, never the test's.

    It lies midway between the last score kept and the next one below: a threshold exactly on a score would turn on
    that score's last bit. Where nothing lies below, it is that score. Of equally good thresholds it is the highest:
    fewest detections for the same F1, and the same choice under any monotone rescaling of the scores.
    """
    return best_point(sweep(frames, matcher, radius_um))


def best_point(curve: Curve) -> OperatingPoint:
    """The point of the highest F1 on a curve, by the rule of `choose_threshold`."""
    if not curve.n_mitoses:
        return OperatingPoint(reason="the frames hold no annotated mitosis")
    if not len(curve.threshold):
        return OperatingPoint(reason="there is no detection")
    if not curve.tp.any():
        return OperatingPoint(reason="no detection hits a mitosis")
    best = int(np.argmax(curve.ratio("f1")))
    upper = float(curve.threshold[best])
    lower = float(curve.threshold[best + 1]) if best + 1 < len(curve.threshold) else None
    return OperatingPoint(
        threshold=upper if lower is None else between(lower, upper),
        f1=float(curve.ratio("f1")[best]),
        precision=float(curve.ratio("precision")[best]),
        recall=float(curve.ratio("recall")[best]),
        lower=lower,
        upper=upper,
    )


def candidate_thresholds(score: Floats, near_mitosis: NDArray[np.bool_]) -> list[float | None]:
    """The candidate thresholds that validation chooses from: none, and those that discard some of the mitoses found.

    Args:
        score: the detector's, of the validation detections, [N].
        near_mitosis: which of them show a mitosis, bool [N].
    """
    if not near_mitosis.any():
        return [None]
    quantiles = np.quantile(score[near_mitosis], DISCARDED, method="lower")
    return [None, *sorted({float(np.nextafter(q, -np.inf)) for q in quantiles})]


def between(lower: float, upper: float) -> float:
    """The threshold midway between two neighbouring scores; the upper one where no float lies between them."""
    middle = lower + (upper - lower) / 2
    return middle if lower < middle else upper  # neighbouring floats have nothing between them
