"""Turns records into the rows and sections of a leaderboard.

A row is one combination over its seeds. A section holds the rows that were measured alike and may be ranked together.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from string import ascii_uppercase

from mitobench.evaluate import Difference, Metrics
from mitobench.evaluate.matching import current_name
from mitobench.pipeline import canonical
from mitobench.published import Method, PublishedResults, read
from mitobench.report.disambiguation import disambiguations
from mitobench.report.effects import Effect, effects, references
from mitobench.report.pairs import PairedDifference, mean_difference
from mitobench.report.ranks import Ranks
from mitobench.report.row import LeaderboardRow, seed_of
from mitobench.results.pooling import fold_number, pool
from mitobench.results.reproducibility import differing_results
from mitobench.results.schema import Record

PLAIN = re.compile(r"[\w-]+")
CONTEST = re.compile(r"([a-z]+)(\d{4})")  # the name of a contest's data set and its year
UNSEEN = re.compile(r"leave one domain out (\w+)")
FOLDS = re.compile(r"(?P<base>.+)-(?P<number>\d*)of(?P<of>\d+)")
WEIGHTED = ("linear", "logit-linear")  # fusers that choose `w`, the weight of the detector's score
SCANNERS = {"A": "Aperio", "H": "Hamamatsu"}

__all__ = ["LeaderboardRow", "Section", "dataset_title", "sections", "title_of"]


@dataclass(frozen=True, eq=False)
class Section:
    """Rows that were measured alike: same protocol, matcher and radius, and the same data in every part.

    Attributes:
        dataset, protocol: their names in the records.
        title: data set and protocol in words, with what distinguishes it from other sections of these two.
        name: a unique name that is safe for a file, `mitos2012-official`.
        rows: by mean F1, best first; then conflicting rows, then those without a score.
        data_note: the digests of the data, where another section differs in nothing else; otherwise empty.
        files: paths relative to the folder of records, by digest of a record and number of the fold; 0: of no fold.
    """

    dataset: str
    protocol: str
    title: str
    name: str
    rows: Sequence[LeaderboardRow]
    data_note: str = ""
    files: Mapping[str, Mapping[int, str]] = field(default_factory=dict)

    @property
    def metrics(self) -> Metrics | None:
        """Test metrics of any row with a score: matcher, radius, frames and mitoses are the same in all."""
        return next((row.good[0].test for row in self.rows if row.good), None)

    def ranked(self) -> Iterator[tuple[int | None, LeaderboardRow]]:
        """Each row with its rank; None for a row without F1 or with conflicting records."""
        for rank, row in enumerate(self.rows, 1):
            yield (rank if row.ranks else None), row

    @cached_property
    def best(self) -> LeaderboardRow | None:
        """The row of rank 1."""
        return next((row for row in self.rows if row.ranks), None)

    @cached_property
    def notes(self) -> list[str]:
        """Notes that hold for all rows, and how often the test frames were scored for them."""
        records = [record for row in self.rows for record in row.records]
        scored = [record for record in records if record.status == "ok"] or records  # a failed record has fewer notes
        common = [note for note in _notes_of(scored[0]) if all(note in _notes_of(record) for record in scored)]
        common += [self.data_note] if self.data_note else []
        n_scored = sum(len(row.good) for row in self.rows)
        often = f"test frames scored {n_scored} times for these rows, once a row and seed"
        return [*common, often] if n_scored > 1 else common

    def file(self, record: Record) -> str:
        """The path of a record of this section, relative to the folder of records; of folds, that of the first."""
        return next(iter(self.files_of(record).values()))

    def files_of(self, record: Record) -> Mapping[int, str]:
        """The path of a record (under 0), or of each fold that it sums, relative to the folder of records."""
        return self.files.get(record.digest, {0: f"{record.stem}.json"})

    def difference(self, row: LeaderboardRow) -> Difference | None:
        """F1 of a row minus that of the best row, with the interval of their paired difference.

        Counts are summed over the seeds that both rows have. None for the best row itself, for a row that is not
        ranked, where the two share no seed, and where there is only one slide or frame.
        """
        lead = self.lead_of_best(row)
        if lead is None or lead.interval is None:
            return None
        behind = lead.reversed()
        return Difference(**behind.interval.model_dump(), delta=behind.delta) if behind.interval else None

    def lead_of_best(self, row: LeaderboardRow) -> PairedDifference | None:
        """F1 of the best row minus that of another ranked row; None where the two cannot be compared."""
        return self._leads.get(row)

    def tied(self, row: LeaderboardRow) -> bool:
        """Whether the best row is not known to be better than this one, corrected for the number of rows.

        True for the best row itself.
        """
        place = self._places.get(row)
        compared = row is self.best or self.difference(row) is not None
        return place is not None and compared and not self._ranks.better[0, place]

    @cached_property
    def marked(self) -> frozenset[LeaderboardRow]:
        """The rows that are not distinguishable from the best, and the best; empty where there is no such row."""
        tied = [row for row in self.rows if self.tied(row)]
        return frozenset(tied if len(tied) > 1 else ())

    def rank_range(self, row: LeaderboardRow) -> tuple[int, int] | None:
        """The best and worst rank that a row could have on other slides; None for a row that is not ranked."""
        place = self._places.get(row)
        return None if place is None else self._ranks.range_of(place)

    def remarks(self, row: LeaderboardRow) -> list[str]:
        """Notes on this row alone, and how it differs from rows that look the same."""
        conflict = "conflicting: another record of this seed has different numbers" if row.conflicting else ""
        extra = [note for note in _notes(row) if note not in self.notes]
        differences = self._disambiguations.get(row, "")
        return [*filter(None, [conflict, differences and f"with {differences}", unused_score(row)]), *extra]

    @property
    def published(self) -> Sequence[Method]:
        """Methods published for this data set and protocol; not measured here."""
        return self._published.method if self._published else ()

    @property
    def published_notes(self) -> Sequence[str]:
        """Notes that hold for all published numbers."""
        return self._published.notes if self._published else ()

    @cached_property
    def _published(self) -> PublishedResults | None:
        plain = all(PLAIN.fullmatch(name) for name in (self.dataset, self.protocol))  # they become part of a path
        return read(self.dataset, self.protocol) if plain else None

    @cached_property
    def _disambiguations(self) -> dict[LeaderboardRow, str]:
        return disambiguations(self.rows)

    @cached_property
    def effects(self) -> list[Effect]:
        """What each part adds, over all pairs of ranked rows that differ in it alone."""
        return effects([row for row in self.rows if row.ranks])

    @cached_property
    def references(self) -> dict[str, str]:
        """For each role with too many plugins to compare all pairs, the one that `effects` compares with all others."""
        return references([row for row in self.rows if row.ranks])

    @cached_property
    def _places(self) -> dict[LeaderboardRow, int]:
        return {row: place for place, row in enumerate(row for row in self.rows if row.ranks)}

    @cached_property
    def _ranks(self) -> Ranks:
        return Ranks.of(list(self._places))

    @cached_property
    def _leads(self) -> dict[LeaderboardRow, PairedDifference]:
        best = self.best
        leads = {row: mean_difference([(best, row)]) for row in self.rows if best and row.ranks and row is not best}
        return {row: lead for row, lead in leads.items() if lead}


def domains_of(section: Section) -> dict[str, list[str]]:
    """Returns the values of each domain by which rows of this section have scores."""
    found: dict[str, set[str]] = defaultdict(set)
    for row in section.rows:
        for record in row.good:
            for kind, scores in (record.test.domains if record.test else {}).items():
                found[kind] |= scores.values.keys()
    return {kind: sorted(values) for kind, values in sorted(found.items())}


def title_of(record: Record, name: str) -> str:
    """What a table calls a data set of a record: its own title, or its name in words."""
    return (record.data[name].title if name in record.data else None) or dataset_title(name)


def dataset_title(name: str) -> str:
    """The name of a data set in words: `mitos2012` is `MITOS 2012`, `synthetic-centroids` `Synthetic centroids`."""
    contest = CONTEST.fullmatch(name)
    words = name.replace("-", " ")
    return f"{contest[1].upper()} {contest[2]}" if contest else words[:1].upper() + words[1:]


def protocol_title(name: str) -> str:
    """The name of a protocol in words: `official` is `official split`, `cv-by-slide-of3` is `by slide, 3 folds`."""
    fold = FOLDS.fullmatch(name)
    words = (fold["base"] if fold else name).replace("-", " ")
    if fold:
        words = UNSEEN.sub(r"tested on an unseen \1", words.removeprefix("cv "))
        return (
            f"{words}, {fold['of']} folds" if not fold["number"] else f"{words}, fold {fold['number']} of {fold['of']}"
        )
    return words if " " in words else f"{words} split"


def unused_score(row: LeaderboardRow) -> str:
    """Says which score has no weight in the sum of both, as validation chose in every seed; empty if both count."""
    names = row.first.combination
    if names["fuser"] not in WEIGHTED or names["verifier"] == "none":
        return ""
    weights = [record.chosen.fuser.get("w") for record in row.good if record.chosen]
    for role, w in (("verifier", 1), ("detector", 0)):
        if weights and all(weight == w for weight in weights):
            return f"validation gave the score of the {role} no weight"
    return ""


def _notes_of(record: Record) -> list[str]:
    """The notes of a record, and that it was migrated."""
    if not record.migrated:
        return record.notes
    version = min(entry.schema_version for entry in record.migrated)
    migrated = (
        f"migrated from record version {version}: no detections on validation; thresholds and options as recorded"
    )
    return [*record.notes, migrated]


def _notes(row: LeaderboardRow) -> Iterator[str]:
    """The notes of a row; a note that holds for some of its seeds only names those."""
    for note in dict.fromkeys(note for record in row.records for note in _notes_of(record)):
        having = [record for record in row.records if note in _notes_of(record)]
        some = having if len(having) < len(row.records) else []
        yield f"{note} (seed {', '.join(str(seed_of(record)) for record in some)})" if some else note


# ----------------------------------------------------------------------------------------------- records to sections


def sections(records: Iterable[Record], files: Mapping[str, str] | None = None) -> list[Section]:
    """Sections of the records: data set by data set, that with the most rows first.

    Records that were not measured alike are never in one section.

    `files`: paths of the records by digest, where they are not all in one folder.
    """
    alike: dict[tuple[str, str, str], dict[str, list[Record]]] = defaultdict(lambda: defaultdict(list))
    paths: dict[str, dict[int, str]] = {}
    for record, pooled in pool(records):
        sums = pooled[0] is not record
        if sums or record.digest in (files or {}):
            paths[record.digest] = {
                fold_number(one) if sums else 0: (files or {}).get(one.digest, f"{one.stem}.json") for one in pooled
            }
        dataset, protocol = record.combination["dataset"], record.combination["protocol"]
        measured = [record.data[dataset].digest, _matcher_name(record), record.pipeline["radius_um"]]
        alike[dataset, protocol, canonical.digest(measured)][record.series].append(record)
    ordered = sorted(alike.items(), key=lambda item: (item[0][0], -len(item[1]), item[0]))
    headings = _headings([next(iter(groups.values()))[0] for _, groups in ordered])
    return [
        Section(
            dataset,
            protocol,
            heading.title,
            heading.name,
            sorted(_rows(groups.values()), key=_order),
            heading.data_note,
            paths,
        )
        for ((dataset, protocol, _), groups), heading in zip(ordered, headings, strict=True)
    ]


@dataclass
class _Heading:
    """The heading of a section: a record of it, and the details that distinguish it from other sections."""

    record: Record
    details: list[str]
    name: str = ""
    data_note: str = ""

    @property
    def title(self) -> str:
        names = self.record.combination
        return ", ".join([title_of(self.record, names["dataset"]), protocol_title(names["protocol"]), *self.details])


def _headings(records: Sequence[Record]) -> list[_Heading]:
    """Headings of sections, one record each, that differ from one another."""
    headings = [_Heading(record, [_scanners(record)] if record.only_scanners else []) for record in records]
    for detail in (_scanners, _radius, _matcher, _n_frames):
        _add_where_needed(headings, detail)
    for same in _same_titles(headings):
        for number, heading in enumerate(same, 1):
            letters = ascii_uppercase[number - 1] if number <= len(ascii_uppercase) else str(number)
            heading.details.append(f"data {letters}")
            digests = heading.record.data[heading.record.combination["dataset"]].digest
            listed = ", ".join(f"{part} {digest[:8]}" for part, digest in digests.items())
            heading.data_note = f"data {letters} differs from the data of other sections; its digests: {listed}"
    _add_names(headings)
    return headings


def _add_where_needed(headings: Sequence[_Heading], detail: Callable[[Record], str]) -> None:
    """Add a detail to the headings that have the same title so far and differ in it."""
    for same in _same_titles(headings):
        found = [detail(heading.record) for heading in same]
        for heading, text in zip(same, found, strict=True):
            heading.details += [text] if text and len(set(found)) > 1 else []


def _same_titles(headings: Sequence[_Heading]) -> list[list[_Heading]]:
    """The headings that share a title with another one, by title."""
    groups: dict[str, list[_Heading]] = defaultdict(list)
    for heading in headings:
        groups[heading.title].append(heading)
    return [same for same in groups.values() if len(same) > 1]


def _add_names(headings: Sequence[_Heading]) -> None:
    seen: Counter[str] = Counter()
    for heading in headings:
        names = heading.record.combination
        parts = [names["dataset"], names["protocol"], *heading.details]
        name = re.sub(r"[^A-Za-z0-9._-]+", "_", "-".join(parts)).lstrip(".")
        seen[name] += 1
        heading.name = name if seen[name] == 1 else f"{name}-{seen[name]}"


def _scanners(record: Record) -> str:
    scanners = record.data[record.combination["dataset"]].scanners
    return f"{' and '.join(SCANNERS.get(name, name) for name in scanners)} frames" if scanners else ""


def _radius(record: Record) -> str:
    return f"radius {record.pipeline['radius_um']:g} um"


def _matcher(record: Record) -> str:
    return f"matcher {_matcher_name(record)}"


def _matcher_name(record: Record) -> str:
    """The matcher under its current name, so that records from before it was renamed are among new ones."""
    return current_name(str(record.pipeline["matcher"]))


def _n_frames(record: Record) -> str:
    n_test = record.data[record.combination["dataset"]].frames.get("test")
    return "" if n_test is None else f"{n_test} test frames"


# --------------------------------------------------------------------------------------------------- records to rows


def _rows(series: Collection[list[Record]]) -> Iterator[LeaderboardRow]:
    """A row for each series. Conflicting records get a row each, as it is not known which numbers are right."""
    seeds = {seed_of(record) for records in series for record in records}
    for records in series:
        by_seed: dict[int, list[Record]] = defaultdict(list)
        for record in sorted(records, key=lambda record: (seed_of(record), record.digest)):
            known = by_seed[seed_of(record)]
            if all(_differ(record, other) for other in known):  # a repetition adds nothing
                known.append(record)
        agreed = [found[0] for found in by_seed.values() if len(found) == 1]
        if agreed:
            yield LeaderboardRow(agreed, seeds)
        for found in by_seed.values():
            if len(found) > 1:
                yield from (LeaderboardRow([record], seeds, conflicting=True) for record in found)


def _differ(record: Record, other: Record) -> bool:
    detections = [one.detections and one.detections.sha256 for one in (record, other)]
    return bool(differing_results(record, other)) or detections[0] != detections[1]


def _order(row: LeaderboardRow) -> tuple[int, float, str, str]:
    f1 = row.mean("f1")
    last = 0 if row.ranks else 1 if f1 is not None else 2
    return last, -(f1 or 0.0), canonical.dumps(row.first.combination), row.first.digest
