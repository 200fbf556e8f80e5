"""Looks a copy of a data set over: what is there, what is missing, what is odd, against its card."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mitobench import foreign
from mitobench.datasets.base import Dataset, Item, load
from mitobench.datasets.card import Expected
from mitobench.datasets.splits import PARTS, SplitFile, assign, load_split
from mitobench.errors import DataError, MitobenchError
from mitobench.foreign.limits import MAX_IMAGE_BYTES

_UNKNOWN = Expected()


@dataclass(frozen=True)
class Count:
    """How much of one kind is here; `of` None: how much there should be is not known."""

    here: int
    of: int | None = None

    def __str__(self) -> str:
        return f"{self.here}" if self.of in (None, self.here) else f"{self.here} of {self.of}"


@dataclass(frozen=True)
class Row:
    """What one scanner's part holds."""

    scanner: str
    part: str
    frames: Count
    with_mitosis: Count
    mitoses: Count
    imposters: Count
    unlabelled: Count


@dataclass(frozen=True)
class Protocol:
    """How a split falls in this copy. `problem` says why it cannot be used; `missing` what it names in vain."""

    name: str
    rows: tuple[Row, ...]
    note: str
    missing: str
    problem: str | None = None


@dataclass(frozen=True)
class Report:
    """All that `mitobench data check` tells of one data set."""

    dataset: Dataset
    rows: tuple[Row, ...]
    protocols: tuple[Protocol, ...]
    sizes: tuple[str, ...]
    odd: tuple[str, ...]


def check(name: str, root: Path) -> Report:
    """Read data set `name` and compare it with its card. Raises DataError where it cannot be trusted."""
    dataset = load(name, root)
    items = list(dataset.items.values())
    for item in items:
        item.frame.read()  # a header may be good and the pixels not
    odd = (*dataset.notes, *_misplaced(dataset), *_silent_folders(items), *_same_pixels(items))
    protocols = tuple(_protocol(dataset, protocol) for protocol in dataset.card.protocols)
    return Report(dataset, tuple(_official_rows(dataset)), protocols, tuple(_sizes(items)), odd)


def _row(scanner: str, part: str, items: Iterable[Item], expected: Expected = _UNKNOWN) -> Row:
    here = [item for item in items if item.frame.scanner == scanner]
    return Row(
        scanner,
        part,
        Count(len(here), expected.frames),
        Count(sum(len(item.mitoses) > 0 for item in here)),
        Count(sum(len(item.mitoses) for item in here), expected.mitoses),
        Count(sum(len(item.mitoses.imposters) for item in here), expected.imposters),
        Count(sum(not item.mitoses.labelled for item in here)),
    )


def _official_rows(dataset: Dataset) -> Iterable[Row]:
    by_part: defaultdict[tuple[str, str], list[Item]] = defaultdict(list)
    for item in dataset.items.values():
        by_part[item.frame.scanner, item.part or "-"].append(item)
    expected = {(scanner, part): e for scanner, parts in dataset.card.expected.items() for part, e in parts.items()}
    for scanner, part in sorted({*by_part, *expected}, key=lambda key: (key[0], key[1] == "test")):
        yield _row(scanner, part, by_part[scanner, part], expected.get((scanner, part), _UNKNOWN))


def _protocol(dataset: Dataset, name: str) -> Protocol:
    split = load_split(dataset.name, name)
    missing = _missing(split, dataset)
    try:
        assigned = assign(split, dataset)
    except MitobenchError as reason:
        return Protocol(name, (), split.note, missing, str(reason))
    rows = (
        _row(scanner, part, (dataset.items[id] for id in assigned.parts[part]))
        for part in PARTS
        for scanner in dataset.scanners
    )
    return Protocol(name, tuple(row for row in rows if row.frames.here), split.note, missing)


def _missing(split: SplitFile, dataset: Dataset) -> str:
    """The fields and slides that a split names and this copy lacks."""
    groups = {item.frame.group for item in dataset.items.values()}
    parts = [getattr(split.parts, name) for name in PARTS]
    fields = sorted(field for part in parts for field in part.fields or () if field not in dataset.fields)
    slides = sorted(group for part in parts for group in part.groups or () if group not in groups)
    named = [f"{what} {' '.join(lost)}" for what, lost in (("fields", fields), ("slides", slides)) if lost]
    return ", ".join(named)


def _sizes(items: Iterable[Item]) -> Iterable[str]:
    sizes = Counter((item.frame.scanner, *item.frame.size) for item in items)
    for (scanner, width, height), count in sorted(sizes.items()):
        yield f"{scanner} {width} x {height} px: {count} frames"


def _misplaced(dataset: Dataset) -> Iterable[str]:
    """Frames that a folder calls training and the card calls test, or the other way round."""
    card = dataset.card
    for id, item in dataset.items.items():
        test = item.field in card.test_fields or item.frame.group in card.test_groups
        if (card.test_fields or card.test_groups) and item.part != ("test" if test else "train"):
            yield f"{item.files[0]}: lies in the {item.part} part, but {id} is a {'test' if test else 'train'} frame"


def _silent_folders(items: Iterable[Item]) -> Iterable[str]:
    """Folders in which no labelled frame has an annotation file: perhaps they were never copied."""
    annotated = defaultdict(list)
    for item in items:
        if item.mitoses.labelled:
            annotated[item.files[0].parent].append(len(item.files) > 1)
    for folder, files in sorted(annotated.items()):
        if not any(files):
            yield f"{folder}: none of its {len(files)} frames has an annotation file; all count as free of mitoses"


def _same_pixels(items: Iterable[Item]) -> Iterable[str]:
    """Frames under two ids whose image files are the same."""
    first: dict[str, Path] = {}
    for item in items:
        image = item.files[0]
        other = first.setdefault(
            hashlib.sha256(foreign.read_bytes(image, MAX_IMAGE_BYTES, "image", DataError)).hexdigest(), image
        )
        if other != image:
            yield f"{image}: is the same image as {other}"
