"""A row of a leaderboard: one combination over its seeds."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mitobench.evaluate import FrameCounts, Interval, Metrics, Score, interval, total
from mitobench.evaluate.domains import ByDomain
from mitobench.evaluate.metrics import Counts
from mitobench.evaluate.uncertainty import Units, units_of
from mitobench.results.current_names import current_variant
from mitobench.results.schema import Record

ROLES = ("estimator", "detector", "verifier", "fuser")
UNUSED = "-"  # in place of an estimator whose boxes the detector does not use


@dataclass(frozen=True, eq=False)
class LeaderboardRow:
    """One combination over its seeds.

    Attributes:
        records: one per seed, in the order of seeds, including failed ones.
        expected: the seeds that any row of the section has.
        conflicting: another record of the same series and seed has different numbers. The row is shown, not ranked.
    """

    records: Sequence[Record]
    expected: Collection[int] = ()
    conflicting: bool = False

    @property
    def first(self) -> Record:
        """Its first record; names and options are the same in all."""
        return self.records[0]

    @property
    def title(self) -> str:
        """The names of its parts, except unused ones: `fcn + frcnn + resnet50 + linear`."""
        names = [str(self.first.combination[role]) for role in ROLES]
        return " + ".join(name for name in names if name != UNUSED)

    @cached_property
    def good(self) -> list[Record]:
        """Its records with scores."""
        return [record for record in self.records if record.status == "ok"]

    @cached_property
    def failed(self) -> list[Record]:
        """Its records without scores: shown, and not part of any mean."""
        return [record for record in self.records if record.status != "ok"]

    @cached_property
    def seeds(self) -> list[int]:
        """The seeds with scores."""
        return sorted(seed_of(record) for record in self.good)

    @cached_property
    def missing(self) -> list[int]:
        """The seeds that other rows of the section have and this one lacks."""
        return sorted(set(self.expected) - {seed_of(record) for record in self.records})

    @cached_property
    def ranks(self) -> bool:
        """Whether it can be ranked: it has an F1 and no conflicting record."""
        return not self.conflicting and self.mean("f1") is not None

    def values(self, metric: str, of: str = "test") -> list[float]:
        """A metric of each seed with scores, where defined; `of`: `test`, `detector_alone` or `validation`."""
        found = [getattr(getattr(record, of), metric) for record in self.good]
        return [value for value in found if value is not None]

    def mean(self, metric: str, of: str = "test") -> float | None:
        """The mean over seeds; None where it is undefined for any of them."""
        values = self.values(metric, of)
        return statistics.fmean(values) if values and len(values) == len(self.good) else None

    def spread(self, metric: str) -> tuple[float, float] | None:
        """Lowest and highest value over seeds; None for a single seed."""
        values = self.values(metric)
        return (min(values), max(values)) if len(values) > 1 else None

    def domain_mean(self, kind: str, value: str) -> float | None:
        """F1 on the frames with one value of a domain, mean over seeds; None where it is undefined for any."""
        return _mean_of([scores.values[value].f1 if value in scores.values else None for scores in self._by(kind)])

    def macro_f1(self, kind: str) -> float | None:
        """The mean of F1 over the values of a domain, mean over seeds."""
        return _mean_of([scores.macro_f1 for scores in self._by(kind)])

    def worst(self, kind: str) -> str | None:
        """The value of a domain with the lowest F1, mean over seeds; None where no F1 is defined."""
        values = sorted({value for scores in self._by(kind) for value in scores.values})
        f1 = {value: mean for value in values if (mean := self.domain_mean(kind, value)) is not None}
        return min(f1, key=lambda value: (f1[value], value), default=None)

    @cached_property
    def worst_domain(self) -> tuple[str, str, float] | None:
        """Kind, value and F1 of the value with the lowest F1 among all domains that have several; None without one."""
        kinds = {kind for record in self.good if record.test for kind in record.test.domains}
        found = [
            (f1, kind, value)
            for kind in kinds
            if len({name for scores in self._by(kind) for name in scores.values}) > 1
            and (value := self.worst(kind)) is not None
            and (f1 := self.domain_mean(kind, value)) is not None
        ]
        f1, kind, value = min(found, default=(None, "", ""))
        return None if f1 is None else (kind, value, f1)

    def fp_per_mm2(self, kind: str, value: str | None) -> float | None:
        """False positives per mm2 on the frames with one value of a domain, mean over seeds."""
        found = [scores.values[value].fp_per_mm2 for scores in self._by(kind) if value in scores.values]
        return _mean_of(found)

    def annotators_mean(self, name: str) -> float | None:
        """One of the numbers in `Agreement`, mean over seeds."""
        found = [record.test.annotators for record in self.good if record.test]
        return _mean_of([getattr(agreement, name) if agreement else None for agreement in found])

    @property
    def f1_off_imposters(self) -> float | None:
        """F1 without the false positives on annotated imposters, mean over seeds; None where none are annotated."""
        return _mean_of([_f1_off_imposters(record.test) for record in self.good if record.test])

    @cached_property
    def mitoses_by_slide(self) -> dict[str, int]:
        """The annotated mitoses of each test slide, by its name; empty where `frames` is."""
        found: Counter[str] = Counter()
        for _, group, mitoses in self.frames:
            found[group] += mitoses
        return dict(sorted(found.items()))

    @cached_property
    def f1_by_slide(self) -> dict[str, float | None]:
        """F1 on the frames of each test slide, mean over seeds; None where it is undefined for any seed."""
        of_slides = {
            slide: [total(one for one in self._counts[seed] if one.group == slide).ratio("f1") for seed in self.seeds]
            for slide in self.mitoses_by_slide
        }
        return {slide: _mean_of(values) for slide, values in of_slides.items()}

    def _by(self, kind: str) -> list[ByDomain]:
        return [record.test.domains[kind] for record in self.good if record.test and kind in record.test.domains]

    @property
    def seconds_a_frame(self) -> float | None:
        """Seconds per test frame, mean over seeds."""
        return _mean([record.run.seconds_a_frame for record in self.good])

    @property
    def seconds_a_candidate(self) -> float | None:
        """Seconds of verification per candidate, mean over seeds."""
        return _mean([record.run.seconds_a_candidate for record in self.good])

    @cached_property
    def interval(self) -> Interval | None:
        """The 95 % interval of F1: the recorded one for one seed, that of the summed counts for several."""
        if self.mean("f1") is None:
            return None
        if len(self.good) == 1 and self.good[0].test:
            return self.good[0].test.f1_interval
        return interval(self.counts(), "f1", runs=len(self.seeds))

    @cached_property
    def frames(self) -> Sequence[tuple[str, str, int]]:
        """Each test frame with its group and number of mitoses, by frame; empty where seeds disagree on them."""
        lists = [[(c.frame, c.group, c.tp + c.fn) for c in counts] for counts in self._counts.values()]
        return lists[0] if lists and all(frames == lists[0] for frames in lists) else ()

    def counts(self, seeds: Collection[int] | None = None) -> list[FrameCounts]:
        """The counts of each test frame, by frame, summed over its seeds with scores (only `seeds`, if given)."""
        if not self.frames:
            return []
        summed = self._summed(self.seeds if seeds is None else seeds)
        return [
            FrameCounts(frame=frame, group=group, tp=tp, fp=fp, fn=fn)
            for (frame, group, _), (tp, fp, fn) in zip(self.frames, summed.tolist(), strict=True)
        ]

    @cached_property
    def units(self) -> Units | None:
        """The slides (or frames) of its test set; None where `frames` is empty."""
        return units_of(self._counts[self.seeds[0]]) if self.frames else None

    def score(self, seeds: Collection[int]) -> Score:
        """F1 of the counts averaged over those of `seeds` that have scores. Needs `units`."""
        key = frozenset(seeds) & frozenset(self.seeds)
        if key not in self._scores:
            assert self.units is not None
            self._scores[key] = Score.of(self.units.sums(self._summed(key)) / len(key), "f1")
        return self._scores[key]

    def _summed(self, seeds: Collection[int]) -> NDArray[np.int64]:
        """[F, 3] tp, fp, fn."""
        chosen = [self._counts[seed] for seed in self.seeds if seed in seeds]
        counts = [[(c.tp, c.fp, c.fn) for c in frames] for frames in chosen]
        summed: NDArray[np.int64] = np.array(counts, dtype=np.int64).reshape(-1, len(self.frames), 3).sum(axis=0)
        return summed

    @cached_property
    def _counts(self) -> dict[int, list[FrameCounts]]:
        """The counts of each seed with scores, by frame."""
        tested = {seed_of(record): record.test for record in self.good}
        return {seed: sorted(test.frames, key=lambda c: c.frame) if test else [] for seed, test in tested.items()}

    @cached_property
    def _scores(self) -> dict[frozenset[int], Score]:
        return {}


def _f1_off_imposters(test: Metrics) -> float | None:
    said = test.annotators
    if said is None or said.fp_elsewhere is None or test.tp is None or test.fn is None:
        return None
    return Counts(tp=test.tp, fp=said.fp_elsewhere, fn=test.fn).ratio("f1")


def plugin(record: Record, role: str) -> str:
    """A plugin's name with the options that make it a variant: `resnet50 (width 0.5, patch 64)`."""
    name = str(record.combination[role])
    variant = current_variant(role, record.plugins[role]) if role in record.plugins else {}
    shown = ", ".join(f"{option} {value}" for option, value in variant.items() if value is not None)
    return f"{name} ({shown})" if shown else name


def seed_of(record: Record) -> int:
    """The seed of a record."""
    return int(record.combination["seed"])


def _mean_of(values: Sequence[float | None]) -> float | None:
    """Returns the mean; None where a value is undefined, or there is none."""
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known and len(known) == len(values) else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None
