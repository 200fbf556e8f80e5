"""Chooses the threshold on validation frames. The test set is never used."""

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
    """The threshold with the best F1.

    Attributes:
        threshold: a detection is kept if score >= threshold; None if none can be chosen (see `reason`).
        f1, precision, recall: the scores at the threshold, on the frames that it was chosen on.
        upper: the lowest score that is kept.
        lower: the highest score that is dropped; None if all are kept. All thresholds in (lower, upper] are equivalent.
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
    """Chooses the threshold with the highest F1 over `frames`, which must be validation frames, never test frames.

    The threshold is midway between the lowest score kept and the next lower one: a threshold equal to a score would
    depend on its last bit. If there is no lower score, the threshold is the lowest score kept. Among equally good
    thresholds the highest is chosen: it has the fewest detections, and the choice does not change under monotone
    rescaling of the scores.
    """
    return best_point(sweep(frames, matcher, radius_um))


def best_point(curve: Curve) -> OperatingPoint:
    """The operating point with the highest F1 on a curve, by the rule of `choose_threshold`."""
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
    """The candidate thresholds to choose from on validation: none, and those that discard some detected mitoses.

    Args:
        score: the detector's scores of the validation detections, [N].
        near_mitosis: which of them are on a mitosis, bool [N].
    """
    if not near_mitosis.any():
        return [None]
    quantiles = np.quantile(score[near_mitosis], DISCARDED, method="lower")
    return [None, *sorted({float(np.nextafter(q, -np.inf)) for q in quantiles})]


def between(lower: float, upper: float) -> float:
    """The threshold midway between two neighbouring scores; the upper one if there is no float between them."""
    middle = lower + (upper - lower) / 2
    return middle if lower < middle else upper  # neighbouring floats have no float between them
