"""F1 of many rows on the same resamples, drawn once: a thousand rows cost seconds.

Two rows so resampled differ as `mitobench.evaluate.paired_difference` says.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mitobench.evaluate import FrameCounts, Interval
from mitobench.evaluate.metrics import RATIOS, Floats
from mitobench.evaluate.uncertainty import RESAMPLES, interval_over, units_of


class Scores(NamedTuple):
    """F1 of summed counts; nan where it is undefined.

    Attributes:
        f1: of all frames.
        resampled: of each resample, [R].
    """

    f1: float
    resampled: Floats


class Resamples:
    """Resamples of a test set, the same for every row on it.

    Args:
        frames: any row's counts of each frame; only their groups are read.
    """

    def __init__(self, frames: Sequence[FrameCounts]) -> None:
        self._units = units_of(frames)

    def scores(self, counts: NDArray[np.int64]) -> Scores:
        """F1 of counts, [F, 3] tp, fp, fn of each frame."""
        of_unit = np.zeros((self._units.n_units, 3))
        np.add.at(of_unit, self._units.of_frame, counts)
        f1 = RATIOS["f1"]
        return Scores(float(f1(*counts.sum(axis=0))), f1(*(_drawn(self._units.n_units) @ of_unit).T))

    def interval(self, resampled: Floats) -> Interval | None:
        """The 95 % interval of a value that each resample has, [R]; None of one slide or frame."""
        return interval_over(self._units, resampled)


@lru_cache(maxsize=16)
def _drawn(n_units: int, seed: int = 0) -> Floats:
    """How often each resample has each unit, [R, U]; floats, which multiply faster."""
    equally = np.full(n_units, 1 / n_units)
    return np.random.default_rng(seed).multinomial(n_units, equally, size=RESAMPLES).astype(np.float64)
