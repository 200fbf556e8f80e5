"""MITOS 2012 (ICPR 2012): `A00_v2/A00_01.bmp` with `A00_01.csv`, which lists all pixels of one mitosis per line.

A frame is recognised by its parent folder too, because `A03_00` is also the name of a MITOS 2014 frame at x10.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mitobench.api import Frame, Mitoses
from mitobench.atomic import write_text_atomic
from mitobench.datasets import images, points
from mitobench.datasets.card import Card
from mitobench.datasets.dataset import Dataset, Item
from mitobench.datasets.figures import REPEATED, moved, repeats
from mitobench.datasets.files import IMAGE_SUFFIXES, inside_synthetic, unique, walk
from mitobench.datasets.mask_checks import check_masks, distinct
from mitobench.datasets.reader import NewFrame, Reader, not_found
from mitobench.errors import DataError

LOOKED_FOR = "images such as A00_v2/A00_01.bmp or H00_v2/H00_01.bmp (bmp, tif, tiff, png, jpg, jpeg)"
DRAWN_ON = "(The contest's .jpg files next to the .bmp files have the mitoses drawn on them.)"
_FRAME = re.compile(r"([AH]\d\d)_\d\d", re.IGNORECASE)
_PARTS = {"training": "train", "evaluation": "test"}
_SCANNERS = {"A": "aperio", "H": "hamamatsu"}

Masks = tuple[NDArray[np.int64], ...]


class Mitos2012(Reader):
    """Reads the real MITOS 2012. Skips synthetic frames in the same layout."""

    name = "mitos2012"

    def find(self, root: Path) -> list[Path]:
        """Returns the folders of the slides."""
        return [] if inside_synthetic(root) else sorted({path.parent for path in _images(root)})

    def read(self, root: Path) -> Dataset:
        """Reads all frames of both scanners."""
        if not self.find(root):
            raise not_found(self.name, root, LOOKED_FOR)
        return read_layout(root, self.card())


def read_layout(root: Path, card: Card) -> Dataset:
    """Reads every frame below `root` in this layout, real or synthetic, as data set `card.name`.

    Raises DataError when there are none, when two have the same name, or when a file is broken.
    """
    found = unique(((path.stem.upper(), path) for path in _images(root)), "frame", DRAWN_ON)
    if not found:
        raise not_found(card.name, root, LOOKED_FOR)
    notes: list[str] = []
    annotations = _annotations(root, found, notes)
    annotated = {found[id].parent for id in annotations}
    notes += _bare_folders(found.values(), annotated)
    items = {
        id: _read_item(id, path, annotations.get(id), path.parent in annotated, card, notes)
        for id, path in found.items()
    }
    return Dataset(card, Path(root), items, tuple(notes))


def _images(root: Path) -> Iterable[Path]:
    return (path for path in _of_slides(root) if path.suffix.lower() in IMAGE_SUFFIXES)


def _of_slides(root: Path) -> Iterable[Path]:
    """Files named as a frame, in a folder named as its slide, in any letter case."""
    for path in walk(root):
        match = _FRAME.fullmatch(path.stem)
        if match and path.parent.name.lower() == f"{match[1]}_v2".lower():
            yield path


def _annotations(root: Path, found: Mapping[str, Path], notes: list[str]) -> dict[str, Path]:
    """Returns the annotation files by frame: those beside the images, otherwise those in folders of their own."""
    files = [path for path in _of_slides(root) if path.suffix.lower() == ".csv" and path.stem.upper() in found]
    beside = {path.stem.upper(): path for path in files if path.parent == found[path.stem.upper()].parent}
    apart = [path for path in files if path.stem.upper() not in beside]
    elsewhere = unique(((path.stem.upper(), path) for path in apart), "annotation")
    for folder in sorted({path.parent for path in elsewhere.values()}):
        number = sum(path.parent == folder for path in elsewhere.values())
        notes.append(f"{folder}: holds the annotation of {number} frames whose images are in another folder")
    return elsewhere | beside


def _bare_folders(images: Iterable[Path], annotated: Collection[Path]) -> Iterable[str]:
    """Says which slides have no annotation file. Perhaps the files were never copied, or have other names."""
    bare = Counter(image.parent for image in images if image.parent not in annotated)
    for folder, count in sorted(bare.items()):
        yield f"{folder}: none of its {count} frames has an annotation file; all count as unlabelled"


def _read_item(id: str, image: Path, csv: Path | None, among_annotated: bool, card: Card, notes: list[str]) -> Item:
    header = images.frame_image(image)
    notes.extend(f"{image}: {note}" for note in header.notes)
    size = header.size
    oddities: tuple[str, ...] = ()
    group, field = id[1:3], id[1:]
    official = _part_of(image)
    part = official or ("test" if field in card.test_fields else "train" if card.test_fields else None)
    if csv:
        masks, oddities = _read_checked(csv, size, card, id[0], notes)
        mitoses = Mitoses(_centroids(masks), masks)
    else:
        # In the contest's folders a missing file means "no mitosis", if other frames of the slide have one. Anywhere
        # else, and where a whole slide has none, it means "not annotated".
        mitoses = Mitoses(np.zeros((0, 2)), (), labelled=official is not None and among_annotated)
    domains = card.domains_of(id[0])
    frame = Frame(id, card.name, group, id[0], card.mpp[id[0]], size, header.reader, domains=domains)
    files = (image, csv) if csv else (image,)
    return Item(frame, mitoses, files, part, "", header.notes, oddities, header.file_mpp)


def _part_of(image: Path) -> str | None:
    """The official part according to the slide's parent folder: `training_aperio`, `evaluation_hamamatsu`."""
    name = image.absolute().parent.parent.name.lower()
    return next((part for word, part in _PARTS.items() if name.startswith(word)), None)


