"""MITOS-ATYPIA 2014: `A03/frames/x40/A03_00Aa.tiff`, `A03/mitosis/A03_00Aa_mitosis.csv` and `_not_mitosis.csv`.

Archives are unpacked into nested or flat folders, so frames and annotations are matched by file stem. Only x40 frames
are annotated.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from mitobench.api import Detections, Frame, Mitoses
from mitobench.atomic import write_text_atomic
from mitobench.datasets import images, points
from mitobench.datasets.card import Card
from mitobench.datasets.dataset import Dataset, Item
from mitobench.datasets.figures import NO_CONFIDENCE, REPEATED, UNSURE, Floats, moved, repeats, without_confidence
from mitobench.datasets.files import IMAGE_SUFFIXES, inside_synthetic, unique, walk
from mitobench.datasets.reader import NewFrame, Reader, not_found
from mitobench.errors import DataError

LOOKED_FOR = "x40 images such as A03_00Aa.tiff or H03_00Aa.tiff (bmp, tif, tiff, png, jpg, jpeg)"
_FRAME = re.compile(r"[AH]\d\d_\d\d[A-D][A-D]", re.IGNORECASE)
_ANNOTATION = re.compile(r"([AH]\d\d_\d\d[A-D][A-D])(_(?:not_)?mitosis)\.csv", re.IGNORECASE)


class Mitos2014(Reader):
    """Reads the real MITOS-ATYPIA 2014. Skips synthetic frames in the same layout."""

    name = "mitos2014"

    def find(self, root: Path) -> list[Path]:
        """Returns the folders of the frames."""
        return [] if inside_synthetic(root) else sorted({path.parent for path in walk(root) if _is_frame(path)})

    def read(self, root: Path) -> Dataset:
        """Reads all x40 frames of both scanners."""
        if not self.find(root):
            raise not_found(self.name, root, LOOKED_FOR)
        return read_layout(root, self.card())


def read_layout(root: Path, card: Card) -> Dataset:
    """Reads every x40 frame below `root` in this layout, real or synthetic, as data set `card.name`.

    Raises DataError when there are none, when two have the same name, or when a file is broken.
    """
    paths = list(walk(root))
    found = unique(((_frame_id(path.stem), path) for path in paths if _is_frame(path)), "frame")
    if not found:
        raise not_found(card.name, root, LOOKED_FOR)
    named = ((_ANNOTATION.fullmatch(path.name), path) for path in paths)
    annotations = unique(
        ((f"{_frame_id(match[1])}{match[2].lower()}", path) for match, path in named if match), "annotation"
    )
    notes: list[str] = []
    items = {id: _read_item(id, path, annotations, card, notes) for id, path in found.items()}
    return Dataset(card, Path(root), items, tuple(notes))


def _frame_id(stem: str) -> str:
    """The official spelling of a frame's name: `A03_00Aa` for `a03_00AA`."""
    return f"{stem[:-1].upper()}{stem[-1].lower()}"


def _is_frame(path: Path) -> bool:
    return _FRAME.fullmatch(path.stem) is not None and path.suffix.lower() in IMAGE_SUFFIXES


def _read_item(id: str, image: Path, annotations: Mapping[str, Path], card: Card, notes: list[str]) -> Item:
    header = images.frame_image(image)
    notes.extend(f"{image}: {note}" for note in header.notes)
    size = header.size
    yes, no = (annotations.get(f"{id}_{kind}") for kind in ("mitosis", "not_mitosis"))
    oddities: list[str] = []
    xy, confidence = _points(yes, size, card, notes, oddities)
    imposters, imposter_confidence = _points(no, size, card, notes, oddities)
    mitoses = Mitoses(
        xy,
        imposters=imposters,
        labelled=yes is not None,
        confidence=confidence,
        imposter_confidence=imposter_confidence,
    )
    if yes and confidence is not None and not confidence.all():
        notes.append(f"{yes}: {int((confidence == 0).sum())} mitoses have confidence 0. Check the third column.")
        oddities.append("mitoses have confidence 0")
    if no and not yes:
        notes.append(f"{no}: lists imposters, but {id}_mitosis.csv is missing: the frame counts as unlabelled")
        oddities.append("imposters are annotated but not mitoses: unlabelled")
    group = id[1:3]
    part = "test" if group in card.test_groups else "train" if card.test_groups else None
    domains = card.domains_of(id[0])
    frame = Frame(id, card.name, group, id[0], card.mpp[id[0]], size, header.reader, domains=domains)
    files = (image, *filter(None, (yes, no)))
    return Item(frame, mitoses, files, part, "", header.notes, tuple(oddities), header.file_mpp)


