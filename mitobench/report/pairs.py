"""Rows compared in pairs: the same frames, the same seeds, the same slides left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mitobench.evaluate import Interval, Score
from mitobench.report.row import Row


@dataclass(frozen=True)
class Paired:
    """The mean over pairs of rows of F1 of the first less that of the second.

    Attributes:
        n_pairs: how many could be compared.
        delta: the mean difference; of each pair, counts are summed over the seeds that both have.
        interval: 95 %, each slide (or frame) left out of all pairs at once; None of one slide or frame.
    """

    n_pairs: int
    delta: float
    interval: Interval | None

    @property
    def in_noise(self) -> bool:
        """Whether the interval holds 0."""
        return self.interval is not None and holds_zero(self.interval)

    def reversed(self) -> Paired:
        """The second of each pair less the first."""
        ends = {"low": -self.interval.high, "high": -self.interval.low} if self.interval else {}
        return Paired(self.n_pairs, -self.delta, self.interval and self.interval.model_copy(update=ends))


def holds_zero(interval: Interval) -> bool:
    """Whether an interval of differences holds 0, but for the last digits, which no two machines round alike."""
    return round(interval.low, 9) <= 0 <= round(interval.high, 9)


def paired(pairs: Sequence[tuple[Row, Row]]) -> Paired | None:
    """The mean difference of F1 over those of the pairs that can be compared; None where none can.

    Two rows can be compared that have some seed in common, the same frames and the same mitoses on them, and whose F1
    is defined there.
    """
    scores = [both for row, other in pairs if (both := _scores(row, other))]
    units = next((row.units for row, _ in pairs if row.units), None)
    if not scores or units is None:
        return None
    mean = (Score.stack([one for one, _ in scores]) - Score.stack([other for _, other in scores])).mean()
    found = units.difference(mean)
    return Paired(len(scores), float(mean.value), found and Interval(**found.model_dump(exclude={"delta"})))


def _scores(row: Row, other: Row) -> tuple[Score, Score] | None:
    seeds = set(row.seeds) & set(other.seeds)
    if not seeds or not row.frames or row.frames != other.frames:
        return None
    scores = row.score(seeds), other.score(seeds)
    return None if np.isnan(scores[0].statistic.value + scores[1].statistic.value) else scores
