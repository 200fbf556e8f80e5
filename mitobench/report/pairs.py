"""Compares rows in pairs, on the same frames and seeds and with the same slides left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mitobench.evaluate import Interval, Score
from mitobench.report.row import LeaderboardRow


@dataclass(frozen=True)
class PairedDifference:
    """The mean over pairs of rows of the F1 of the first minus that of the second.

    Attributes:
        n_pairs: the number of pairs that could be compared.
        delta: the mean difference; in each pair, counts are summed over the seeds that both rows have.
        interval: its 95 % interval, with each slide (or frame) left out of all pairs at once; None for a single slide
            or frame.
    """

    n_pairs: int
    delta: float
    interval: Interval | None

    @property
    def in_noise(self) -> bool:
        """Whether the interval includes 0."""
        return self.interval is not None and holds_zero(self.interval)

    def reversed(self) -> PairedDifference:
        """The same with the two rows of each pair exchanged."""
        ends = {"low": -self.interval.high, "high": -self.interval.low} if self.interval else {}
        return PairedDifference(self.n_pairs, -self.delta, self.interval and self.interval.model_copy(update=ends))


def holds_zero(interval: Interval) -> bool:
    """Whether an interval of differences includes 0, ignoring the last digits, in which machines differ."""
    return round(interval.low, 9) <= 0 <= round(interval.high, 9)


def mean_difference(pairs: Sequence[tuple[LeaderboardRow, LeaderboardRow]]) -> PairedDifference | None:
    """The mean difference of F1 over the pairs that can be compared; None without such a pair.

    Two rows can be compared if they share a seed, have the same frames with the same mitoses, and their F1 is defined.
    """
    scores = [both for row, other in pairs if (both := _scores(row, other))]
    units = next((row.units for row, _ in pairs if row.units), None)
    if not scores or units is None:
        return None
    mean = (Score.stack([one for one, _ in scores]) - Score.stack([other for _, other in scores])).mean()
    found = units.difference(mean)
    return PairedDifference(len(scores), float(mean.value), found and Interval(**found.model_dump(exclude={"delta"})))


def _scores(row: LeaderboardRow, other: LeaderboardRow) -> tuple[Score, Score] | None:
    seeds = set(row.seeds) & set(other.seeds)
    if not seeds or not row.frames or row.frames != other.frames:
        return None
    scores = row.score(seeds), other.score(seeds)
    return None if np.isnan(scores[0].statistic.value + scores[1].statistic.value) else scores
