"""Rows of a leaderboard out of records: seeds of one combination together, sections that may be ranked together."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from mitobench.evaluate import Difference, Metrics
from mitobench.pipeline import canonical
from mitobench.published import Method, Published, read
from mitobench.report.disambiguation import disambiguations
from mitobench.report.effects import Effect, effects, references
from mitobench.report.pairs import paired
from mitobench.report.ranks import Ranks
from mitobench.report.row import Row, seed_of
from mitobench.results.reproducibility import COMPUTED
from mitobench.results.schema import Record

PLAIN = re.compile(r"[\w-]+")

__all__ = ["Row", "Section", "sections"]


@dataclass(frozen=True, eq=False)
class Section:
    """Rows that were measured alike: one protocol, matcher and radius, one data set with the same data in every part.

    Attributes:
        title: data set and protocol, with what more tells it from the other sections.
        rows: by mean F1, best first; then those in conflict, last those without a score.
        files: paths of records below the folder of records, by digest; those not named there lie in it.
    """

    dataset: str
    protocol: str
    title: str
    rows: Sequence[Row]
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def metrics(self) -> Metrics | None:
        """Any good row's test metrics: matcher, radius, frames and mitoses are the same in all."""
        return next((row.good[0].test for row in self.rows if row.good), None)

    def ranked(self) -> Iterator[tuple[int | None, Row]]:
        """Each row with its rank; what has no F1, or two of them, has none."""
        for rank, row in enumerate(self.rows, 1):
            yield (rank if row.ranks else None), row

    @cached_property
    def best(self) -> Row | None:
        """The row of rank 1."""
        return next((row for row in self.rows if row.ranks), None)

    @cached_property
    def notes(self) -> list[str]:
        """What is said of all rows together, and how often anyone has looked at the test frames for them."""
        records = [record for row in self.rows for record in row.records]
        scored = [record for record in records if record.status == "ok"] or records  # a failed row tells less
        common = [note for note in scored[0].notes if all(note in record.notes for record in scored)]
        looks = sum(len(row.good) for row in self.rows)
        return [*common, f"test frames scored {looks} times for these rows"] if looks > 1 else common

    def file(self, record: Record) -> str:
        """Where a record of this section is, below the folder of records."""
        return self.files.get(record.digest, f"{record.stem}.json")

    def difference(self, row: Row) -> Difference | None:
        """F1 of a row less that of the best, with the interval of their paired difference.

        Counts are summed over the seeds that both have. None for the best itself, for a row that is not ranked, where
        the two share no seed, and where there is one slide or frame only.
        """
        return self._differences.get(row)

    def tied(self, row: Row) -> bool:
        """Whether the best is not known to be better than a row, corrected for the number of rows; so is the best."""
        place = self._places.get(row)
        compared = row is self.best or self.difference(row) is not None
        return place is not None and compared and not self._ranks.better[0, place]

    @cached_property
    def marked(self) -> frozenset[Row]:
        """The rows that cannot be told from the best, with the best; nothing where it stands alone."""
        tied = [row for row in self.rows if self.tied(row)]
        return frozenset(tied if len(tied) > 1 else ())

    def rank_range(self, row: Row) -> tuple[int, int] | None:
        """The ranks that a row may have on other slides, best and worst; None for one that is not ranked."""
        place = self._places.get(row)
        return None if place is None else self._ranks.range_of(place)

    def remarks(self, row: Row) -> list[str]:
        """What is to be said of a row alone: its notes, and what tells it from one that looks the same."""
        conflict = "conflicting: another record of this seed has other numbers" if row.conflicting else ""
        extra = [note for note in _notes(row) if note not in self.notes]
        return [remark for remark in (conflict, self._disambiguations.get(row, ""), *extra) if remark]

    @property
    def published(self) -> Sequence[Method]:
        """What others have published on this data set and protocol; not measured here."""
        return self._published.method if self._published else ()

    @property
    def published_notes(self) -> Sequence[str]:
        """What is said of all published numbers together."""
        return self._published.notes if self._published else ()

    @cached_property
    def _published(self) -> Published | None:
        plain = all(PLAIN.fullmatch(name) for name in (self.dataset, self.protocol))  # names are part of a path there
        return read(self.dataset, self.protocol) if plain else None

    @cached_property
    def _disambiguations(self) -> dict[Row, str]:
        return disambiguations(self.rows)

    @cached_property
    def effects(self) -> list[Effect]:
        """What each part adds, over all pairs of ranked rows that are alike but for it."""
        return effects([row for row in self.rows if row.ranks])

    @cached_property
    def references(self) -> dict[str, str]:
        """Of each role with too many plugins for all pairs, the one that `effects` sets all others against."""
        return references([row for row in self.rows if row.ranks])

    @cached_property
    def _places(self) -> dict[Row, int]:
        return {row: place for place, row in enumerate(row for row in self.rows if row.ranks)}

    @cached_property
    def _ranks(self) -> Ranks:
        return Ranks.of(list(self._places))

    @cached_property
    def _differences(self) -> dict[Row, Difference]:
        best = self.best
        found = [(row, paired([(row, best)])) for row in self.rows if best and row.ranks and row is not best]
        return {
            row: Difference(**mean.interval.model_dump(), delta=mean.delta)
            for row, mean in found
            if mean and mean.interval
        }


