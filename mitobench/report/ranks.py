"""Computes the ranks that rows could have on other slides, by comparing all pairs of rows."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mitobench.evaluate import Score
from mitobench.evaluate.jackknife import holm, p_value
from mitobench.evaluate.metrics import Floats
from mitobench.report.row import LeaderboardRow

LEVEL = 0.05


@dataclass(frozen=True)
class Ranks:
    """The comparisons of all rows, which are in the order of their rank.

    Each row is compared with all others by the paired test of their difference of F1, at the 5 % level, with Holm's
    correction for all comparisons of that row. Two rows differ only if the comparisons of both say so, so that their
    rank ranges agree.

    Attributes:
        better: [R, R], whether row i is better than row j.
        worse: [R, R], whether row i is worse than row j.
    """

    better: NDArray[np.bool_]
    worse: NDArray[np.bool_]

    @classmethod
    def of(cls, rows: Sequence[LeaderboardRow]) -> Ranks:
        """Compare all pairs of rows on the seeds that both have. Rows that cannot be compared count as equal."""
        delta, p = _compared(rows)
        differ = np.zeros(p.shape, dtype=bool)
        others = ~np.eye(len(rows), dtype=bool)
        differ[others] = (holm(p[others].reshape(len(rows), -1)) < LEVEL).ravel()
        better = differ & differ.T & (delta > 0)
        return cls(better, better.T)

    def range_of(self, place: int) -> tuple[int, int]:
        """The best and the worst rank of the row at index `place`.

        The best is one more than the number of rows that are better, the worst is the number of rows that are not
        worse. The row's own rank is always between them, although rows are compared on common seeds only.
        """
        best = 1 + int(self.worse[place].sum())
        worst = len(self.better) - int(self.better[place].sum())
        return min(best, place + 1), max(worst, place + 1)


def _compared(rows: Sequence[LeaderboardRow]) -> tuple[Floats, Floats]:
    """The difference of F1 of all pairs and its p value, [R, R] each; 0 and 1 where rows cannot be compared."""
    delta, p = np.zeros((len(rows), len(rows))), np.ones((len(rows), len(rows)))
    for first, second in itertools.combinations_with_replacement(_alike(rows).items(), 2):
        ((seeds, frames), places), ((other_seeds, other_frames), others) = first, second
        common = seeds & other_seeds
        if not common or frames != other_frames:
            continue
        these, those = (Score.stack([rows[place].score(common) for place in which]) for which in (places, others))
        for number, place in enumerate(places):
            rest = slice(number + 1 if first is second else 0, None)
            difference = these[number : number + 1] - those[rest]
            known = ~np.isnan(difference.value)
            delta[place, others[rest]] = np.where(known, difference.value, 0.0)
            delta[others[rest], place] = -delta[place, others[rest]]
            p[place, others[rest]] = p[others[rest], place] = np.where(known, p_value(difference), 1.0)
    return delta, p


def _alike(rows: Sequence[LeaderboardRow]) -> dict[tuple[frozenset[int], tuple[object, ...]], list[int]]:
    """Indices of the rows with the same seeds and the same frames."""
    found: dict[tuple[frozenset[int], tuple[object, ...]], list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        if row.frames:
            found[frozenset(row.seeds), tuple(row.frames)].append(place)
    return found
