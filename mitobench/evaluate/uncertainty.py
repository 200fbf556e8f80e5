"""95 % intervals of precision, recall and F1, and of differences between two methods, over slides or cases.

Frames of one slide resemble each other, so the effective size of a test set is its number of slides. With fewer than
five slides their spread cannot be estimated: the unit is then the frame, and the interval does not cover other slides.

A record names the method and version of its intervals. `METHODS` keeps all of them, so that old intervals can be
recomputed exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from mitobench.errors import MitobenchError
from mitobench.evaluate.jackknife import LeaveOneOut, Score, t_interval, wilson_interval
from mitobench.evaluate.metrics import RATIOS, Floats, FrameCounts, total

_FRAMES_BELOW = 5
_RESAMPLES = 2000
Unit = Literal["group", "frame"]


class Interval(BaseModel):
    """A 95 % interval.

    Attributes:
        low, high: its ends.
        unit: what is assumed to vary: `group` (slides), or `frame` if there are fewer than five slides.
        n_units: number of these units.
        method, version: how it was computed: a key of `METHODS`, or `jackknife-t` for a difference.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: float
    high: float
    unit: Unit
    n_units: int
    method: str
    version: int


class Difference(Interval):
    """The interval of a difference between two methods on the same units; `delta` is the difference itself."""

    delta: float


def bootstrap_percentile(counts: NDArray[Any], metric: str) -> tuple[Floats, Floats]:
    """Percentiles of the metric over 2,000 resamples of the units in counts [..., U, 3], with seed 0.

    Its coverage is too low (`benchmarks/coverage.py`). It is kept for records that name it.
    """
    units = np.shape(counts)[-2]
    times_drawn = np.random.default_rng(0).multinomial(units, np.full(units, 1 / units), size=_RESAMPLES)
    resampled = RATIOS[metric](*np.moveaxis(times_drawn @ np.asarray(counts), -1, 0))
    low, high = np.nanpercentile(resampled, [2.5, 97.5], axis=-1)
    return low, high


# Functions from counts of units [..., U, 3] to both ends of an interval, [...]. Never change one: add a version.
METHODS: dict[tuple[str, int], Callable[[NDArray[Any], str], tuple[Floats, Floats]]] = {
    ("jackknife-wilson", 1): wilson_interval,
    ("bootstrap-percentile", 1): bootstrap_percentile,
}
METHOD, VERSION = "jackknife-wilson", 1
DIFFERENCE_METHOD: dict[str, Any] = {"method": "jackknife-t", "version": 1}

# Coverage of "95 %" intervals of F1 in simulation, by minimum number of slides: the mean over the regimes of
# `benchmarks/coverage.py` (table in docs/benchmarks.md).
COVERAGE: dict[tuple[str, int], dict[int, float]] = {
    ("jackknife-wilson", 1): {5: 0.98, 6: 0.97, 7: 0.97, 8: 0.97, 11: 0.96, 15: 0.96, 20: 0.95, 50: 0.95},
    ("jackknife-t", 1): {5: 0.98, 6: 0.98, 7: 0.98, 8: 0.97, 11: 0.97, 15: 0.96, 20: 0.96, 50: 0.95},
    ("bootstrap-percentile", 1): {5: 0.82, 6: 0.84, 7: 0.86, 8: 0.86, 11: 0.90, 15: 0.91, 20: 0.92, 50: 0.93},
}
COVERAGE_OVER_FRAMES = 0.75  # coverage of other slides by an interval over the frames of one to four slides


def coverage(interval: Interval) -> float | None:
    """The coverage of a "95 %" interval in simulation. For an interval over frames: its coverage of other slides.

    None if its method was not simulated.
    """
    if interval.unit == "frame":
        return COVERAGE_OVER_FRAMES
    simulated = COVERAGE.get((interval.method, interval.version), {})
    return next((found for n, found in reversed(simulated.items()) if n <= interval.n_units), None)


