"""Jackknife over slides (or frames): how much a ratio of summed counts would vary between samples of slides.

All functions work on arrays: counts are [..., U, 3], the tp, fp and fn of U units. Results have the leading shape, so
that one call handles a thousand rows or simulated test sets. Undefined values are nan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from mitobench.evaluate.metrics import Floats

CONFIDENCE = 0.95


def _terms(counts: Floats, metric: str) -> tuple[Floats, Floats]:
    """Numerator and denominator of a metric from tp, fp and fn, [3, ...]. The metric is the ratio of their sums."""
    tp, fp, fn = counts
    if metric == "f1":
        return 2 * tp, 2 * tp + fp + fn
    return tp, {"precision": tp + fp, "recall": tp + fn, "jaccard": tp + fp + fn}[metric]


@dataclass(frozen=True)
class LeaveOneOut:
    """A statistic of all units, and with each unit left out.

    Attributes:
        value: of all units, [...].
        left_out: without each unit, [..., U].
        weight: what each unit contributes to the metric's denominator, [..., U].
        min_variance: lower bound of the variance, [...].
    """

    value: Floats
    left_out: Floats
    weight: Floats
    min_variance: Any = 0.0

    def mean(self) -> LeaveOneOut:
        """The mean over the first axis, which holds several statistics of the same units. A unit is left out of all."""
        min_variance = np.mean(self.min_variance, axis=0)
        return LeaveOneOut(self.value.mean(axis=0), self.left_out.mean(axis=0), self.weight.mean(axis=0), min_variance)

    def variance(self) -> Floats:
        """The jackknife estimate, around the value of all units; nan if fewer than two units have any weight."""
        counted = self.weight > 0
        n = counted.sum(axis=-1)
        squares = np.where(counted, (self.left_out - self.value[..., None]) ** 2, 0.0).sum(axis=-1)
        return np.where(n > 1, np.maximum((n - 1) / np.maximum(n, 1) * squares, self.min_variance), np.nan)

    def degrees_of_freedom(self) -> Floats:
        """The effective number of units minus one; at least one.

        Ten slides vary like four if one of them holds half of the mitoses. The effective number follows Kish's formula:
        the square of the summed weights divided by the sum of their squares.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            effective = self.weight.sum(axis=-1) ** 2 / (self.weight**2).sum(axis=-1)
        degrees: Floats = np.maximum(effective - 1, 1)
        return degrees


