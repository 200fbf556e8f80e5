"""How far the stored detections tell the scores over all thresholds: oracle F1, AP, FROC, recall ceiling.

The annotation is not stored. Of two detections below the threshold that lie near a mitosis of one frame, it is not
known whether it is the same one, so these scores are known within bounds. Where no frame leaves that open the bounds
meet, and the scores are recomputed.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mitobench.evaluate import Curve, Metrics
from mitobench.evaluate.matching import closer, find_matcher
from mitobench.results.recount import ROUNDED_UM, Floats, Rows, Wrong, same


@dataclass(frozen=True)
class Bounds:
    """The curve at the least and at the most true positives that the stored detections allow."""

    low: Curve
    high: Curve

    @property
    def meet(self) -> bool:
        """Whether nothing is left open."""
        return bool((self.low.tp == self.high.tp).all())

    def wrong(self, metrics: Metrics) -> Wrong:
        """What lies outside. Every score over thresholds rises with the true positives."""
        of_low, of_high = _of_curve(self.low, metrics), _of_curve(self.high, metrics)
        as_recorded = _as_recorded(metrics)
        for name in of_low.keys() | as_recorded.keys():
            recorded, low, high = as_recorded.get(name), of_low.get(name), of_high.get(name)
            if recorded is None or low is None or high is None:
                inside = recorded is low is high
            else:
                inside = low - 1e-9 <= recorded <= high + 1e-9
            if not inside:
                yield name, recorded, low if same(low, high) else f"{low} to {high}"


def bounds(metrics: Metrics, rows: Rows) -> Bounds | None:
    """The curve as far as it is known; None without counts, or for a matcher whose hits depend on those ranked below.

    Hits at the threshold are stored. Below it, the first detection near a mitosis on a frame where nothing was near is
    a hit; any other one near a mitosis may be, as long as the frame has mitoses left.
    """
    if not metrics.frames or not find_matcher(metrics.matcher).prefix or metrics.threshold is None:
        return None
    kept = np.flatnonzero(rows.above_gate & rows.of_frames([frame.frame for frame in metrics.frames]))
    order = kept[np.argsort(-rows.score[kept], kind="stable")]
    surely = closer(rows.distance_um + ROUNDED_UM, metrics.radius_um)
    maybe = closer(rows.distance_um - ROUNDED_UM, metrics.radius_um)
    mitoses = {frame.frame: frame.tp + frame.fn for frame in metrics.frames}
    some, found = set[str](), Counter[str]()
    low, high = np.zeros(len(order), dtype=np.int64), np.zeros(len(order), dtype=np.int64)
    for place, row in enumerate(order):
        frame = str(rows.frame[row])
        if rows.score[row] >= metrics.threshold:
            low[place] = high[place] = rows.hit[row]
        else:
            low[place] = surely[row] and frame not in some
            high[place] = maybe[row] and found[frame] < mitoses[frame]
        found[frame] += int(high[place])
        if maybe[row]:
            some.add(frame)
    return Bounds(*(_curve(rows.score[order], gain, metrics) for gain in (low, high)))


def _curve(score: Floats, gain: NDArray[np.int64], metrics: Metrics) -> Curve:
    last = np.flatnonzero(np.append(score[1:] != score[:-1], True)) if len(score) else np.zeros(0, dtype=np.int64)
    tp = np.cumsum(gain)[last]
    return Curve(score[last], tp, last + 1 - tp, metrics.n_mitoses, metrics.n_frames)


def _as_recorded(metrics: Metrics) -> dict[str, float | None]:
    """The scores over all thresholds, by name."""
    return {
        "oracle_f1": metrics.oracle_f1,
        "oracle_f1 at oracle_threshold": metrics.oracle_f1,
        "average_precision": metrics.average_precision,
        "recall_ceiling": metrics.recall_ceiling,
        **{f"froc at {rate}": value for rate, value in metrics.froc.items()},
    }


def _of_curve(curve: Curve, metrics: Metrics) -> dict[str, float | None]:
    """The same, recomputed."""
    return {
        "oracle_f1": curve.best_f1(),
        "oracle_f1 at oracle_threshold": _f1_at(curve, metrics.oracle_threshold),
        "average_precision": curve.average_precision(),
        "recall_ceiling": curve.recall_ceiling(),
        **{f"froc at {rate}": value for rate, value in curve.froc().items()},
    }


def _f1_at(curve: Curve, threshold: float | None) -> float | None:
    """F1 at a threshold; without one, where no detection hits, that of the whole curve."""
    if threshold is None:
        return curve.best_f1()
    kept = int((curve.threshold >= threshold).sum())
    return float(curve.ratio("f1")[kept - 1]) if kept else 0.0
