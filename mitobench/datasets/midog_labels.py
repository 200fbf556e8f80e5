"""The two label files of the MIDOG layout: the JSON of boxes for all images, and the table of their domains."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from mitobench import foreign
from mitobench.datasets.files import IMAGE_SUFFIXES
from mitobench.errors import DataError
from mitobench.foreign import coco
from mitobench.foreign.limits import MAX_ANNOTATION_BYTES, MAX_LABELS_BYTES

TABLE = "datasets_xvalidation.csv"
COLUMNS = ("slide", "dataset", "tumor", "scanner", "origin", "species")
MITOTIC, NOT_MITOTIC = {"mitotic figure", "mitosis"}, {"not mitotic figure", "non-mitotic figure", "hard negative"}
_PARTS = {"train": "train", "training": "train", "test": "test"}
_SPELLINGS = {"hamammatsu": "hamamatsu", "canine lymphoma": "canine lymphosarcoma", "tumour": "tumor"}


def slide_of(name: str) -> str:
    """The name of a slide: `1`, `001` and `001.TIFF` are all `001`. Another name stays, without its suffix."""
    stem = Path(name).stem if Path(name).suffix.lower() in IMAGE_SUFFIXES else name
    return f"{int(stem):03d}" if stem.isdecimal() and stem.isascii() else stem


# ------------------------------------------------------------------------------------------------- the JSON


@dataclass(frozen=True)
class Entry:
    """One image of the JSON."""

    slide: str
    size: tuple[int, int]
    tumour: str
    where: str
    extra: Mapping[str, str]
    labelled: bool | None
    boxes: list[Mapping[str, Any]] = field(default_factory=list)


def read_entries(path: Path) -> tuple[dict[str, Entry], dict[coco.Id, bool]]:
    """Reads the images with their boxes by slide, and whether each category is a mitosis.

    Raises DataError naming the file and the image or annotation that is wrong.
    """
    content = foreign.read_json(path, MAX_LABELS_BYTES, "label file", DataError)
    keys = ("images", "annotations", "categories")
    if not isinstance(content, dict) or any(not isinstance(content.get(key), list) for key in keys):
        raise DataError(f"{path}: is not a MIDOG label file. Expected the lists {', '.join(keys)}.")
    foreign.check_version(path, content, "label file", DataError)
    categories: dict[coco.Id, bool] = {}
    for where, category in coco.entries(path, content, "categories", DataError):
        id, is_mitosis = _category(where, category)
        if categories.setdefault(id, is_mitosis) != is_mitosis:
            raise DataError(f"{where}: the id {id!r} occurs twice. Give each category its own.")
    entries: dict[Any, Entry] = {}
    for number, image in enumerate(content["images"]):
        entry = _entry(f"{path}: images[{number}]", image)
        if image["id"] in entries:
            raise DataError(f"{path}: images[{number}]: the id {image['id']!r} occurs twice. Give each image its own.")
        entries[image["id"]] = entry
    for number, annotation in enumerate(content["annotations"]):
        where = f"{path}: annotations[{number}]"
        _check_annotation(where, annotation, entries, categories)
        entries[annotation["image_id"]].boxes.append({**annotation, "where": where})
    _refuse_widths(path, list(entries.values()))
    slides = Counter(entry.slide for entry in entries.values())
    twice = [slide for slide, count in slides.items() if count > 1]
    if twice:
        raise DataError(f"{path}: the image {twice[0]} is listed {slides[twice[0]]} times. Keep one entry.")
    return {entry.slide: entry for entry in entries.values()}, categories


def _category(where: str, entry: Mapping[str, Any]) -> tuple[coco.Id, bool]:
    name = str(entry.get("name", "")).lower().strip()
    if name not in MITOTIC | NOT_MITOTIC:
        known = ", ".join(sorted(MITOTIC | NOT_MITOTIC))
        raise DataError(
            f"{where}: unknown category {foreign.printable(repr(entry), 80)}. Its name must be one of: {known}."
        )
    return coco.id_of(where, entry, "id", DataError), name in MITOTIC


def _entry(where: str, image: Any) -> Entry:
    try:
        size = (int(image["width"]), int(image["height"]))
        name, _ = image["file_name"], image["id"]
    except (KeyError, TypeError, ValueError) as reason:
        raise DataError(f"{where}: needs id, file_name, width and height ({reason}). Correct the entry.") from reason
    coco.id_of(where, image, "id", DataError)
    if not isinstance(name, str) or not name:
        raise DataError(f"{where}: `file_name` must be a text, not {foreign.printable(repr(name), 40)}. Correct it.")
    if min(size) < 1:
        raise DataError(f"{where}: {size[0]} x {size[1]} px is not the size of an image. Correct the entry.")
    extra = {key: str(image[key]) for key in ("scanner", "lab", "species", "region") if image.get(key)}
    labelled = image.get("labelled")
    if not (labelled is None or isinstance(labelled, bool)):
        raise DataError(
            f"{where}: `labelled` must be true or false, not {foreign.printable(repr(labelled), 40)}. Correct it."
        )
    return Entry(slide_of(name), size, str(image.get("tumor_type") or ""), where, extra, labelled)


def _check_annotation(
    where: str, annotation: Any, entries: Mapping[Any, Entry], categories: Mapping[coco.Id, bool]
) -> None:
    box = annotation.get("bbox") if isinstance(annotation, dict) else None
    if not (isinstance(box, list) and len(box) == 4 and all(type(v) in (int, float) for v in box)):
        raise DataError(f"{where}: `bbox` must be four numbers, xmin, ymin, xmax, ymax in px. Correct it.")
    for key, known in (("image_id", entries), ("category_id", categories)):
        if not isinstance(annotation.get(key), (int, str)) or annotation[key] not in known:
            raise DataError(f"{where}: {key} {annotation.get(key)!r} is not listed in the file. Correct it.")
    _check_votes(where, annotation.get("labels"), categories)


def _check_votes(where: str, votes: Any, categories: Mapping[coco.Id, bool]) -> None:
    """Raises DataError if the raters' votes are not a list of ids of categories. An annotation may have no votes."""
    if votes is None:
        return
    if not isinstance(votes, list):
        shown = foreign.printable(repr(votes), 40)
        raise DataError(f"{where}: `labels` must be a list with the category that each rater chose, not {shown}.")
    for vote in votes:
        if type(vote) not in (int, str) or vote not in categories:
            shown = foreign.printable(repr(vote), 40)
            raise DataError(f"{where}: `labels` has {shown}, which is not the id of a category. Correct it.")


