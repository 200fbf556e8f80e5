"""Whole slides with the annotation of a SlideRunner database: a frame is a region of a slide."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from mitobench.api import Frame, Mitoses
from mitobench.datasets import images
from mitobench.datasets.annotation_text import annotation_text
from mitobench.datasets.card import Card
from mitobench.datasets.dataset import Dataset, Item
from mitobench.datasets.figures import Figure, Figures
from mitobench.datasets.files import IMAGE_SUFFIXES, SLIDE_SUFFIXES, inside_synthetic, unique, walk
from mitobench.datasets.missing import missing_images
from mitobench.datasets.reader import Reader, not_found
from mitobench.datasets.sliderunner import SlideLabels, read_database
from mitobench.errors import DataError
from mitobench.slides.reader import PixelReader

REGION_PX = 4096
_SUFFIXES = IMAGE_SUFFIXES | SLIDE_SUFFIXES


class WholeSlideReader(Reader):
    """Base of the readers of whole slides.

    Attributes:
        labels: matches the name of the database, in lower case, without suffix.
        example: the usual name of the database, for messages.
        classes: whether each class is a mitosis, for a database without names of classes.
        variant: matches the variant that is read if there are several databases.
    """

    labels: ClassVar[re.Pattern[str]]
    example: ClassVar[str]
    classes: ClassVar[Mapping[int, bool]]
    variant: ClassVar[str] = ""

    def find(self, root: Path) -> list[Path]:
        """Returns the folders of the slides, if the database is here too."""
        databases = self.find_labels(root)
        if not databases:
            return []
        return sorted({p.parent for d in databases for p in walk(d.parent) if p.suffix.lower() in _SUFFIXES})

    def find_labels(self, root: Path) -> list[Path]:
        """Returns the database: of several variants the one that is read."""
        if inside_synthetic(root):
            return []
        suffixes = {".sqlite", ".db", ".sqlite3"}
        found = [p for p in walk(root) if p.suffix.lower() in suffixes and self.labels.search(p.stem.lower())]
        preferred = [path for path in found if self.variant and self.variant in re.split(r"[^a-z]", path.stem.lower())]
        return preferred or found

    def read(self, root: Path) -> Dataset:
        """Reads the regions of all slides. Slides that are not here are in `without_image`."""
        found = self.find_labels(root)
        if not found:
            raise not_found(self.name, root, f"a database such as {self.example}")
        if len(found) > 1:
            raise DataError(f"{root}: has several databases: {', '.join(map(str, found))}. Keep one of them.")
        notes: list[str] = []
        dataset = read_slides(root, self.card(), found[0], read_database(found[0], self.classes, notes))
        return replace(dataset, notes=(*notes, *dataset.notes))


def read_slides(root: Path, card: Card, database: Path, slides: Mapping[str, SlideLabels]) -> Dataset:
    """Reads the slides that a database lists, below its folder or else below `root`."""
    here: dict[str, Path] = {}
    for folder in (database.parent, Path(root)):
        found = [path for path in walk(folder) if path.suffix.lower() in _SUFFIXES and path.stem.lower() in slides]
        here = here or unique(((path.stem.lower(), path) for path in found), "slide")
    notes: list[str] = []
    items: dict[str, Item] = {}
    missing: dict[str, Item] = {}
    for name, labels in slides.items():
        if name in here:
            items |= {item.frame.id: item for item in _regions(here[name], labels, card, notes)}
        else:
            missing[name] = _absent(name, labels, card)
    if missing:
        notes.append(missing_images(database, card, sorted(missing), len(slides)))
    return Dataset(card, Path(root), items, tuple(notes), without_image=missing)


def _regions(path: Path, labels: SlideLabels, card: Card, notes: list[str]) -> Iterator[Item]:
    """Yields the regions of a slide. A figure belongs to the region that its centre is in."""
    header = images.frame_image(path, whole=False)
    if header.note:
        notes.append(header.note)
    scanner = next(iter(card.mpp))
    mpp = header.mpp or card.mpp[scanner]
    if header.mpp is None:
        notes.append(f"{path}: says no um/px; the card's {card.mpp[scanner][0]:g} is used")
    read = Figures(header.size, card.duplicates)
    annotation = read.annotation(labels.figures)
    notes += read.notes
    domains = {**card.domains_of(scanner), "region": "whole slide"}
    for x, y, width, height in regions(header.size):
        mitoses = _within(annotation, (x, y, x + width, y + height))
        id = f"{path.stem}_{x}_{y}"
        reader = replace(header.reader, box=(x, y, width, height))
        frame = Frame(id, card.name, path.stem, scanner, mpp, (width, height), reader, domains=domains)
        part = ("test" if path.stem in card.test_groups else "train") if card.test_groups else None
        yield Item(
            frame,
            mitoses,
            (path,),
            part,
            annotation_text(mitoses, domains) + str((x, y, x + width, y + height)),
            (*header.notes, *([images.NO_MPP] if header.mpp is None else [])),
            tuple(read.oddities) if (x, y) == (0, 0) else (),  # counted once a slide
            header.file_mpp,
        )


def regions(size: tuple[int, int], side: int = REGION_PX) -> Iterator[tuple[int, int, int, int]]:
    """Yields x, y, width and height of the regions that a slide of `size` px is divided into, row by row."""
    for y in range(0, size[1], side):
        for x in range(0, size[0], side):
            yield x, y, min(side, size[0] - x), min(side, size[1] - y)


def _within(annotation: Mitoses, box: tuple[int, int, int, int]) -> Mitoses:
    x1, y1, x2, y2 = box

    def inside(xy):  # type: ignore[no-untyped-def]
        return (xy[:, 0] >= x1 - 0.5) & (xy[:, 0] < x2 - 0.5) & (xy[:, 1] >= y1 - 0.5) & (xy[:, 1] < y2 - 0.5)

    yes, no = inside(annotation.xy), inside(annotation.imposters)
    sure, unsure = annotation.confidence, annotation.imposter_confidence
    return Mitoses(
        annotation.xy[yes] - [x1, y1],
        imposters=annotation.imposters[no] - [x1, y1],
        confidence=None if sure is None else sure[yes],
        imposter_confidence=None if unsure is None else unsure[no],
    )


def _absent(name: str, labels: SlideLabels, card: Card) -> Item:
    """A slide whose image is not here, as one frame."""
    scanner = next(iter(card.mpp))
    size = labels.size or size_of(labels.figures)
    mitoses = Figures(size, card.duplicates).annotation(labels.figures)
    domains = card.domains_of(scanner)
    reader = PixelReader(Path(labels.filename))
    frame = Frame(name, card.name, name, scanner, card.mpp[scanner], size, reader, domains=domains)
    part = ("test" if name in card.test_groups else "train") if card.test_groups else None
    return Item(frame, mitoses, (), part, annotation_text(mitoses, domains))


def size_of(figures: list[Figure]) -> tuple[int, int]:
    """The least size, px, of an image that holds these figures; for images that are not here."""
    return (
        int(max((figure.x for figure in figures), default=0)) + 2,
        int(max((figure.y for figure in figures), default=0)) + 2,
    )
