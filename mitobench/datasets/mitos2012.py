"""MITOS 2012 (ICPR 2012): `A00_v2/A00_01.bmp` beside `A00_01.csv`, one mitosis a line, every pixel of it.

A frame is known by its parent folder, because `A03_00` is also a MITOS 2014 frame at x10.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mitobench.api import Frame, Mitoses
from mitobench.atomic import write_text_whole
from mitobench.datasets import images, points
from mitobench.datasets.base import Card, Dataset, Item, NewFrame, Reader, not_here
from mitobench.datasets.files import IMAGE_SUFFIXES, inside_synthetic, unique, walk
from mitobench.errors import DataError

LOOKED_FOR = "images such as A00_v2/A00_01.bmp or H00_v2/H00_01.bmp (bmp, tif, tiff, png, jpg, jpeg)"
_FRAME = re.compile(r"([AH]\d\d)_\d\d")
_PARTS = {"training": "train", "evaluation": "test"}
_SCANNERS = {"A": "aperio", "H": "hamamatsu"}

Masks = tuple[NDArray[np.int64], ...]


class Mitos2012(Reader):
    """The real data set. Synthetic frames in the same layout are not its own."""

    name = "mitos2012"

    def find(self, root: Path) -> list[Path]:
        """The slides' folders."""
        return [] if inside_synthetic(root) else sorted({path.parent for path in _images(root)})

    def read(self, root: Path) -> Dataset:
        """All frames of both scanners."""
        if not self.find(root):
            raise not_here(self.name, root, LOOKED_FOR)
        return read_layout(root, self.card())


def read_layout(root: Path, card: Card) -> Dataset:
    """Every frame below `root` in this layout, real or not, as data set `card.name`.

    Raises DataError when there is none, when two have one name, or when a file cannot be trusted.
    """
    found = unique(((path.stem, path) for path in _images(root)), "frame")
    if not found:
        raise not_here(card.name, root, LOOKED_FOR)
    notes: list[str] = []
    items = {id: _read_item(id, path, card, notes) for id, path in found.items()}
    return Dataset(card, Path(root), items, tuple(notes))


def _images(root: Path) -> Iterable[Path]:
    for path in walk(root):
        match = _FRAME.fullmatch(path.stem)
        if match and path.suffix.lower() in IMAGE_SUFFIXES and path.parent.name == f"{match[1]}_v2":
            yield path


def _read_item(id: str, image: Path, card: Card, notes: list[str]) -> Item:
    header = images.probe(image)
    if header.note:
        notes.append(header.note)
    size = (header.width, header.height)
    group, field = id[1:3], id[1:]
    official = _part_of(image)
    part = official or ("test" if field in card.test_fields else "train" if card.test_fields else None)
    csv = next((p for p in image.parent.glob(f"{id}.*") if p.suffix.lower() == ".csv"), None)
    if csv:
        masks, said = read_masks(csv, size)
        notes.extend(said)
        mitoses = Mitoses(_centroids(masks), masks)
    else:
        # In the contest's own folders a missing file says "no mitosis"; anywhere else it says nothing.
        mitoses = Mitoses(np.zeros((0, 2)), (), labelled=official is not None)
    frame = Frame(id, card.name, group, id[0], card.mpp[id[0]], size, partial(images.read_rgb, image))
    return Item(frame, mitoses, (image, csv) if csv else (image,), part)


def _part_of(image: Path) -> str | None:
    """The official part by the folder above the slide's: `training_aperio`, `evaluation_hamamatsu`."""
    name = image.absolute().parent.parent.name.lower()
    return next((part for word, part in _PARTS.items() if name.startswith(word)), None)


def _centroids(masks: Masks) -> NDArray[np.float64]:
    return np.array([mask.mean(axis=0) for mask in masks]).reshape(-1, 2)


def read_masks(path: Path, size: tuple[int, int]) -> tuple[Masks, list[str]]:
    """The masks in a CSV (int [P, 2] px each, in a frame of `size` width, height), and what was odd.

    Raises DataError with file and line for an odd number of coordinates, text, or a pixel two px or more outside.
    """
    masks: list[NDArray[np.int64]] = []
    notes: list[str] = []
    seen: dict[bytes, str] = {}
    for where, numbers in points.rows(path):
        if len(numbers) % 2:
            raise DataError(f"{where}: {len(numbers)} coordinates, an odd number; expected x1,y1,x2,y2,...")
        pixels, said = points.clip(np.array(numbers).reshape(-1, 2), size, where)
        mask = np.rint(pixels).astype(np.int64)
        first = seen.setdefault(np.unique(mask, axis=0).tobytes(), where)
        if first != where:
            said.append(f"{where}: repeats the mitosis of {first}")
        notes.extend(said)
        masks.append(mask)
    return tuple(masks), notes


def write_masks(path: Path, masks: Iterable[NDArray[np.int64]]) -> None:
    """Write masks (int [P, 2] px each), one a line; `read_masks` gives the same back."""
    lines = "".join(",".join(map(str, np.asarray(mask).ravel().tolist())) + "\n" for mask in masks)
    write_text_whole(path, lines)


def write(root: Path, frames: Iterable[NewFrame], suffix: str = ".bmp") -> None:
    """Write frames in this layout; mitoses come with masks, the part (`train`, `test`) chooses the folder.

    Raises DataError for a frame without masks or labels: the layout has no word for it.
    """
    for id, pixels, mitoses, part in frames:
        if mitoses.masks is None or not mitoses.labelled:
            raise DataError(f"{id}: has no masks or no labels; the MITOS 2012 layout cannot say so.")
        scanner = _SCANNERS[id[0]]
        folder = Path(root) / f"{'evaluation' if part == 'test' else 'training'}_{scanner}" / f"{id[:3]}_v2"
        images.write_rgb(folder / f"{id}{suffix}", pixels)
        write_masks(folder / f"{id}.csv", mitoses.masks)
