"""Measures how often "95 %" intervals contain the true value: simulated tests by number of slides, regime and method.

The truth is the micro-averaged metric of the population that slides are drawn from. `docs/protocol.md` names the method
that records have; the numbers of slides below 8 stand in `mitobench.evaluate.uncertainty.COVERAGE`.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from common import machine, table
from numpy.typing import NDArray
from scipy import special
from simulated import MANY, REGIMES, Floats, frames, slides, truth

from mitobench.evaluate.jackknife import LeaveOneOut, Score, quantile, t_interval, wilson_interval
from mitobench.evaluate.uncertainty import bootstrap_percentile

Ends = tuple[Floats, Floats]
SLIDES = (5, 6, 7, 8, 11, 15, 20, 50)
METRICS = ("precision", "recall", "f1")
FRAMES = ((1, 20), (2, 20), (2, 40), (3, 20), (4, 20), (4, 3))  # slides, frames of each


def t_plain(counts: NDArray[Any], metric: str) -> Ends:
    """Interval from the jackknife's standard error and t with (number of slides - 1) degrees of freedom."""
    statistic = Score.of(counts, metric).statistic
    half = quantile(_units(statistic)) * np.sqrt(statistic.variance())
    return np.clip(statistic.value - half, 0, 1), np.clip(statistic.value + half, 0, 1)


def t_logit(counts: NDArray[Any], metric: str) -> Ends:
    """The same on the logit scale; [0, 1] if the metric is 0 or 1."""
    statistic = Score.of(counts, metric).statistic
    with np.errstate(divide="ignore", invalid="ignore"):
        half = quantile(_units(statistic)) * np.sqrt(statistic.variance())
        half, middle = half / (statistic.value * (1 - statistic.value)), special.logit(statistic.value)
        low, high = special.expit(middle - half), special.expit(middle + half)
    return np.nan_to_num(low, nan=0.0), np.nan_to_num(high, nan=1.0)


def _units(statistic: LeaveOneOut) -> Floats:
    return np.full(statistic.value.shape, statistic.weight.shape[-1] - 1.0)


SINGLE: dict[str, Callable[[NDArray[Any], str], Ends]] = {
    "bootstrap-percentile": bootstrap_percentile,
    "jackknife, t": t_plain,
    "jackknife, t, logit": t_logit,
    "jackknife-wilson": wilson_interval,
}


def bootstrap_difference(a: Floats, b: Floats) -> Ends:
    """Percentiles of the difference of F1 over resamples of the slides, with the same resamples for both methods."""
    units = a.shape[-2]
    drawn = np.random.default_rng(0).multinomial(units, np.full(units, 1 / units), size=2000).astype(np.float64)
    tp, fp, fn = (np.moveaxis(np.stack([drawn @ a, drawn @ b]), -1, 0)[i] for i in range(3))
    with np.errstate(divide="ignore", invalid="ignore"):
        f1 = 2 * tp / (2 * tp + fp + fn)
    low, high = np.nanpercentile(f1[0] - f1[1], [2.5, 97.5], axis=-1)
    return low, high


def t_difference(a: Floats, b: Floats) -> Ends:
    """Interval from the jackknife's standard error and t with (effective number of slides - 1) degrees of freedom."""
    return t_interval(Score.of(a, "f1") - Score.of(b, "f1"))


PAIRED: dict[str, Callable[[Floats, Floats], Ends]] = {
    "bootstrap-percentile": bootstrap_difference,
    "jackknife-t": t_difference,
}


def covered(ends: Ends, true: float) -> tuple[float, float]:
    """Returns how often defined intervals contain the true value, and their mean width."""
    low, high = (end[~np.isnan(ends[0])] for end in ends)
    return float(((low <= true) & (true <= high)).mean()), float((high - low).mean())


def measure(tests: int, few: int) -> Iterator[tuple[str, str, str, int, float, float]]:
    """Yields metric, method, regime, slides, coverage, width; with `few` tests for the bootstrap, which is slow."""
    for regime, how in REGIMES.items():
        population = slides(how, (MANY,), seed=1)
        true = [truth(counts) for counts in population]
        for n in SLIDES:
            a, b = slides(how, (tests, n), seed=1000 + n)
            for place, metric in enumerate(METRICS):
                for method, ends in SINGLE.items():
                    some = a[: few if "bootstrap" in method else tests]
                    yield metric, method, regime, n, *covered(ends(some, metric), true[0][place])
            for method, of_pair in PAIRED.items():
                some = slice(few if "bootstrap" in method else tests)
                yield (
                    "difference of f1",
                    method,
                    regime,
                    n,
                    *covered(of_pair(a[some], b[some]), true[0][2] - true[1][2]),
                )


def over_frames(tests: int) -> Iterator[list[str]]:
    """Yields a line per number of slides: how often intervals over frames contain the value of other slides."""
    for n_slides, n_frames in FRAMES:
        found = []
        for how in REGIMES.values():
            true = truth(frames(how, MANY // 10, 1, n_frames, seed=1))[2]
            found.append(covered(wilson_interval(frames(how, tests, n_slides, n_frames, seed=2), "f1"), true)[0])
        yield [f"{n_slides} slides of {n_frames} frames", f"{np.mean(found):.2f}", f"{min(found):.2f}"]


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tests", type=int, default=2000, help="simulated test sets of each regime and size")
    parser.add_argument("--few", type=int, default=300, help="of them for the bootstrap")
    args = parser.parse_args()
    warnings.filterwarnings("ignore", "All-NaN")  # a simulated test set without a mitosis has no interval
    print(machine(), f"\n{args.tests} test sets each, {args.few} for the bootstrap\n")
    found = list(measure(args.tests, args.few))
    for what in dict.fromkeys(item[0] for item in found):
        lines = []
        for method in dict.fromkeys(item[1] for item in found if item[0] == what):
            cells = [[item for item in found if item[:2] == (what, method) and item[3] == n] for n in SLIDES]
            lines.append([method, *(_summary([item[4] for item in cell]) for cell in cells)])
            lines.append(["mean width", *(f"{np.mean([item[5] for item in cell]):.2f}" for cell in cells)])
        print(f"{what}: mean coverage over regimes (worst regime)\n")
        print(table(["slides", *map(str, SLIDES)], lines), "\n")
    for what, method in (
        ("f1", "jackknife-wilson"),
        ("f1", "bootstrap-percentile"),
        ("difference of f1", "jackknife-t"),
    ):
        print(f"{what}, {method}: coverage by regime\n")
        lines = [[name, *(f"{i[4]:.3f}" for i in found if i[:3] == (what, method, name))] for name in REGIMES]
        print(table(["slides", *map(str, SLIDES)], lines), "\n")
    print("f1, jackknife-wilson over frames: coverage of the population of slides\n")
    print(table(["", "mean", "worst regime"], over_frames(args.tests)))


def _summary(coverages: list[float]) -> str:
    return f"{np.mean(coverages):.3f} ({min(coverages):.3f})"


if __name__ == "__main__":
    main()