def _read_checked(
    csv: Path, size: tuple[int, int], card: Card, scanner: str, notes: list[str]
) -> tuple[Masks, tuple[str, ...]]:
    """Reads the masks in a CSV, and what is odd in general words.

    A mitosis that is listed twice counts once, unless the card says otherwise; so does a pixel.
    """
    masks, csv_notes, places = _read_lines(csv, size)
    notes.extend(csv_notes)
    oddities = moved(csv_notes)
    again = check_masks(masks, places, max(card.mpp[scanner]))
    if again:
        masks = tuple(map(distinct, masks))
        notes.append(f"{csv}: lists {again} pixels again, as masks do that were resized; each counts once")
        oddities.append("the mask of a mitosis lists pixels again, as if it was resized; each counts once")
    repeated = repeats(_centroids(masks))
    said = " ".join(csv_notes)
    for later, first in repeated.items():
        if f"{places[later]}: repeats" not in said:
            notes.append(f"{places[later]}: repeats the mitosis of {places[first]}, give or take a few pixels")
    if repeated and card.duplicates == "once":
        notes.append(f"{csv}: {len(repeated)} mitoses are listed again, and count once")
        masks = tuple(mask for number, mask in enumerate(masks) if number not in repeated)
    return masks, (*oddities, *([REPEATED[card.duplicates]] if repeated else []))


def _centroids(masks: Masks) -> NDArray[np.float64]:
    return np.array([mask.mean(axis=0) for mask in masks]).reshape(-1, 2)


def read_masks(path: Path, size: tuple[int, int]) -> tuple[Masks, list[str]]:
    """Reads the masks in a CSV (int [P, 2] px each, in a frame of `size` width, height); returns them with notes.

    Raises DataError with file and line for an odd number of coordinates, for text, and for a pixel that is 2 px or more
    outside the frame.
    """
    masks, notes, _ = _read_lines(path, size)
    return masks, notes


def _read_lines(path: Path, size: tuple[int, int]) -> tuple[Masks, list[str], list[str]]:
    """Returns also the place of each mask, `file:line`."""
    masks: list[NDArray[np.int64]] = []
    notes: list[str] = []
    places: list[str] = []
    seen: dict[bytes, str] = {}
    for where, numbers in points.rows(path):
        if len(numbers) % 2:
            raise DataError(
                f"{where}: {len(numbers)} coordinates, which is an odd number. Expected x1,y1,x2,y2, ... Correct it."
            )
        pixels, line_notes = points.clip(np.array(numbers).reshape(-1, 2), size, where)
        mask = np.rint(pixels).astype(np.int64)
        first = seen.setdefault(distinct(mask).tobytes(), where)
        if first != where:
            line_notes.append(f"{where}: repeats the mitosis of {first}")
        notes.extend(line_notes)
        masks.append(mask)
        places.append(where)
    return tuple(masks), notes, places


def write_masks(path: Path, masks: Iterable[NDArray[np.int64]]) -> None:
    """Writes masks (int [P, 2] px each), one per line; `read_masks` returns the same masks."""
    lines = "".join(",".join(map(str, np.asarray(mask).ravel().tolist())) + "\n" for mask in masks)
    write_text_atomic(path, lines)


def write(root: Path, frames: Iterable[NewFrame], suffix: str = ".bmp") -> None:
    """Writes frames in this layout. The part (`train`, `test`) decides the folder.

    Raises DataError for a frame without masks or labels, which the layout cannot represent.
    """
    for id, image, mitoses, part in frames:
        if mitoses.masks is None or not mitoses.labelled:
            raise DataError(f"{id}: has no masks or no labels, which the MITOS 2012 layout cannot represent.")
        scanner = _SCANNERS[id[0]]
        folder = Path(root) / f"{'evaluation' if part == 'test' else 'training'}_{scanner}" / f"{id[:3]}_v2"
        images.write_rgb(folder / f"{id}{suffix}", image)
        write_masks(folder / f"{id}.csv", mitoses.masks)
