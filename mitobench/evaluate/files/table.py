"""The common form of all formats: rows of coordinates with a score and a class, and the detections made from them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mitobench.api import Detections
from mitobench.errors import MitobenchError
from mitobench.evaluate.files import labels
from mitobench.evaluate.files.frame_names import FrameInfo
from mitobench.foreign.boxes import corners

Floats = NDArray[np.float64]
Form = Literal["points", "corner boxes", "x-y-width-height boxes"]
Unit = Literal["px", "um", "mm"]

BOX_PX = 50.0  # side of the square around a point: the size of MIDOG's boxes
UM = {"um": 1.0, "mm": 1000.0}


@dataclass(frozen=True)
class Row:
    """One detection.

    Attributes:
        where: file and line or key, for messages.
        frame: id of the frame.
        numbers: the 2 or 4 coordinates of the form.
        score: its score.
        label: its class; None if the file has no classes.
        box: corners of its box if the file has them beside its centre, px.
    """

    where: str
    frame: str
    numbers: tuple[float, ...]
    score: float
    label: str | None = None
    box: tuple[float, ...] | None = None


@dataclass
class Table:
    """What a file holds.

    Attributes:
        form, unit: what the numbers of all rows are.
        rows: the detections.
        what: the format and columns, as shown to the user.
        classes_in: what holds the classes, for messages: `column label`.
        notes: what is odd.
    """

    form: Form
    what: str
    unit: Unit = "px"
    rows: list[Row] = field(default_factory=list)
    classes_in: str = "class"
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class FoundFile:
    """The detections of a file, and how they were read.

    Attributes:
        detections: by frame id; a frame without a row is missing.
        reading: how the file was read, in words.
        notes: what is odd or left out.
        form: what `numbers` are.
        numbers: the coordinates of the same detections in px before they were made points or boxes, [M, 2 or 4].
        unit: the unit that the file is in.
        places: file and line or key of the same detections, by frame id.
    """

    detections: dict[str, Detections]
    reading: str
    notes: tuple[str, ...]
    form: Form
    numbers: dict[str, Floats]
    unit: Unit = "px"
    places: Mapping[str, Sequence[str]] = field(default_factory=dict)


def found_file(table: Table, frames: Mapping[str, FrameInfo], classes: Sequence[str], path: str) -> FoundFile:
    """Makes detections of the rows that are mitoses.

    Args:
        table: the content of a file.
        frames: the frames by id, with um/px if the file is not in px.
        classes: the classes of mitoses, as the user names them; empty: they must be clear.
        path: the file, for messages.

    Raises MitobenchError for a box that ends before it starts, classes that are not clear, and a frame without um/px
    where the file is in mm or um.
    """
    rows, notes = table.rows, list(table.notes)
    if any(row.label is not None for row in rows):
        texts = [row.label or "" for row in rows]
        chosen, note = labels.wanted(texts, classes, f"{path}: {table.classes_in}")
        rows = [row for row, text in zip(rows, texts, strict=True) if text in chosen]
        notes += [note] if note else []
    elif classes and rows:
        raise MitobenchError(f"{path}: has no classes, so --class cannot choose among them. Leave it out.")
    notes += _none_left(table, path) + _repeated(rows, path) + _one_score(rows, path)
    by_frame: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        _check_box(row, table.form)
        by_frame[row.frame].append(row)
    numbers = {frame: _px([row.numbers for row in of], frame, frames, table, path) for frame, of in by_frame.items()}
    found = {frame: _detections(table.form, numbers[frame], of) for frame, of in by_frame.items()}
    notes += _other_centres(found, path)
    unit = "" if table.unit == "px" else f" in {table.unit}"
    reading = f"{table.what}, read as {table.form}{unit}"
    places = {frame: [row.where for row in of] for frame, of in by_frame.items()}
    return FoundFile(found, reading, tuple(notes), table.form, numbers, table.unit, places)


def _detections(form: Form, numbers: Floats, rows: Sequence[Row]) -> Detections:
    score = np.array([row.score for row in rows])
    boxes = [row.box for row in rows if row.box is not None]
    if len(boxes) < len(rows):
        return as_detections(form, numbers, score)
    return Detections(numbers, np.array(boxes, dtype=np.float64), score)


def _other_centres(found: Mapping[str, Detections], path: str) -> list[str]:
    """Says that centres and boxes of a file that has both are not of the same places."""
    apart = sum(
        int((np.abs(Detections.from_boxes(d.boxes, d.score).xy - d.xy) > 1).any(axis=1).sum()) for d in found.values()
    )
    if not apart:
        return []
    return [f"{path}: the boxes of {apart} detections have another centre than their x,y; x,y are used"]


def as_detections(form: Form, numbers: Floats, score: Floats) -> Detections:
    """Makes detections of coordinates in px, [M, 2 or 4]."""
    if form == "points":
        return Detections.from_points(numbers, score, BOX_PX)
    if form == "x-y-width-height boxes":
        numbers = np.stack(corners(*numbers.T), axis=1)
    return Detections.from_boxes(numbers, score)


def _px(
    numbers: Sequence[tuple[float, ...]], frame: str, frames: Mapping[str, FrameInfo], table: Table, path: str
) -> Floats:
    values = np.array(numbers, dtype=np.float64)
    if table.unit == "px":
        return values
    mpp = frames[frame].mpp
    if mpp is None:
        raise MitobenchError(f"{path}: is in {table.unit}, but the um/px of frame {frame} are not known.")
    px: Floats = values * UM[table.unit] / np.tile(mpp, values.shape[1] // 2)
    return px


def _check_box(row: Row, form: Form) -> None:
    a = row.numbers
    if form == "corner boxes" and (a[0] > a[2] or a[1] > a[3]):
        raise MitobenchError(
            f"{row.where}: the box ends before it starts. Its columns are x1,y1,x2,y2; if the last two are width and "
            "height, call them so."
        )
    if form == "x-y-width-height boxes" and (a[2] < 0 or a[3] < 0):
        raise MitobenchError(f"{row.where}: width or height is negative. Correct the line.")


def _none_left(table: Table, path: str) -> list[str]:
    return [] if table.rows else [f"{path}: holds no detections"]


def _repeated(rows: Sequence[Row], path: str) -> list[str]:
    again = sum(n - 1 for n in Counter((row.frame, row.numbers, row.score) for row in rows).values())
    if not again:
        return []
    return [f"{path}: {again} of {len(rows)} detections repeat an earlier one exactly; each counts as a detection"]


def _one_score(rows: Sequence[Row], path: str) -> list[str]:
    scores = {row.score for row in rows}
    if len(rows) < 2 or len(scores) > 1:
        return []
    return [f"{path}: all {len(rows)} detections have the score {scores.pop():g}, so no threshold can separate them"]
