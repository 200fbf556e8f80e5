"""95 % intervals of P, R and F1, and of differences between two methods, over slides or cases.

Frames of one slide resemble each other, so a test set is as large as its number of slides. With fewer than five there
are too few to learn their spread from: the unit is then the frame, and the interval says nothing of other slides.

A record names the method and version of its intervals, and `METHODS` keeps every one that a record may name, so that
an interval is recomputed as it was made.
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
        unit: what is taken to vary: slides (groups), or frames where there are fewer than five slides.
        n_units: how many of them there are.
        method, version: how it was computed, a key of `METHODS`; of a difference `jackknife-t`.
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
    """Percentiles of the metric over 2,000 resamples of the units, undefined ones left out; seed 0.

    Of counts [..., U, 3]. It covers too little (`benchmarks/coverage.py`), and is kept for records that name it.
    """
    units = np.shape(counts)[-2]
    times_drawn = np.random.default_rng(0).multinomial(units, np.full(units, 1 / units), size=_RESAMPLES)
    resampled = RATIOS[metric](*np.moveaxis(times_drawn @ np.asarray(counts), -1, 0))
    low, high = np.nanpercentile(resampled, [2.5, 97.5], axis=-1)
    return low, high


# Ends of an interval, [...] each, from counts of units [..., U, 3]. Never change one: add a version.
METHODS: dict[tuple[str, int], Callable[[NDArray[Any], str], tuple[Floats, Floats]]] = {
    ("jackknife-wilson", 1): wilson_interval,
    ("bootstrap-percentile", 1): bootstrap_percentile,
}
METHOD, VERSION = "jackknife-wilson", 1
DIFFERENCE_METHOD: dict[str, Any] = {"method": "jackknife-t", "version": 1}

# What "95 %" intervals of F1 cover in simulation from that number of slides on, the mean over its regimes
# (`benchmarks/coverage.py`, whose table stands in docs/benchmarks.md).
COVERAGE: dict[tuple[str, int], dict[int, float]] = {
    ("jackknife-wilson", 1): {5: 0.98, 6: 0.97, 7: 0.97, 8: 0.97, 11: 0.96, 15: 0.96, 20: 0.95, 50: 0.95},
    ("jackknife-t", 1): {5: 0.98, 6: 0.98, 7: 0.98, 8: 0.97, 11: 0.97, 15: 0.96, 20: 0.96, 50: 0.95},
    ("bootstrap-percentile", 1): {5: 0.82, 6: 0.84, 7: 0.86, 8: 0.86, 11: 0.90, 15: 0.91, 20: 0.92, 50: 0.93},
}
COVERAGE_OVER_FRAMES = 0.75  # of other slides, by an interval over the frames of one to four


def coverage(interval: Interval) -> float | None:
    """What a "95 %" interval covers in simulation; of one over frames, of what other slides would give.

    None where its method was not simulated.
    """
    if interval.unit == "frame":
        return COVERAGE_OVER_FRAMES
    simulated = COVERAGE.get((interval.method, interval.version), {})
    return next((found for n, found in reversed(simulated.items()) if n <= interval.n_units), None)


def interval(
    frames: Sequence[FrameCounts], metric: str, *, method: str = METHOD, version: int = VERSION, runs: int = 1
) -> Interval | None:
    """The interval of `precision`, `recall` or `f1` at one fixed threshold.

    Args:
        frames: the counts of each frame.
        metric: its name.
        method, version: a key of `METHODS`; of a recorded interval those that it names.
        runs: how many runs on the same frames the counts are summed over; they add no mitosis.

    None where the metric is undefined, or where only one unit bears on it, which has no spread.
    Raises MitobenchError for an unknown method.
    """
    if (method, version) not in METHODS:
        known = ", ".join(f"{name} {number}" for name, number in METHODS)
        raise MitobenchError(f"Unknown interval method {method!r}, version {version}. Available: {known}.")
    if total(frames).ratio(metric) is None:
        return None
    units = units_of(frames)
    if units.n_units < 2:
        return None
    counts = units.sums([(f.tp, f.fp, f.fn) for f in frames])
    ends = METHODS[method, version](counts / runs if runs > 1 else counts, metric)
    return units.interval(*ends, method=method, version=version)


def paired_difference(a: Sequence[FrameCounts], b: Sequence[FrameCounts], metric: str = "f1") -> Difference | None:
    """The interval of `metric` of `a` less that of `b`, two methods on the same frames, each unit left out of both.

    None where either metric is undefined, or where only one unit bears on it.
    Raises MitobenchError where the frames, their groups or their numbers of mitoses differ.
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
            f"Two methods can be compared only on the same frames; {len(a)} and {len(b)} are given"
            f"{', these by one alone: ' + ', '.join(only[:5]) if only else ''}. Score both on one split."
        )
    for one, other in zip(a, b, strict=True):
        if (one.group, one.tp + one.fn) != (other.group, other.tp + other.fn):
            raise MitobenchError(
                f"Frame {one.frame} has group {one.group} and {one.tp + one.fn} mitoses for one method, group "
                f"{other.group} and {other.tp + other.fn} for the other. Score both on the same annotation."
            )


@dataclass(frozen=True)
class Units:
    """What is taken to vary: `of_frame` [F] is the unit that each frame belongs to."""

    unit: Unit
    of_frame: NDArray[np.int64]
    n_units: int

    def sums(self, counts: Any) -> NDArray[np.int64]:
        """Counts of each unit, [U, 3], from those of each frame, [F, 3]."""
        summed = np.zeros((self.n_units, 3), dtype=np.int64)
        np.add.at(summed, self.of_frame, np.asarray(counts))
        return summed

    def interval(self, low: Any, high: Any, **method: Any) -> Interval | None:
        """An interval over these units; None where it is undefined."""
        if np.isnan(low) or np.isnan(high):
            return None
        return Interval(low=float(low), high=float(high), unit=self.unit, n_units=self.n_units, **method)

    def difference(self, statistic: LeaveOneOut) -> Difference | None:
        """The interval of a difference of one metric between methods on these units; None where it is undefined."""
        found = self.interval(*t_interval(statistic), **DIFFERENCE_METHOD)
        return None if found is None else Difference(**found.model_dump(), delta=float(statistic.value))


def units_of(frames: Sequence[FrameCounts]) -> Units:
    """Slides, or frames where there are fewer than five slides."""
    groups, of_frame = np.unique([frame.group for frame in frames], return_inverse=True)
    if len(groups) < _FRAMES_BELOW:
        return Units("frame", np.arange(len(frames)), len(frames))
    return Units("group", of_frame, len(groups))
