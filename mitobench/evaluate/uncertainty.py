"""Percentile bootstrap intervals (95 %) of P, R and F1, resampling whole slides or cases.

Frames of one slide resemble each other, so slides are what is resampled. With fewer than ten the interval is weak;
with fewer than five there is too little to draw from: then frames are resampled, and the interval is named so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from mitobench.errors import MitobenchError
from mitobench.evaluate.metrics import RATIOS, FrameCounts, total

_WEAK_BELOW = 10
_FRAMES_BELOW = 5
RESAMPLES = 2000


class Interval(BaseModel):
    """A 95 % interval.

    Attributes:
        low, high: its ends.
        unit: what was resampled.
        n_units: how many of them there are.
        weak: whether there are fewer than ten groups.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: float
    high: float
    unit: Literal["group", "frame"]
    n_units: int
    weak: bool


class Difference(Interval):
    """The interval of a difference on the same resamples; `delta` is the difference itself."""

    delta: float


def interval(frames: Sequence[FrameCounts], metric: str, seed: int = 0) -> Interval | None:
    """The interval of `precision`, `recall` or `f1` at one fixed threshold.

    None where the metric is undefined, or where there is one unit only, which has no spread.
    """
    if total(frames).ratio(metric) is None:
        return None
    units = units_of(frames)
    return interval_over(units, RATIOS[metric](*_resample(units, frames, seed)))


def paired_difference(
    a: Sequence[FrameCounts], b: Sequence[FrameCounts], metric: str = "f1", seed: int = 0
) -> Difference | None:
    """The interval of `metric` of `a` less that of `b`, two methods on the same frames, each resample used for both.

    None where either metric is undefined, or where there is one unit only.
    Raises MitobenchError where the frames, their groups or their numbers of mitoses differ.
    """
    a, b = sorted(a, key=lambda f: f.frame), sorted(b, key=lambda f: f.frame)
    _check_paired(a, b)
    of_a, of_b = total(a).ratio(metric), total(b).ratio(metric)
    if of_a is None or of_b is None:
        return None
    units = units_of(a)
    spread = RATIOS[metric](*_resample(units, a, seed)) - RATIOS[metric](*_resample(units, b, seed))
    found = interval_over(units, spread)
    return None if found is None else Difference(**found.model_dump(), delta=of_a - of_b)


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
    """What is resampled: `of_frame` [F] is the unit that each frame belongs to."""

    unit: Literal["group", "frame"]
    of_frame: NDArray[np.int64]
    n_units: int
    weak: bool


def units_of(frames: Sequence[FrameCounts]) -> Units:
    """Slides, or frames where there are fewer than five slides."""
    groups, of_frame = np.unique([frame.group for frame in frames], return_inverse=True)
    weak = len(groups) < _WEAK_BELOW
    if len(groups) < _FRAMES_BELOW:
        return Units("frame", np.arange(len(frames)), len(frames), weak)
    return Units("group", of_frame, len(groups), weak)


def _resample(units: Units, frames: Sequence[FrameCounts], seed: int) -> NDArray[np.int64]:
    """Summed tp, fp, fn of each resample, [3, resamples]; one seed draws the same units for every method."""
    counts = np.zeros((units.n_units, 3), dtype=np.int64)
    np.add.at(counts, units.of_frame, [(f.tp, f.fp, f.fn) for f in frames])
    equally = np.full(units.n_units, 1 / units.n_units)
    times_drawn = np.random.default_rng(seed).multinomial(units.n_units, equally, size=RESAMPLES)
    return (times_drawn @ counts).T


def interval_over(units: Units, spread: NDArray[np.float64]) -> Interval | None:
    """The interval of a metric that each resample has, [R]; None of one unit. Undefined ones are left out."""
    if units.n_units < 2:
        return None
    low, high = np.nanpercentile(spread, [2.5, 97.5])
    return Interval(low=low, high=high, unit=units.unit, n_units=units.n_units, weak=units.weak)
