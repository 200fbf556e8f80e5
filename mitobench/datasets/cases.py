"""The layout of TUPAC16 and AMIDA13: images `NN/MM.tif` of case NN, and labels `NN/MM.csv` with rows `row,col`.

The alternative labels of TUPAC16 have the same form in the folders `mitoses_ground_truth` and
`nonmitoses_ground_truth`, or are a table or a SlideRunner database on stitched images, `01_stitched1.tif`, `24.tif`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from mitobench.api import Frame
from mitobench.datasets import images as image_files
from mitobench.datasets import points
from mitobench.datasets.annotation_text import annotation_text
from mitobench.datasets.card import Card
from mitobench.datasets.dataset import Dataset, Item
from mitobench.datasets.figures import Figure, Figures
from mitobench.datasets.files import IMAGE_SUFFIXES, inside_synthetic, unique, walk
from mitobench.datasets.missing import missing_images
from mitobench.datasets.reader import Reader, not_found
from mitobench.datasets.whole_slides import size_of
from mitobench.errors import DataError
from mitobench.slides.reader import PixelReader

MITOSES, OTHERS = "mitoses_ground_truth", "nonmitoses_ground_truth"
SAME_UM = 7.5
"""A figure of one label set closer than this to one of the other set is the same figure, um."""

_CASE, _NUMBER = re.compile(r"\d{2,3}"), re.compile(r"\d{1,2}")
_STITCHED = re.compile(r"(\d{2})(_stitched1)?", re.IGNORECASE)


@dataclass
class Labels:
    """One label set: the figures of each frame, all labelled frames, the annotation files of each, and what is odd."""

    figures: dict[str, list[Figure]] = field(default_factory=dict)
    files: dict[str, tuple[Path, ...]] = field(default_factory=dict)
    shared: Path | None = None
    notes: list[str] = field(default_factory=list)


class CasesReader(Reader):
    """Base of the readers of this layout.

    Attributes:
        folder: words of which one is part of the name of a folder above the images; other readers leave them alone.
        cases: the last case of the data set.
    """

    folder: ClassVar[str | None] = None
    cases: ClassVar[int]

    def find(self, root: Path) -> list[Path]:
        """Returns the folders of the images."""
        return [] if inside_synthetic(root) else sorted({path.parent for path in self.images(root).values()})

    def images(self, root: Path) -> dict[str, Path]:
        """Returns the images by frame: `01_02` for `01/02.tif`."""
        files = [path for path in walk(root) if path.suffix.lower() in IMAGE_SUFFIXES]
        return unique(((id, path) for path in files for id in self._ids(path)), "image")

    def _ids(self, path: Path) -> Iterator[str]:
        if self._is_mine(path) and _CASE.fullmatch(path.parent.name) and _NUMBER.fullmatch(path.stem):
            yield f"{int(path.parent.name):02d}_{int(path.stem):02d}"

    def _is_mine(self, path: Path) -> bool:
        amida = any("amida" in part.lower() for part in path.parts)
        return amida if self.folder == "amida" else not amida

    def read(self, root: Path) -> Dataset:
        """Reads the images with their labels."""
        images = self.images(root)
        labels = self.labels(root, images)
        if not images and not labels.figures:
            raise not_found(self.name, root, self.looked_for())
        return read_cases(root, self.card(), images, labels, self.other_labels(root, images))

    def looked_for(self) -> str:
        """What `read` looked for, for messages."""
        return "images such as 01/01.tif with labels such as 01/01.csv"

    def labels(self, root: Path, images: Mapping[str, Path]) -> Labels:
        """Returns the label set that counts."""
        return original_labels(path for path in walk(root) if self._is_mine(path))

    def other_labels(self, root: Path, images: Mapping[str, Path]) -> Labels | None:
        """Returns another label set of the same images; None if there is none."""
        return None


# ------------------------------------------------------------------------------------------------- labels


def original_labels(paths: Iterable[Path]) -> Labels:
    """Reads the labels `NN/MM.csv` that are not alternative ones. An image of a case without any is not labelled."""
    paths = list(paths)
    alternative = {_tree(path, OTHERS) for path in paths} - {None}
    found = {id: path for id, path in _label_files(paths) if _tree(path, MITOSES, OTHERS) not in alternative}
    labels = Labels()
    for id, path in found.items():
        labels.figures[id], labels.files[id] = _rows(path, True), (path,)
    return labels


def alternative_labels(paths: Iterable[Path]) -> Labels:
    """Reads the labels in `mitoses_ground_truth` beside `nonmitoses_ground_truth`."""
    paths = list(paths)
    alternative = {_tree(path, OTHERS) for path in paths} - {None}
    labels = Labels()
    for id, path in _label_files(paths):
        if _tree(path, MITOSES, OTHERS) in alternative:
            is_mitosis = _tree(path, OTHERS) is None
            labels.figures.setdefault(id, []).extend(_rows(path, is_mitosis))
            labels.files[id] = (*labels.files.get(id, ()), path)
    return labels


def _tree(path: Path, *names: str) -> Path | None:
    """The folder that holds a ground-truth folder of one of these names above the path; None without one."""
    return next((folder.parent for folder in path.parents if folder.name.lower() in names), None)


def _label_files(paths: Iterable[Path]) -> Iterator[tuple[str, Path]]:
    for path in paths:
        if path.suffix.lower() == ".csv" and _CASE.fullmatch(path.parent.name) and _NUMBER.fullmatch(path.stem):
            yield f"{int(path.parent.name):02d}_{int(path.stem):02d}", path


def _rows(path: Path, is_mitosis: bool) -> list[Figure]:
    """Reads rows of `row,col`: y first."""
    figures = []
    for where, numbers in points.rows(path):
        if len(numbers) not in (2, 3):
            raise DataError(f"{where}: {len(numbers)} columns. Expected row,col: y first, then x.")
        y, x = numbers[:2]
        figures.append(Figure(x, y, is_mitosis, None, where))
    return figures


def table_labels(path: Path) -> Labels:
    """Reads a table `case,x,y,class` of figures on stitched images; class 1 is a mitosis, 2 an imposter."""
    import csv
    import io

    from mitobench import foreign
    from mitobench.foreign.limits import MAX_ANNOTATION_BYTES

    text = foreign.read_text(path, MAX_ANNOTATION_BYTES, "table of labels", DataError, "utf-8-sig")
    rows = csv.reader(io.StringIO(text))
    header = [cell.strip().lower() for cell in next(rows, [])]
    if header != ["case", "x", "y", "class"]:
        raise DataError(f"{path}:1: the header is {','.join(header)!r}. Expected case,x,y,class.")
    labels = Labels(shared=path)
    for line, cells in enumerate(rows, start=2):
        where = f"{path}:{line}"
        if len(cells) != 4:
            raise DataError(f"{where}: {len(cells)} columns. Expected case,x,y,class.")
        x, y, kind = (points.number(cell, where) for cell in cells[1:])
        case = _STITCHED.fullmatch(cells[0].strip().removesuffix(".tif").zfill(2))
        if case is None:
            raise DataError(f"{where}: {cells[0]!r:.40} is not a case. Expected 1, 01 or 01_stitched1.")
        if kind not in (1, 2):
            raise DataError(f"{where}: class {kind:g} is unknown. Expected 1 (mitosis) or 2 (hard negative).")
        labels.figures.setdefault(case[1], []).append(Figure(x, y, kind == 1, None, where))
    return labels


def stitched_id(path: Path) -> Iterator[str]:
    """Yields the case of a stitched image."""
    match = _STITCHED.fullmatch(path.stem)
    if match and not _CASE.fullmatch(path.parent.name):
        yield match[1]


# ------------------------------------------------------------------------------------------------- reading


def read_cases(root: Path, card: Card, images: Mapping[str, Path], labels: Labels, other: Labels | None) -> Dataset:
    """Reads the images that are here, and lists those that are annotated only.

    An image without a label file is free of mitoses if its case has another one in this label set, and unlabelled
    otherwise.
    """
    notes = list(labels.notes)
    labelled_cases = {id[:2] for id in labels.figures}
    items: dict[str, Item] = {}
    missing: dict[str, Item] = {}
    for id in sorted({*images, *labels.figures}):
        known = id in labels.figures or (labels.shared is None and id[:2] in labelled_cases and "_" in id)
        item = _item(id, images.get(id), card, labels, known, other, notes)
        (items if id in images else missing)[id] = item
    if missing:
        source = labels.shared or labels.files[next(iter(missing))][0].parent
        notes.append(missing_images(source, card, sorted(missing), len(items) + len(missing)))
    if other:
        notes.append(f"{root}: has two label sets; the confidence of a figure is the share of them that it is in")
    return Dataset(card, Path(root), items, tuple(notes), without_image=missing)


def _item(
    id: str, image: Path | None, card: Card, labels: Labels, known: bool, other: Labels | None, notes: list[str]
) -> Item:
    figures = labels.figures.get(id, [])
    case = id[:2]
    cohort = card.cohort_of(case)
    scanner = cohort.scanner if cohort else next(iter(card.mpp))
    header = image_files.frame_image(image) if image else None
    if header and header.note:
        notes.append(header.note)
    size = header.size if header else size_of(figures)
    mpp = (header.mpp if header else None) or card.mpp[scanner]
    if other is not None and id in other.figures:
        figures = _with_votes(figures, other.figures[id], max(mpp))
    read = Figures(size, card.duplicates)
    mitoses = read.annotation(figures, labelled=known)
    notes += read.notes
    domains = {**card.domains_of(scanner), **({"lab": cohort.lab} if cohort and cohort.lab else {})}
    reader = header.reader if header else PixelReader(Path(id))
    frame = Frame(id, card.name, case, scanner, mpp, size, reader, domains=domains)
    files = ((image,) if image else ()) + labels.files.get(id, ())
    text = annotation_text(mitoses, domains) if labels.shared or other else ""
    return Item(
        frame,
        mitoses,
        files if image else (),
        _part(card, case),
        text,
        header.notes if header else (),
        tuple(read.oddities),
        header.file_mpp if header else None,
    )


def _part(card: Card, case: str) -> str | None:
    return ("test" if case in card.test_groups else "train") if card.test_groups else None


def _with_votes(figures: Sequence[Figure], other: Sequence[Figure], mpp: float) -> list[Figure]:
    """Returns the figures with the share of both label sets that have a mitosis there, as their confidence."""
    mitoses = np.array([[figure.x, figure.y] for figure in other if figure.is_mitosis]).reshape(-1, 2)

    def share(figure: Figure) -> float:
        apart = np.hypot(*(mitoses - [figure.x, figure.y]).T).min(initial=np.inf) * mpp
        return (int(figure.is_mitosis) + int(apart <= SAME_UM)) / 2

    return [replace(figure, confidence=share(figure)) for figure in figures]
