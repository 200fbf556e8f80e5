"""Reads a file or folder of detections in any of the formats."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mitobench import foreign
from mitobench.api import Detections
from mitobench.errors import MitobenchError, nearest
from mitobench.evaluate.files import coco, geojson, midog_json, sliderunner
from mitobench.evaluate.files.csv_file import read_csv
from mitobench.evaluate.files.frame_names import FrameInfo, FrameNames
from mitobench.evaluate.files.table import FoundFile, Table, found_file
from mitobench.foreign import limits

FORMATS = ("csv", "midog25", "geojson", "coco", "sliderunner")
_TABLES = (".csv", ".tsv", ".txt", ".gz")
_SUMMARY = "summary.csv"  # of `mitobench predict`: it has no detections
_OVERVIEWS = {_SUMMARY, "predictions.json", "ground_truth.json", "metrics.json"}


def read_detections(path: Path, known: Mapping[str, FrameInfo] | Iterable[str]) -> dict[str, Detections]:
    """Returns the detections of a file by frame id, in whole-frame px; raises as `read`."""
    return read(path, known).detections


def read(
    path: Path,
    known: Mapping[str, FrameInfo] | Iterable[str],
    *,
    format: str | None = None,
    classes: Sequence[str] = (),
    class_column: str | None = None,
    images: Path | None = None,
) -> FoundFile:
    """Reads detections, in whole-frame px. A frame without a row is not in the result.

    A frame is named by its id, optionally with folders before it and a suffix after it (`A00_v2/A00_00.bmp`).

    Args:
        path: a file, or a folder: of the MIDOG contests (a folder for each image), of `mitobench predict`, of CSVs or
            of GeoJSON.
        known: the data set's frames by id; um/px and size are needed for files in mm and um only.
        format: one of FORMATS; None: by name and content.
        classes: the classes of mitoses, if the file has classes that are not clear.
        class_column: the column, property or key that holds the classes; `none`: none does; None: found by its name.
        images: for COCO results, a COCO file that says which file an `image_id` means.

    Raises MitobenchError with file and line or key for what cannot be read, an unknown frame, and classes that are not
    clear.
    """
    if format is not None and format not in FORMATS:
        raise MitobenchError(f"--format {format}: unknown format. {nearest(format, FORMATS)}")
    frames = FrameNames.of(known)
    files = _files(path, format)
    table = _table(path, files, frames, format, class_column, images)
    if images is not None and table.what != coco.WHAT:
        raise MitobenchError(
            f"--images {images}: only COCO results need it, and {path} is a {table.what}. Leave it out."
        )
    return found_file(table, frames.frames, classes, str(path))


def _files(path: Path, format: str | None) -> list[Path]:
    """The files to read: the path itself, or those of the first format that a folder has."""
    if not path.is_dir():
        return [path]
    found: list[Path] = []
    for file in path.rglob("*"):
        if file.is_file() and file.name not in _OVERVIEWS and not file.name.startswith("."):
            found.append(file)
        if len(found) > limits.MAX_FILES:
            raise MitobenchError(f"{path}: more than {limits.MAX_FILES:,} files. Give the folder of the detections.")
    kinds = {
        "midog25": [file for file in found if file.suffix.lower() == ".json"],
        "csv": [file for file in found if file.suffix.lower() in _TABLES],
        "geojson": [file for file in found if file.suffix.lower() in geojson.SUFFIXES],
    }
    if format is not None:
        kinds = {format: kinds.get(format, [])}
    for files in kinds.values():
        if files:
            return sorted(files)
    raise MitobenchError(
        f"{path}: holds no detections: no {midog_json.RESULT_FILE}, CSV or GeoJSON files. "
        "Give a file, or another folder."
    )


def _table(
    path: Path,
    files: Sequence[Path],
    frames: FrameNames,
    format: str | None,
    class_column: str | None,
    images: Path | None,
) -> Table:
    suffix = files[0].suffix.lower()
    if format == "sliderunner" or (format is None and suffix in sliderunner.SUFFIXES):
        _refuse_column(path, class_column)
        return sliderunner.read_annotations(path, frames)
    if format in (None, "csv") and suffix not in (".json", *geojson.SUFFIXES):
        return _joined([read_csv(file, frames, class_column) for file in files], path)
    contents = [(file, _json(file)) for file in files]
    first = contents[0][1]
    if format == "midog25" or (format is None and midog_json.is_points(first)):
        _refuse_column(path, class_column)
        return midog_json.read_points(contents, frames, path)
    if format == "geojson" or (format is None and (geojson.is_geojson(first) or suffix in geojson.SUFFIXES)):
        return geojson.read_geojson(contents, frames, class_column, path)
    if len(contents) == 1 and coco.is_coco(first) and format in (None, "coco"):
        return coco.read_coco(path, first, frames, class_column, images)
    raise MitobenchError(
        f"{files[0]}: is not in a known format: MIDOG JSON has `points`, GeoJSON `features`, COCO results are a list "
        "of image_id, bbox and score."
    )


def _refuse_column(path: Path, class_column: str | None) -> None:
    if class_column is not None:
        raise MitobenchError(f"{path}: in this format only one column holds classes. Leave --class-column out.")


def _json(path: Path) -> Any:
    return foreign.read_json(path, limits.MAX_DETECTIONS_BYTES, "file of detections")


def _joined(tables: Sequence[Table], path: Path) -> Table:
    """Joins the CSVs of a folder, which must have one form."""
    first = tables[0]
    for table in tables[1:]:
        if (table.form, table.unit) != (first.form, first.unit):
            raise MitobenchError(f"{path}: its CSV files have different columns. Give files of one form.")
        if first.rows and table.rows and table.classes_in != first.classes_in:
            raise MitobenchError(
                f"{path}: in one of its CSV files {first.classes_in} holds the classes, in another {table.classes_in}. "
                "Say which column does with --class-column, or --class-column none."
            )
        first.classes_in = first.classes_in if first.rows else table.classes_in
        first.rows += table.rows
        first.notes += table.notes
    if len(tables) > 1:
        first.what = f"{len(tables)} files, {first.what}"
        first.notes = _summed(first.notes, path)
    return first


def _summed(notes: Sequence[str], path: Path) -> list[str]:
    """Keeps a note that many files share once."""
    texts = dict.fromkeys(note.partition(": ")[2] for note in notes)
    return [f"{path}: {text}" for text in texts]