def _notes(row: Row) -> Iterator[str]:
    """The notes of a row; one that does not hold for all of its seeds names those for which it does."""
    for note in dict.fromkeys(note for record in row.records for note in record.notes):
        having = [record for record in row.records if note in record.notes]
        some = having if len(having) < len(row.records) else []
        yield f"{note} (seed {', '.join(str(seed_of(record)) for record in some)})" if some else note


def sections(records: Iterable[Record], files: Mapping[str, str] | None = None) -> list[Section]:
    """Sections of the records. What was not measured alike is never in one section.

    `files`: of the records by digest, where they do not all lie in one folder.
    """
    alike: dict[tuple[str, str, str], dict[str, list[Record]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        dataset, protocol = record.combination["dataset"], record.combination["protocol"]
        measured = [record.data[dataset].digest, record.pipeline["matcher"], record.pipeline["radius_um"]]
        alike[dataset, protocol, canonical.digest(measured)][record.series].append(record)
    ordered = sorted(alike.items())
    titles = _titles([next(iter(groups.values()))[0] for _, groups in ordered])
    return [
        Section(dataset, protocol, title, sorted(_rows(groups.values()), key=_order), files or {})
        for ((dataset, protocol, _), groups), title in zip(ordered, titles, strict=True)
    ]


def _titles(records: Sequence[Record]) -> list[str]:
    """A title for the section of each record: where two are the same, they say more."""
    titles = ["{dataset}, protocol {protocol}".format(**record.combination) for record in records]
    for more in (_how, _fitted_on):
        times = Counter(titles)
        titles = [
            f"{title}, {more(record)}" if times[title] > 1 else title
            for title, record in zip(titles, records, strict=True)
        ]
    return titles


def _how(record: Record) -> str:
    radius, matcher = record.pipeline["radius_um"], record.pipeline["matcher"]
    return f"radius {radius} um, matcher {matcher}, {_data(record, 'test')}"


def _fitted_on(record: Record) -> str:
    return f"{_data(record, 'train')}, {_data(record, 'val')}"


def _data(record: Record, part: str) -> str:
    return f"{part} data {record.data[record.combination['dataset']].digest.get(part, '–')[:8]}"


def _rows(series: Collection[list[Record]]) -> Iterator[Row]:
    """A row of each series; what conflicts stands alone, as neither number is known to be the right one."""
    seeds = {seed_of(record) for records in series for record in records}
    for records in series:
        by_seed: dict[int, list[Record]] = defaultdict(list)
        for record in sorted(records, key=lambda record: (seed_of(record), record.digest)):
            if all(
                _computed(record) != _computed(other) for other in by_seed[seed_of(record)]
            ):  # a repetition adds nothing
                by_seed[seed_of(record)].append(record)
        agreed = [found[0] for found in by_seed.values() if len(found) == 1]
        if agreed:
            yield Row(agreed, seeds)
        for found in by_seed.values():
            if len(found) > 1:
                yield from (Row([record], seeds, conflicting=True) for record in found)


def _computed(record: Record) -> list[Any]:
    return [*(getattr(record, name) for name in COMPUTED), record.detections and record.detections.sha256]


def _order(row: Row) -> tuple[int, float, str, str]:
    f1 = row.mean("f1")
    last = 0 if row.ranks else 1 if f1 is not None else 2
    return last, -(f1 or 0.0), canonical.dumps(row.first.combination), row.first.digest
