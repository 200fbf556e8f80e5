"""Rows of a leaderboard out of records: seeds of one combination together, sections that may be ranked together."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from mitobench.evaluate import Metrics
from mitobench.pipeline import canonical
from mitobench.results.record import Record


@dataclass(frozen=True)
class Row:
    """One combination over its seeds.

    Attributes:
        records: of all seeds, by seed; failed ones are among them.
    """

    records: Sequence[Record]

    @property
    def first(self) -> Record:
        """Any of its records: names and options are the same in all."""
        return self.records[0]

    @cached_property
    def good(self) -> list[Record]:
        """The records that have scores."""
        return [record for record in self.records if record.status == "ok"]

    @property
    def failed(self) -> list[Record]:
        """The records that have none: shown, never averaged away."""
        return [record for record in self.records if record.status != "ok"]

    @property
    def seeds(self) -> list[int]:
        """The seeds that have scores."""
        return sorted(int(record.combination["seed"]) for record in self.good)

    def values(self, metric: str, of: str = "test") -> list[float]:
        """A metric of each good seed, where it is defined; `of`: `test`, `detector_alone` or `validation`."""
        found = [getattr(getattr(record, of), metric) for record in self.good]
        return [value for value in found if value is not None]

    def mean(self, metric: str, of: str = "test") -> float | None:
        """The mean over seeds; None where any seed has none."""
        values = self.values(metric, of)
        return statistics.fmean(values) if values and len(values) == len(self.good) else None

    def spread(self, metric: str) -> tuple[float, float] | None:
        """Least and greatest over seeds; None of one seed."""
        values = self.values(metric)
        return (min(values), max(values)) if len(values) > 1 else None

    @property
    def seconds_a_frame(self) -> float | None:
        """Mean over seeds of the seconds that a test frame took."""
        return _mean([record.run.seconds_a_frame for record in self.good])

    @property
    def seconds_a_candidate(self) -> float | None:
        """Mean over seeds of the seconds that the verification of a candidate took."""
        return _mean([record.run.seconds_a_candidate for record in self.good])


@dataclass(frozen=True)
class Section:
    """Rows that were measured alike: one data set, protocol, matcher, radius and test data.

    Attributes:
        rows: by mean F1, best first; those without a score last.
    """

    dataset: str
    protocol: str
    rows: Sequence[Row]

    @property
    def metrics(self) -> Metrics | None:
        """Any good row's test metrics: matcher, radius, frames and mitoses are the same in all."""
        return next((row.good[0].test for row in self.rows if row.good), None)

    def ranked(self) -> Iterator[tuple[int | None, Row]]:
        """Each row with its rank; what has no F1 has none."""
        for rank, row in enumerate(self.rows, 1):
            yield (rank if row.mean("f1") is not None else None), row

    @property
    def notes(self) -> list[str]:
        """What is said of all rows together."""
        every = [set(record.notes) for row in self.rows for record in row.records]
        return [note for note in self.rows[0].first.notes if all(note in notes for notes in every)]


def sections(records: Iterable[Record]) -> list[Section]:
    """Sections of the records. What was not measured alike is never in one section."""
    alike: dict[tuple[str, ...], dict[str, list[Record]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        dataset, protocol = record.combination["dataset"], record.combination["protocol"]
        measured = [record.data[dataset].digest["test"], record.pipeline["matcher"], record.pipeline["radius_um"]]
        alike[dataset, protocol, canonical.digest(measured)][record.series].append(record)
    return [
        Section(dataset, protocol, sorted((_row(group) for group in groups.values()), key=_rank))
        for (dataset, protocol, _), groups in sorted(alike.items())
    ]


def _mean(values: Sequence[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return statistics.fmean(there) if there else None


def _row(records: list[Record]) -> Row:
    return Row(sorted(records, key=lambda record: (record.combination["seed"], record.digest)))


def _rank(row: Row) -> tuple[float, str]:
    f1 = row.mean("f1")
    return (-f1 if f1 is not None else 1.0, canonical.dumps(row.first.combination))