@dataclass(frozen=True)
class Score:
    """A metric of one or many methods, computed from the counts of their units.

    Attributes:
        counts: tp, fp and fn of each unit, [3, ..., U].
        metric: `precision`, `recall`, `f1` or `jaccard`, which is tp / (tp + fp + fn).
        statistic: the metric of the summed counts, [...].
        sums: the summed counts, [3, ...].
    """

    counts: Floats
    metric: str
    statistic: LeaveOneOut
    sums: Floats

    @classmethod
    def of(cls, counts: NDArray[Any], metric: str) -> Score:
        """Computes a metric of counts [..., U, 3], summed over the units."""
        by_kind = np.ascontiguousarray(np.moveaxis(np.asarray(counts, dtype=np.float64), -1, 0))
        part, whole = _terms(by_kind, metric)
        parts, wholes = part.sum(axis=-1, keepdims=True), whole.sum(axis=-1, keepdims=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            statistic = LeaveOneOut((parts / wholes)[..., 0], (parts - part) / (wholes - whole), whole)
        return cls(by_kind, metric, statistic, by_kind.sum(axis=-1))

    @classmethod
    def stack(cls, scores: Sequence[Score]) -> Score:
        """Stacks the scores of several methods on the same units along a new first axis."""
        return cls.of(np.moveaxis(np.stack([score.counts for score in scores], axis=1), 0, -1), scores[0].metric)

    def __getitem__(self, part: slice) -> Score:
        """Selects some methods of a stack."""
        one = self.statistic
        statistic = LeaveOneOut(one.value[part], one.left_out[part], one.weight[part])
        return Score(self.counts[:, part], self.metric, statistic, self.sums[:, part])

    def __sub__(self, other: Score) -> LeaveOneOut:
        """The difference between two methods on the same units. Each unit is left out of both.

        Its variance is at least what it would be if the additional hits and false positives of one method occurred
        independently. Otherwise three slides that agree by chance would make a difference look certain.
        """
        a, b = self.statistic, other.statistic
        hits, false = np.abs(self.counts[:2] - other.counts[:2]).sum(axis=-1)
        between = (self.sums + other.sums) / 2
        min_variance = hits * self._change(between, hits=1) ** 2 + false * self._change(between, false=1) ** 2
        return LeaveOneOut(a.value - b.value, a.left_out - b.left_out, a.weight + b.weight, min_variance)

    def _change(self, counts: Floats, hits: int = 0, false: int = 0) -> Floats:
        """How much more hits (and fewer misses), or more false positives, change the metric of counts [3, ...]."""
        more = np.stack([counts[0] + hits, counts[1] + false, counts[2] - hits])
        (part, whole), (part_then, whole_then) = _terms(counts, self.metric), _terms(more, self.metric)
        with np.errstate(divide="ignore", invalid="ignore"):
            return part_then / whole_then - part / whole


def quantile(degrees_of_freedom: Floats, confidence: float = CONFIDENCE) -> Floats:
    """The quantile of Student's t distribution for a two-sided interval."""
    reach: Floats = special.stdtrit(degrees_of_freedom, (1 + confidence) / 2)
    return reach


def t_interval(statistic: LeaveOneOut) -> tuple[Floats, Floats]:
    """Value plus and minus t times the standard error. For differences, so clipped to -1 and 1."""
    half = quantile(statistic.degrees_of_freedom()) * np.sqrt(statistic.variance())
    return np.clip(statistic.value - half, -1, 1), np.clip(statistic.value + half, -1, 1)


def p_value(statistic: LeaveOneOut) -> Floats:
    """Two-sided p value of the hypothesis that the true value is 0; 1 if the value is 0 or its variance undefined."""
    error = np.sqrt(statistic.variance())
    with np.errstate(divide="ignore", invalid="ignore"):
        reached = np.abs(statistic.value) / error
    p = 2 * special.stdtr(statistic.degrees_of_freedom(), -reached)
    return np.where((statistic.value == 0) | np.isnan(reached), 1.0, p)


def wilson_interval(counts: NDArray[Any], metric: str) -> tuple[Floats, Floats]:
    """Wilson interval of `precision`, `recall` or `f1` at the effective number of detections and mitoses.

    The effective number is the number of independent ones whose proportion would vary as much as the jackknife finds
    between units; it is never larger than the actual number. The interval stays within 0 and 1, and has a width even if
    all units agree or F1 is 1. F1 = 2 p / (1 + p) with the proportion p = tp / (tp + fp + fn), so its interval is that
    of p, transformed.
    """
    proportion = Score.of(counts, "jaccard" if metric == "f1" else metric).statistic
    p, n = proportion.value, proportion.weight.sum(axis=-1)
    variance = proportion.variance()
    t = quantile(Score.of(counts, metric).statistic.degrees_of_freedom())
    with np.errstate(divide="ignore", invalid="ignore"):
        effective = np.where(variance == 0, n, np.minimum(p * (1 - p) / variance, n))
        q = t**2 / effective
        middle, half = (p + q / 2) / (1 + q), np.sqrt(q * (p * (1 - p) + q / 4)) / (1 + q)
    low, high = np.clip(middle - half, 0, 1), np.clip(middle + half, 0, 1)
    return (2 * low / (1 + low), 2 * high / (1 + high)) if metric == "f1" else (low, high)


def holm(p_values: Floats) -> Floats:
    """Corrects p values for multiple comparisons by Holm's method, [..., K] along the last axis."""
    p_values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p_values, axis=-1, kind="stable")
    steps = np.take_along_axis(p_values, order, axis=-1) * np.arange(p_values.shape[-1], 0, -1)
    rising = np.minimum(np.maximum.accumulate(steps, axis=-1), 1.0)
    corrected: Floats = np.empty_like(rising)
    np.put_along_axis(corrected, order, rising, axis=-1)
    return corrected
