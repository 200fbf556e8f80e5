"""Checks a copy of a data set against its card: what it holds, what is missing and what looks wrong."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from mitobench.datasets import folds
from mitobench.datasets.card import Expected
from mitobench.datasets.contamination import duplicates, shared_slides
from mitobench.datasets.dataset import Dataset, Item, file_digest
from mitobench.datasets.domain_table import DomainRow, domain_rows
from mitobench.datasets.files import unread_lines
from mitobench.datasets.folder import SCANNER
from mitobench.datasets.looks import is_made_here
from mitobench.datasets.reader import load
from mitobench.datasets.splits import PARTS, SplitFile, missing_names
from mitobench.errors import DataError, MitobenchError, counted
from mitobench.slides.reader import oddities

_UNKNOWN = Expected()


@dataclass(frozen=True)
class Count:
    """A number found in this copy, and the number in a complete one (None: unknown)."""

    found: int
    expected: int | None = None

    def __str__(self) -> str:
        return f"{self.found}" if self.expected in (None, self.found) else f"{self.found} of {self.expected}"


@dataclass(frozen=True)
class PartCounts:
    """Counts of frames, their slides and annotations in one part of a split, for one scanner."""

    scanner: str
    part: str
    frames: Count
    slides: Count
    with_mitosis: Count
    mitoses: Count
    imposters: Count
    unlabelled: Count


@dataclass(frozen=True)
class ProtocolCheck:
    """How a split divides this copy.

    Attributes:
        name: its name.
        rows: the counts of each part.
        note: what the split says of itself.
        missing: what the copy lacks.
        problem: why the split cannot be used.
        slides: the slides of each part, sorted.
        hint: how to test more slides, for the default protocol of a data set if it tests few.
    """

    name: str
    rows: tuple[PartCounts, ...]
    note: str
    missing: str
    problem: str | None = None
    slides: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    hint: str = ""


@dataclass(frozen=True)
class DatasetReport:
    """The result of `mitobench data check` for one data set.

    Its counts include the frames that have annotations here and no image.

    Attributes:
        can_run: whether the protocol that was asked for, or else the default one, can be used with this copy.
    """

    dataset: Dataset
    domains: tuple[DomainRow, ...]
    rows: tuple[PartCounts, ...]
    protocols: tuple[ProtocolCheck, ...]
    sizes: tuple[str, ...]
    anomalies: tuple[str, ...]
    can_run: bool


def check(name: str, root: Path, protocol: str | None = None) -> DatasetReport:
    """Reads data set `name`, pixels included, and compares it with its card.

    Of a copy without images it checks the annotation. `protocol`: the split to apply; None: those on the card.

    Raises DataError if a file is broken, MitobenchError for an unknown protocol.
    """
    dataset = load(name, root, labels_only=True)
    items = list(dataset.items.values())
    annotated = replace(
        dataset, items={**dataset.items, **dataset.without_image}, without_image={}, fields={}, groups=frozenset()
    )
    usable = dataset if dataset.items else annotated
    names = [protocol] if protocol else dataset.card.protocols
    protocols = {name: tuple(_check_folds(usable, name)) for name in names}
    can_run = bool(names) and not any(one.problem for name in names[:1] for one in protocols[name])
    anomalies = (
        *dataset.notes,
        *_looks(items),
        *_misplaced(dataset),
        *_same_pixels(items),
        *_same_tissue(dataset),
        *(f"{item.files[0]}: says {text}" for item in items if (text := item.other_mpp(dataset.card))),
        *unread_lines(dataset.unread),
    )
    rows = tuple(_count_official_parts(annotated))
    domains = domain_rows(list(annotated.items.values()))
    checked = tuple(itertools.chain(*protocols.values()))
    return DatasetReport(dataset, domains, rows, checked, tuple(_sizes(items)), anomalies, can_run)


def _count_part(scanner: str, part: str, items: Iterable[Item], expected: Expected = _UNKNOWN) -> PartCounts:
    here = [item for item in items if item.frame.scanner == scanner]
    return PartCounts(
        scanner,
        part,
        Count(len(here), expected.frames),
        Count(len({item.frame.group for item in here})),
        Count(sum(len(item.mitoses) > 0 for item in here)),
        Count(sum(len(item.mitoses) for item in here), expected.mitoses),
        Count(sum(len(item.mitoses.imposters) for item in here), expected.imposters),
        Count(sum(not item.mitoses.labelled for item in here)),
    )


def _count_official_parts(dataset: Dataset) -> Iterable[PartCounts]:
    by_part: defaultdict[tuple[str, str], list[Item]] = defaultdict(list)
    for item in dataset.items.values():
        by_part[item.frame.scanner, item.part or "-"].append(item)
    expected = {(scanner, part): e for scanner, parts in dataset.card.expected.items() for part, e in parts.items()}
    for scanner, part in sorted({*by_part, *expected}, key=lambda key: (key[0], key[1] == "test")):
        yield _count_part(scanner, part, by_part[scanner, part], expected.get((scanner, part), _UNKNOWN))


def _check_folds(dataset: Dataset, protocol: str) -> Iterator[ProtocolCheck]:
    """Yields how a protocol divides this copy; each fold of one that has several."""
    try:
        names = folds.expand(dataset, protocol)
    except DataError as reason:
        yield ProtocolCheck(protocol, (), "", "", str(reason))
        return
    for name in names:
        try:
            split = folds.find_split(dataset, name)
        except DataError as reason:
            yield ProtocolCheck(name, (), "", "", str(reason))
        else:
            yield _check_protocol(dataset, name, split)


def _check_protocol(dataset: Dataset, name: str, split: SplitFile) -> ProtocolCheck:
    missing = missing_names(split, dataset)
    try:
        assigned = folds.applied(dataset, split)
    except MitobenchError as reason:
        return ProtocolCheck(name, (), split.note, missing, str(reason))
    rows = (
        _count_part(scanner, part, (dataset.items[id] for id in assigned.parts[part]))
        for part in PARTS
        for scanner in dataset.scanners
    )
    hint = folds.few_slides(dataset, assigned.groups["test"]) if name == dataset.card.default_protocol else ""
    found = tuple(row for row in rows if row.frames.found)
    return ProtocolCheck(name, found, split.note, missing, slides=assigned.groups, hint=hint)


def _sizes(items: Iterable[Item]) -> Iterable[str]:
    sizes = Counter((item.frame.scanner, *item.frame.size) for item in items)
    for (scanner, width, height), count in sorted(sizes.items()):
        named = "" if scanner == SCANNER else f"{scanner} "
        yield f"{named}{width} x {height} px: {counted(count, 'frame')}"


def _misplaced(dataset: Dataset) -> Iterable[str]:
    """Frames in a training folder that the card lists as test frames, or the other way round."""
    card = dataset.card
    for id, item in dataset.items.items():
        test = item.field in card.test_fields or item.frame.group in card.test_groups
        if not item.mitoses.labelled and item.part is None:
            continue
        if (card.test_fields or card.test_groups) and item.part != ("test" if test else "train"):
            yield f"{item.files[0]}: is in the {item.part} part, but {id} is a {'test' if test else 'train'} frame"


def _looks(items: Iterable[Item]) -> Iterable[str]:
    """Frames that do not look like tissue. Reads all pixels: a header may be valid although they are not."""
    for item in items:
        for oddity in oddities(item.frame.read()):
            yield f"{item.files[0]}: {oddity}"


def _same_tissue(dataset: Dataset) -> Iterable[str]:
    """Frames that show the same tissue, turned, mirrored, rescaled, recompressed or cropped."""
    if is_made_here(dataset.name):
        return
    items = {id: (dataset, item) for id, item in dataset.items.items()}
    for pair in duplicates(items):
        one, other = (dataset.items[id].files[0] for id in (pair.one, pair.other))
        if not pair.exact or file_digest(one) != file_digest(other):
            yield f"{other}: shows the same tissue as {one}{', pixel by pixel' if pair.exact else ''}"


def same_tissue_across(datasets: Iterable[Dataset]) -> list[str]:
    """Returns a line for each pair of frames of different data sets that show the same tissue.

    Slides that both have as their cards declare are left out, and so are files that both read.
    """
    real = [dataset for dataset in datasets if dataset.items and not is_made_here(dataset.name)]
    if len(real) < 2:
        return []
    items = {f"{dataset.name}/{id}": (dataset, item) for dataset in real for id, item in dataset.items.items()}
    found = []
    for pair in duplicates(items):
        (one_set, one), (other_set, other) = items[pair.one], items[pair.other]
        image, copy = one.files[0], other.files[0]
        if one_set is other_set or image.resolve() == copy.resolve() or _is_declared(one_set, one, other_set, other):
            continue
        same = pair.exact and file_digest(image) == file_digest(copy)
        how = "is the same image as" if same else "shows the same tissue as"
        exact = ", pixel by pixel" if pair.exact and not same else ""
        found.append(f"{copy} ({other_set.name}): {how} {image} ({one_set.name}){exact}")
    return found


def _is_declared(one_set: Dataset, one: Item, other_set: Dataset, other: Item) -> bool:
    """Whether two frames are of one slide that is in both data sets, as cards declare."""
    slide = one.frame.group
    declared = (shared_slides(one_set.card, other_set.name), shared_slides(other_set.card, one_set.name))
    return slide == other.frame.group and any(shared is None or slide in shared for shared in declared)


def _same_pixels(items: Iterable[Item]) -> Iterable[str]:
    """Frames with different ids whose image files are identical."""
    first: dict[str, Path] = {}
    for item in items:
        image = item.files[0]
        other = first.setdefault(file_digest(image), image)
        if other != image:
            yield f"{image}: is the same image as {other}"