def interval(
    frames: Sequence[FrameCounts], metric: str, *, method: str = METHOD, version: int = VERSION, runs: int = 1
) -> Interval | None:
    """Computes the interval of `precision`, `recall` or `f1` at a fixed threshold.

    Args:
        frames: the counts of each frame.
        metric: its name.
        method, version: a key of `METHODS`. To recompute a recorded interval, pass the ones it names.
        runs: number of runs on the same frames over which the counts are summed; more runs do not add mitoses.

    Returns None if the metric is undefined, or if there is only one unit, which has no spread.
    Raises MitobenchError for an unknown method.
    """
    if (method, version) not in METHODS:
        known = ", ".join(f"{name} {number}" for name, number in METHODS)
        raise MitobenchError(
            f"Unknown interval method {method!r}, version {version}. Available: {known}. Upgrade mitobench."
        )
    if total(frames).ratio(metric) is None:
        return None
    units = units_of(frames)
    if units.n_units < 2:
        return None
    counts = units.sums([(f.tp, f.fp, f.fn) for f in frames])
    ends = METHODS[method, version](counts / runs if runs > 1 else counts, metric)
    return units.interval(*ends, method=method, version=version)


def paired_difference(a: Sequence[FrameCounts], b: Sequence[FrameCounts], metric: str = "f1") -> Difference | None:
    """Computes the interval of the difference in `metric`, `a` minus `b`, between two methods on the same frames.

    The jackknife leaves each unit out of both methods. Returns None if either metric is undefined, or if only one unit
    contributes. Raises MitobenchError if the frames, their groups or their numbers of mitoses differ.
    """
    a, b = sorted(a, key=lambda f: f.frame), sorted(b, key=lambda f: f.frame)
    _check_paired(a, b)
    if not a:
        return None
    units = units_of(a)
    one, other = (Score.of(units.sums([(f.tp, f.fp, f.fn) for f in frames]), metric) for frames in (a, b))
    return units.difference(one - other)


def _check_paired(a: Sequence[FrameCounts], b: Sequence[FrameCounts]) -> None:
    only = sorted({f.frame for f in a} ^ {f.frame for f in b})
    if only or len(a) != len(b):
        raise MitobenchError(
            f"Two methods can only be compared on the same frames; they have {len(a)} and {len(b)} frames"
            f"{'. Frames of only one method: ' + ', '.join(only[:5]) if only else ''}. Score both on the same split."
        )
    for one, other in zip(a, b, strict=True):
        if (one.group, one.tp + one.fn) != (other.group, other.tp + other.fn):
            raise MitobenchError(
                f"Frame {one.frame} has group {one.group} and {one.tp + one.fn} mitoses for one method, group "
                f"{other.group} and {other.tp + other.fn} for the other. Score both on the same annotation."
            )


@dataclass(frozen=True)
class Units:
    """The units that are assumed to vary. `of_frame` [F] is the index of each frame's unit."""

    unit: Unit
    of_frame: NDArray[np.int64]
    n_units: int

    def sums(self, counts: Any) -> NDArray[np.int64]:
        """Sums the counts of frames, [F, 3], to counts of units, [U, 3]."""
        summed = np.zeros((self.n_units, 3), dtype=np.int64)
        np.add.at(summed, self.of_frame, np.asarray(counts))
        return summed

    def interval(self, low: Any, high: Any, **method: Any) -> Interval | None:
        """Makes an interval over these units; None if it is undefined."""
        if np.isnan(low) or np.isnan(high):
            return None
        return Interval(low=float(low), high=float(high), unit=self.unit, n_units=self.n_units, **method)

    def difference(self, statistic: LeaveOneOut) -> Difference | None:
        """The interval of a difference between two methods on these units; None if it is undefined."""
        found = self.interval(*t_interval(statistic), **DIFFERENCE_METHOD)
        return None if found is None else Difference(**found.model_dump(), delta=float(statistic.value))


def units_of(frames: Sequence[FrameCounts]) -> Units:
    """Returns slides as units, or frames if there are fewer than five slides."""
    groups, of_frame = np.unique([frame.group for frame in frames], return_inverse=True)
    if len(groups) < _FRAMES_BELOW:
        return Units("frame", np.arange(len(frames)), len(frames))
    return Units("group", of_frame, len(groups))
