"""Reads detections from a CSV. The header says whether they are points or boxes, and in which unit."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from mitobench import foreign
from mitobench.errors import MitobenchError
from mitobench.evaluate.files import class_choice
from mitobench.evaluate.files.frame_names import FrameNames
from mitobench.evaluate.files.table import Form, Row, Table, Unit
from mitobench.foreign import classes, limits

# What a column may be called; if several of one line are present, the first one counts.
_FRAME = ("frame", "image", "image_id", "image_name", "file", "file_name", "filename", "slide", "case", "img")
_SCORE = ("score", "confidence", "conf", "probability", "prob", "p")
_X, _Y = ("x", "cx", "x_center", "center_x", "centre_x", "x_centre", "centroid_x"), (
    "y", "cy", "y_center", "center_y", "centre_y", "y_centre", "centroid_y",
)  # fmt: skip
_WIDTH, _HEIGHT = ("width", "w"), ("height", "h")
_FORMS: tuple[tuple[Form, tuple[tuple[str, ...], ...]], ...] = (
    ("corner boxes", (("x1",), ("y1",), ("x2",), ("y2",))),
    ("corner boxes", (("xmin", "x_min"), ("ymin", "y_min"), ("xmax", "x_max"), ("ymax", "y_max"))),
    ("corner boxes", (("left",), ("top",), ("right",), ("bottom",))),
    ("x-y-width-height boxes", (("x", "xmin", "x_min", "left"), ("y", "ymin", "y_min", "top"), _WIDTH, _HEIGHT)),
    ("points", (("row",), ("col", "column"))),
)
_UNITS: tuple[Unit, ...] = ("mm", "um")
_BOX = ("x1", "y1", "x2", "y2")
_RECORD_COLUMN = "detector_score"  # only in records' own files, where a detection without a `score` is not ranked
_FLAG_OF_PREDICT = "mitosis"  # 1 or 0: it only compares the score with the threshold
_OF_PREDICT = ("detector_score", "score_detector")
_PASSED = ("above_gate", "above_candidate_threshold")  # 0: the detection is not ranked
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?", re.IGNORECASE | re.ASCII)
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+(?:e[+-]?\d+)?", re.IGNORECASE | re.ASCII)
_MARKS = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


def read_csv(path: Path, frames: FrameNames, class_column: str | None = None) -> Table:
    """Reads a CSV; columns may be in any order and case. Those that are not needed and hold no classes are ignored.

    Points: frame,x,y,score. Boxes: frame,x1,y1,x2,y2,score (corners; also xmin,...) or frame,x,y,width,height,score
    (upper left corner). Other names of the columns: see the top of this module. If centres and corners are present,
    the centres are used, and the boxes only by matchers that compare boxes. Separators are commas, semicolons (then
    decimal commas are read, too) or tabs.

    Args:
        path: UTF-8 or UTF-16; compressed with gzip if its name ends in `.gz`, like the files of records.
        frames: the data set's frames.
        class_column: the column that holds the classes; `none`: no column does; None: it is found by its name.

    Raises MitobenchError with file and line for a missing or repeated column, a row of the wrong length, a value that
    is not a finite number, and an unknown frame.
    """
    text, first = _without_sep(_text(path))
    separator = _separator(text, first, path)
    lines = _lines(path, text, separator, first)
    where, header = next(lines, (f"{path}:{first}", []))
    columns = _Columns(where, header)
    table = Table(columns.form, f"CSV with the columns {','.join(columns.names)}", columns.unit)
    kept: list[tuple[str, list[str]]] = []
    not_passed = 0
    for number, (where, row) in enumerate(lines):
        if number >= limits.MAX_DETECTIONS:
            raise MitobenchError(
                f"{where}: more than {limits.MAX_DETECTIONS:,} detections, which is the limit. Drop low scores."
            )
        if len(row) != len(header):
            raise MitobenchError(f"{where}: {len(row)} columns, but the header has {len(header)}. Correct the line.")
        if columns.has(_RECORD_COLUMN) and not columns.cell(row, columns.score).strip():
            continue
        if any(columns.has(name) and columns.cell(row, name).strip() in ("0", "False", "false") for name in _PASSED):
            not_passed += 1
            continue
        kept.append((where, row))
    label = columns.label([row for _, row in kept], class_column, path)
    table.classes_in = f"column {label}" if label else "no column"
    table.rows = [_row(where, row, columns, label, frames, separator != ",") for where, row in kept]
    if not_passed:
        table.notes.append(f"{path}: {not_passed} detections are marked as not above the candidate threshold: left out")
    return table


def _row(
    where: str, row: list[str], columns: _Columns, label: str | None, frames: FrameNames, decimal_comma: bool
) -> Row:
    numbers = [_number(where, name, columns.cell(row, name), decimal_comma) for name in columns.coordinates]
    score = _number(where, columns.score, columns.cell(row, columns.score), decimal_comma)
    frame = frames.find(where, foreign.unguard_cell(columns.cell(row, columns.frame).strip()))
    text = None
    if label is not None:
        text = classes.flag(label, foreign.unguard_cell(row[columns.header.index(label)].strip()))
    box = [_number(where, name, columns.cell(row, name), decimal_comma) for name in columns.boxes]
    return Row(where, frame, tuple(numbers), score, text, tuple(box) or None)


class _Columns:
    """Which column is which."""

    def __init__(self, where: str, header: list[str]) -> None:
        self.names = [re.sub(r"\s+", "_", name.strip().lower()).replace("\u00b5", "u") for name in header]
        self.header = [name.strip() for name in header]
        self._where = where
        self.frame = self._first(_FRAME) or self._missing()
        self.score = self._first(_SCORE) or self._missing()
        self.form, self.coordinates, self.unit = self._coordinates()
        self.boxes = _BOX if self.form == "points" and self.unit == "px" and all(map(self.has, _BOX)) else ()
        for name in (self.frame, self.score, *self.coordinates):
            if self.names.count(name) > 1:
                raise MitobenchError(f"{where}: column {name} appears twice. Remove one.")
        others = [name for name in _SCORE if name in self.names and name != self.score]
        if others and self.score != _SCORE[0]:
            raise MitobenchError(
                f"{where}: columns {self.score} and {others[0]} could both be the score. Call the right one score."
            )

    def label(self, rows: Sequence[Sequence[str]], given: str | None, path: Path) -> str | None:
        """The column of the header that holds the classes; None if no column does."""
        used = {self.frame, self.score, *self.coordinates, *_BOX, *_PASSED, *_OF_PREDICT, *_FRAME, *_SCORE}
        if self._first(_OF_PREDICT) and given is None:
            used.add(_FLAG_OF_PREDICT)
        free = [n for n, name in enumerate(self.names) if name not in used and not re.fullmatch(r"[xy]_[um]m", name)]
        twice = next((self.header[n] for n in free if self.header.count(self.header[n]) > 1), None)
        if twice is not None and classes.holds_classes(twice):
            raise MitobenchError(f"{self._where}: column {twice} appears twice. Remove one.")
        columns = {self.header[n]: [foreign.unguard_cell(row[n].strip()) for row in rows] for n in free}
        return classes.class_column(columns, given, str(path), class_choice.option)

    def has(self, name: str) -> bool:
        """Whether there is a column of this name."""
        return name in self.names

    def cell(self, row: Sequence[str], name: str) -> str:
        """The text of a column in a row."""
        return row[self.names.index(name)]

    def _first(self, names: Sequence[str]) -> str | None:
        return next((name for name in names if name in self.names), None)

    def _coordinates(self) -> tuple[Form, tuple[str, ...], Unit]:
        for unit in ("px", *_UNITS):
            suffix = "" if unit == "px" else f"_{unit}"
            centre = self._named((_X, _Y), suffix)
            boxes = next(((form, found) for form, wanted in _FORMS if (found := self._named(wanted, suffix))), None)
            # Width and height beside x and y make them a corner; beside x_center they are only the size.
            if centre and not (boxes and boxes[0] == "x-y-width-height boxes" and centre[0] == f"x{suffix}"):
                return "points", centre, unit
            if boxes:
                form, found = boxes
                return form, found[::-1] if form == "points" else found, unit
        self._missing()

    def _named(self, wanted: Sequence[Sequence[str]], suffix: str) -> tuple[str, ...] | None:
        found = [self._first([f"{name}{suffix}" for name in names]) for names in wanted]
        return None if None in found else tuple(name for name in found if name is not None)

    def _missing(self) -> NoReturn:
        data = any(_NUMBER.fullmatch(name) for name in self.names)
        hint = "The first line looks like data: add a header above it." if data else "Add or rename columns."
        raise MitobenchError(
            f"{self._where}: the header must have frame,x,y,score or frame,x1,y1,x2,y2,score or "
            f"frame,x,y,width,height,score; it has {','.join(self.names)[:200] or 'nothing'}. {hint}"
        )


def _text(path: Path) -> str:
    if path.suffix.lower() != ".gz":
        content = foreign.read_bytes(path, limits.MAX_DETECTIONS_BYTES, "CSV of detections")
    else:
        try:
            packed = foreign.read_bytes(path, limits.MAX_PACKED_BYTES, "gzipped CSV of detections")
            content = foreign.gunzip(packed, limits.MAX_DETECTIONS_BYTES)
        except ValueError as reason:
            raise MitobenchError(f"{path}: cannot be read: {reason}. Copy the file again.") from reason
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8-sig")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as reason:
        raise MitobenchError(f"{path}: is not UTF-8 text: {reason.reason}. Save it as UTF-8 CSV.") from reason
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise MitobenchError(f"{path}:{line}: contains NUL characters: the file is damaged. Copy it again.")
    return text


def _without_sep(text: str) -> tuple[str, int]:
    """Returns the text without Excel's first line `sep=,`, and the number of its first line."""
    first, _, rest = text.partition("\n")
    return (rest, 2) if re.fullmatch(r"sep=.\r?", first) else (text, 1)


def _separator(text: str, first: int, path: Path) -> str:
    header = re.split(r"[\r\n]", text.lstrip("\r\n"), maxsplit=1)[0]
    return max(",;\t", key=lambda mark: (header.count(mark), mark == ","))


def _lines(path: Path, text: str, separator: str, first: int) -> Iterator[tuple[str, list[str]]]:
    """Yields (`file:line`, cells) for each row that is not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True)
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                yield f"{path}:{reader.line_num + first - 1}", row
    except csv.Error as reason:
        raise MitobenchError(
            f"{path}:{reader.line_num + first - 1}: is not CSV: {reason}. Correct the line."
        ) from reason


def _number(where: str, column: str, text: str, decimal_comma: bool) -> float:
    cell = text.strip()
    if decimal_comma and _DECIMAL_COMMA.fullmatch(cell):
        cell = cell.replace(",", ".")
    if cell.lower().lstrip("+-") in ("nan", "inf", "infinity"):
        raise MitobenchError(f"{where}: {column} is {cell}. Leave out detections without a finite value.")
    if not _NUMBER.fullmatch(cell) or not math.isfinite(float(cell)):
        raise MitobenchError(f"{where}: {column} is {cell[:40]!r}, which is not a number. Correct the line.")
    return float(cell)
