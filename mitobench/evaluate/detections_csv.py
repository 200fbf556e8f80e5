"""Reads detections of any tool from a CSV with the columns frame,x,y,score or frame,x1,y1,x2,y2,score."""

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
_RECORD_COLUMN = "detector_score"  # only in records' own files, where a detection without a `score` is not ranked


def read_detections(path: Path, known: Iterable[str]) -> dict[str, Detections]:
    """Returns detections by frame id, in whole-frame px. A frame without a row is not in the result.

    Columns may be in any order and case; other columns are ignored. If both forms are present, x,y are used as centres.
    A frame is named by its id, optionally with folders before and a suffix after it (`A00_v2/A00_00.bmp`). Equal rows
    are separate detections.

    Args:
        path: a UTF-8 file; compressed with gzip if its name ends in `.gz`, like the files of records.
        known: ids of the data set's frames.

    Raises MitobenchError with file and line for a missing or repeated column, a row of the wrong length, a value that
    is not a finite number, a box that ends before it starts, and an unknown frame.
    """
    ids = set(known)
    rows: dict[str, list[list[float]]] = defaultdict(list)
    lines = _lines(path)
    where, header = next(lines, (f"{path}:1", []))
    columns, names = _columns(where, header)
    for number, (where, row) in enumerate(lines):
        if number >= limits.MAX_DETECTIONS:
            raise MitobenchError(
                f"{where}: more than {limits.MAX_DETECTIONS:,} detections, which is the limit. Drop low scores."
            )
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
    """Yields (`file:line`, cells) for each row that is not blank."""
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
    """Returns the index of each column, and which of the two coordinate forms is used."""
    names = [name.strip().lower() for name in header]
    columns = {name: at for at, name in enumerate(names)}
    for form in (_POINT, _BOX):
        wanted = ("frame", *form, "score")
        if columns.keys() >= set(wanted):
            doubled = sorted(name for name in wanted if names.count(name) > 1)
            if doubled:
                raise MitobenchError(f"{where}: column {doubled[0]} appears twice. Remove one.")
            return columns, form
    raise MitobenchError(
        f"{where}: the header must have frame,x,y,score or frame,x1,y1,x2,y2,score; "
        f"it has {','.join(names) or 'nothing'}. Add or rename columns."
    )


def _number(where: str, column: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise MitobenchError(
            f"{where}: {column} is {text.strip()!r}, which is not a number. Correct the line."
        ) from None
    if not math.isfinite(value):
        raise MitobenchError(f"{where}: {column} is {text.strip()}. Leave out detections without a finite value.")
    return value


def _frame(where: str, text: str, ids: set[str]) -> str:
    name = text.replace("\\", "/").rsplit("/", 1)[-1]
    for candidate in (text, name, name.rpartition(".")[0]):
        if candidate in ids:
            return candidate
    raise MitobenchError(f"{where}: unknown frame {text!r}. {nearest(name, ids)}")


def _detections(names: tuple[str, ...], values: list[list[float]]) -> Detections:
    coordinates, score = [row[:-1] for row in values], [row[-1] for row in values]
    return (Detections.from_boxes if names == _BOX else Detections.from_points)(coordinates, score)
