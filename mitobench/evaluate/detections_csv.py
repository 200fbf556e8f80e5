"""Reads any tool's detections: a CSV with the columns frame,x,y,score or frame,x1,y1,x2,y2,score."""

from __future__ import annotations

import csv
import io
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from mitobench import foreign
from mitobench.api import Detections
from mitobench.errors import MitobenchError, nearest
from mitobench.foreign import limits

_POINT = ("x", "y")
_BOX = ("x1", "y1", "x2", "y2")
_RECORD_COLUMN = (
    "detector_score"  # a column of records' own files, in which a detection that is not ranked has no score
)


def read_detections(path: Path, known: Iterable[str]) -> dict[str, Detections]:
    """Detections by frame id, whole-frame px. A frame without a row is not in the result.

    Columns come in any order and case, others are ignored; with both forms there, x,y are the centres. A frame is named
    by its id, with or without a leading folder and an ending (`A00_v2/A00_00.bmp`). Equal rows are detections each.

    Args:
        path: the file, UTF-8; packed by gzip where it is called `.gz`, as those of records are.
        known: ids of the data set's frames.

    Raises MitobenchError with file and line for a missing or doubled column, a row of another length, text for a
    number, nan or infinity, a box that ends before it starts, and an unknown frame.
    """
    ids = set(known)
    rows: dict[str, list[list[float]]] = defaultdict(list)
    lines = _lines(path)
    where, header = next(lines, (f"{path}:1", []))
    columns, names = _columns(where, header)
    for number, (where, row) in enumerate(lines):
        if number >= limits.MAX_DETECTIONS:
            raise MitobenchError(f"{where}: more than {limits.MAX_DETECTIONS:,} detections, which is the limit.")
        if len(row) != len(header):
            raise MitobenchError(f"{where}: {len(row)} columns, but the header has {len(header)}. Correct the line.")
        if _RECORD_COLUMN in columns and not row[columns["score"]].strip():
            continue
        values = [_number(where, name, row[columns[name]]) for name in (*names, "score")]
        if names == _BOX and (values[0] > values[2] or values[1] > values[3]):
            raise MitobenchError(f"{where}: the box ends before it starts. Its columns are {','.join(_BOX)}.")
        rows[_frame(where, foreign.unguard_cell(row[columns["frame"]].strip()), ids)].append(values)
    return {frame: _detections(names, values) for frame, values in rows.items()}


def _lines(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Each row that is not blank, and its place."""
    try:
        reader = csv.reader(_text(path), skipinitialspace=True, strict=True)
        for row in reader:
            if any(cell.strip() for cell in row):
                yield f"{path}:{reader.line_num}", row
    except UnicodeDecodeError as reason:
        raise MitobenchError(f"{path}: is not UTF-8 text: {reason.reason}. Save it as UTF-8 CSV.") from reason
    except csv.Error as reason:
        raise MitobenchError(f"{path}:{reader.line_num}: is not CSV: {reason}. Correct the line.") from reason


def _text(path: Path) -> io.TextIOBase:
    if path.suffix.lower() != ".gz":
        content = foreign.read_bytes(path, limits.MAX_DETECTIONS_BYTES, "CSV of detections")
    else:
        try:
            packed = foreign.read_bytes(path, limits.MAX_PACKED_BYTES, "gzipped CSV of detections")
            content = foreign.gunzip(packed, limits.MAX_DETECTIONS_BYTES)
        except ValueError as reason:
            raise MitobenchError(f"{path}: cannot be read: {reason}. Copy the file again.") from reason
    return io.TextIOWrapper(io.BytesIO(content), newline="", encoding="utf-8-sig")


def _columns(where: str, header: list[str]) -> tuple[dict[str, int], tuple[str, ...]]:
    """Where each column is, and which of the two forms of coordinates is used."""
    names = [name.strip().lower() for name in header]
    columns = {name: at for at, name in enumerate(names)}
    for form in (_POINT, _BOX):
        wanted = ("frame", *form, "score")
        if columns.keys() >= set(wanted):
            doubled = sorted(name for name in wanted if names.count(name) > 1)
            if doubled:
                raise MitobenchError(f"{where}: column {doubled[0]} is there twice. Remove one.")
            return columns, form
    raise MitobenchError(
        f"{where}: the header must have frame,x,y,score or frame,x1,y1,x2,y2,score; "
        f"it has {','.join(names) or 'nothing'}. Add or rename columns."
    )


def _number(where: str, column: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise MitobenchError(f"{where}: {column} is {text.strip()!r}, which is no number. Correct the line.") from None
    if not math.isfinite(value):
        raise MitobenchError(f"{where}: {column} is {text.strip()}. Leave out detections that have no finite number.")
    return value


def _frame(where: str, text: str, ids: set[str]) -> str:
    name = text.replace("\\", "/").rsplit("/", 1)[-1]
    for candidate in (text, name, name.rpartition(".")[0]):
        if candidate in ids:
            return candidate
    raise MitobenchError(f"{where}: no frame is called {text!r}. {nearest(name, ids)}")


def _detections(names: tuple[str, ...], values: list[list[float]]) -> Detections:
    coordinates, score = [row[:-1] for row in values], [row[-1] for row in values]
    return (Detections.from_boxes if names == _BOX else Detections.from_points)(coordinates, score)