def _points(
    path: Path | None, size: tuple[int, int], card: Card, notes: list[str], oddities: list[str]
) -> tuple[Floats, Floats | None]:
    """Reads points with their confidence. One that is listed twice counts once, unless the card says otherwise."""
    if path is None:
        return np.zeros((0, 2)), None
    xy, confidence, csv_notes = _read_rows(path, size)
    notes.extend(csv_notes)
    repeated = repeats(xy)
    oddities += [*moved(csv_notes), *([REPEATED[card.duplicates]] if repeated else [])]
    oddities += [UNSURE] if confidence is None and any(NO_CONFIDENCE in note for note in csv_notes) else []
    if not repeated or card.duplicates == "all":
        return xy, confidence
    notes.append(f"{path}: {len(repeated)} figures are listed again, and count once")
    kept = [number for number in range(len(xy)) if number not in repeated]
    return xy[kept], None if confidence is None else confidence[kept]


def read_points(path: Path, size: tuple[int, int]) -> tuple[Floats, list[str]]:
    """Reads the points in a CSV ([N, 2] px, in a frame of `size` width, height); returns them with notes.

    Rows are `x,y` or `x,y,confidence`. Raises DataError with file and line for any other number of columns, for text,
    for a confidence outside 0-1, and for a point that is 2 px or more outside the frame.
    """
    xy, _, notes = _read_rows(path, size)
    return xy, notes


def _read_rows(path: Path, size: tuple[int, int]) -> tuple[Floats, Floats | None, list[str]]:
    """Reads points, their confidence (None unless every row has one), and notes."""
    rows: list[Floats] = []
    places: list[str] = []
    confidence: list[float] = []
    without: list[str] = []
    notes: list[str] = []
    for where, numbers in points.rows(path):
        if len(numbers) not in (2, 3):
            raise DataError(f"{where}: {len(numbers)} columns. Expected x,y or x,y,confidence.")
        if len(numbers) == 3 and not 0 <= numbers[2] <= 1:
            raise DataError(
                f"{where}: the confidence {numbers[2]:g} is outside 0-1. Expected x,y or x,y,confidence; remove a "
                "column of row numbers."
            )
        point, line_notes = points.clip(np.array([numbers[:2]]), size, where)
        notes.extend(line_notes)
        rows.append(point)
        places.append(where)
        confidence += numbers[2:]
        without += [where] if len(numbers) == 2 else []
    xy = np.concatenate(rows) if rows else np.zeros((0, 2))
    notes += [f"{places[later]}: repeats the point of {places[first]}" for later, first in repeats(xy).items()]
    notes += without_confidence(path, without, len(rows))
    return xy, np.array(confidence) if rows and not without else None, notes


def write_points(path: Path, xy: ArrayLike, confidence: ArrayLike) -> None:
    """Writes points ([N, 2] px) with their confidence ([N], or one for all); `read_points` returns the same points."""
    xy = np.asarray(xy, dtype=np.float64).reshape(-1, 2)
    table = np.column_stack([xy, np.broadcast_to(np.asarray(confidence, dtype=np.float64), len(xy))])
    lines = "".join(",".join(repr(value).removesuffix(".0") for value in row) + "\n" for row in table.tolist())
    write_text_atomic(path, lines)


def write(root: Path, frames: Iterable[NewFrame], suffix: str = ".tiff") -> None:
    """Writes frames in this layout.

    The slide determines the part, so the part is not written. An unlabelled frame gets no annotation file.
    """
    for id, image, mitoses, _ in frames:
        slide = Path(root) / id[:3]
        images.write_rgb(slide / "frames" / "x40" / f"{id}{suffix}", image)
        if mitoses.labelled:
            sure = 1.0 if mitoses.confidence is None else mitoses.confidence
            unsure = 0.0 if mitoses.imposter_confidence is None else mitoses.imposter_confidence
            write_points(slide / "mitosis" / f"{id}_mitosis.csv", mitoses.xy, sure)
            write_points(slide / "mitosis" / f"{id}_not_mitosis.csv", mitoses.imposters, unsure)


def write_submission(folder: Path, detections: Mapping[str, Detections]) -> None:
    """Writes the contest's submission: one CSV `A06_00Aa.csv` per frame with `x,y,confidence`, empty if none is found.

    `detections` has an entry for every test frame, by id, including frames without detections.
    """
    for id, found in detections.items():
        write_points(Path(folder) / f"{id}.csv", found.xy, found.score)