def _refuse_widths(path: Path, entries: Iterable[Entry]) -> None:
    """Raises DataError if the boxes seem to be x, y, width and height."""
    boxes = [box for entry in entries for box in entry.boxes]
    flipped = [box for box in boxes if box["bbox"][2] <= box["bbox"][0] or box["bbox"][3] <= box["bbox"][1]]
    if not flipped:
        return
    hint = ""
    if 2 * len(flipped) > len(boxes):
        hint = " It seems to have x, y, width, height, as COCO files do: read it as data set `folder`, or convert it."
    raise DataError(
        f"{flipped[0]['where']}: bbox {flipped[0]['bbox']} has a corner before its first one; so have {len(flipped)} "
        f"of {len(boxes)} boxes. MIDOG boxes are xmin, ymin, xmax, ymax.{hint}"
    )


# ------------------------------------------------------------------------------------------------ the table


@dataclass(frozen=True)
class Row:
    """What the table says about one slide."""

    part: str | None
    domains: Mapping[str, str]


def read_table(path: Path, notes: list[str]) -> dict[str, Row]:
    """Reads `datasets_xvalidation.csv` by slide: `Slide;Dataset;Tumor;Scanner;Origin;Species`.

    Notes spellings that differ from the usual ones. Raises DataError with file and line.
    """
    text = foreign.read_text(path, MAX_ANNOTATION_BYTES, "table of slides", DataError, "utf-8-sig")
    lines = csv.reader(io.StringIO(text), delimiter=";")
    header = [cell.strip().lower() for cell in next(lines, [])]
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise DataError(f"{path}:1: has no column {missing[0]!r}. Expected {';'.join(map(str.title, COLUMNS))}.")
    rows: dict[str, Row] = {}
    spellings: Counter[tuple[str, str]] = Counter()
    for line, cells in enumerate(lines, start=2):
        if not any(cells):
            continue
        if len(cells) != len(header):
            raise DataError(f"{path}:{line}: {len(cells)} columns; the header has {len(header)}. Correct the line.")
        row = dict(zip(header, (cell.strip() for cell in cells), strict=True))
        slide = slide_of(row["slide"])
        if slide in rows:
            raise DataError(f"{path}:{line}: slide {slide} occurs twice. Keep one line.")
        if row["dataset"].lower() not in _PARTS:
            raise DataError(f"{path}:{line}: {row['dataset']!r} is not a part. Expected train or test.")
        spellings.update((row[name], spelled(row[name])) for name in ("tumor", "scanner"))
        domains = {"tumour": row["tumor"], "scanner": row["scanner"], "lab": row["origin"], "species": row["species"]}
        rows[slide] = Row(_PARTS[row["dataset"].lower()], {key: normal(key, value) for key, value in domains.items()})
    for (written, usual), count in sorted(spellings.items()):
        if written.lower() != usual.lower():
            notes.append(f"{path}: {count} slides have {written!r}, which is read as {usual!r}")
    return rows


def spelled(text: str) -> str:
    """Returns the usual spelling of a tumour type or scanner."""
    for wrong, right in _SPELLINGS.items():
        text = re.sub(re.escape(wrong), partial(_in_case, right), text, flags=re.IGNORECASE)
    return text


def _in_case(word: str, found: re.Match[str]) -> str:
    return word.capitalize() if found[0][0].isupper() else word


def normal(name: str, value: str) -> str:
    """Returns the usual form of a domain's value: `Canine` and `canine` are the same."""
    value = " ".join(spelled(value).split())
    return value.lower() if name in ("species", "tumour", "region") else value


def short(scanner: str) -> str:
    """Returns the short name of a scanner, for `--scanner`: `hamamatsu-xr` for `Hamamatsu XR`."""
    return re.sub(r"[^a-z0-9]+", "-", scanner.lower()).strip("-") or "unknown"
