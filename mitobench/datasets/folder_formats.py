"""Annotation files of a folder: one CSV, GeoJSON or COCO file of points or boxes."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mitobench import foreign
from mitobench.datasets.figures import Figure
from mitobench.datasets.folder_settings import FILE, Boxes, FolderSettings
from mitobench.datasets.points import number
from mitobench.errors import DataError
from mitobench.foreign import coco
from mitobench.foreign.boxes import corners
from mitobench.foreign.classes import UNCLASSIFIED, flag, plain
from mitobench.foreign.geojson import features_of, places, properties_of, texts_of
from mitobench.foreign.limits import MAX_LABELS_BYTES

SUFFIXES = (".csv", ".tsv", ".geojson", ".json")
_FRAME = ("image", "frame", "file", "filename", "file_name", "image_name", "image_id", "slide", "case")
_GROUPS = ("patient", "patientid", "case", "caseid", "slide", "slideid", "slidename")  # the largest group first
_CONFIDENCE = ("confidence", "score", "probability")
_CORNERS = (("x1", "y1", "x2", "y2"), ("xmin", "ymin", "xmax", "ymax"), ("left", "top", "right", "bottom"))
_SIZES = (("x", "y", "width", "height"), ("x", "y", "w", "h"))
MAX_GROUP = 200  # letters of the name of a slide


@dataclass
class Annotations:
    """Figures by image (file name, stem, or "" for the only image), and all images that the file lists.

    Attributes:
        figures: the figures by image.
        sizes: where the file says the width and height of an image, and these, px, by image.
        groups: the patient, case or slide of an image, with where the file says so, by image; more than one if it
            contradicts itself.
        grouped_by: the column, property or key that says it; empty if none does.
    """

    figures: dict[str, list[Figure]] = field(default_factory=dict)
    sizes: dict[str, tuple[str, tuple[int, int]]] = field(default_factory=dict)
    groups: dict[str, dict[str, str]] = field(default_factory=dict)
    grouped_by: str = ""

    def add(self, image: str, figure: Figure | None) -> None:
        """Lists an image, with a figure unless it is None."""
        self.figures.setdefault(image, []).extend([figure] if figure else [])

    def add_group(self, image: str, group: object, where: str) -> None:
        """Notes the patient, case or slide of an image, unless it is empty."""
        if self.grouped_by and group not in (None, ""):
            self.groups.setdefault(image, {}).setdefault(foreign.printable(group, MAX_GROUP), where)


def _group_key(names: Iterable[str], image: str = "") -> str:
    """The key of the largest group of images: patient, case or slide; empty without one. `image`: that of the image."""
    named = {plain(name): name for name in names if name != image}
    return next((named[group] for group in _GROUPS if group in named), "")


def read_annotations(
    path: Path, settings: FolderSettings, sizes: Mapping[str, tuple[int, int]], images: Path | None = None
) -> Annotations:
    """Reads an annotation file; its kind is recognised by its content.

    Args:
        path: the file.
        settings: what `dataset.toml` says.
        sizes: width and height by image file name, px, against which boxes are checked.
        images: the COCO file that says which image an `image_id` means, for a list of COCO results.

    Raises DataError with file and line or entry for what cannot be read, and for what could mean two things.
    """
    if path.suffix.lower() in (".csv", ".tsv"):
        _refuse_images(path, images)
        return _csv(path, settings)
    content = foreign.read_json(path, MAX_LABELS_BYTES, "annotation file", DataError)
    if coco.is_results(content):
        return _coco_results(path, content, settings, sizes, images)
    _refuse_images(path, images)
    if isinstance(content, dict) and {"images", "annotations"} <= set(content):
        return _coco(path, path, content, settings, sizes)
    if isinstance(content, list) or (isinstance(content, dict) and {"features", "geometry"} & set(content)):
        return _geojson(path, features_of(content, str(path), DataError), settings)
    raise DataError(f"{path}: is neither GeoJSON nor COCO. Export the annotation in one of these, or as CSV.")


def _refuse_images(path: Path, images: Path | None) -> None:
    """Raises DataError if a file that names its own images is given a file of images."""
    if images is not None:
        raise DataError(
            f"{path}: names its images itself, so images = {images.name!r} in {FILE} has no use. Only a list of COCO "
            "results needs it. Remove the line."
        )


# ------------------------------------------------------------------------------------------------------ CSV


def _csv(path: Path, settings: FolderSettings) -> Annotations:
    text = foreign.read_text(path, MAX_LABELS_BYTES, "annotation file", DataError, "utf-8-sig")
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    written = [cell.strip() for cell in next(rows, [])]
    header = [cell.lower() for cell in written]
    columns = _columns(path, header, settings)
    lines: list[tuple[str, list[str]]] = []
    for cells in rows:
        where = f"{path}:{rows.line_num}"
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(header):
            raise DataError(f"{where}: {len(cells)} columns; the header has {len(header)}. Correct the line.")
        lines.append((where, [cell.strip() for cell in cells]))
    found = Annotations(grouped_by=columns.group)
    read = [(where, dict(zip(header, cells, strict=True))) for where, cells in lines]
    label = _label(path, written, columns, [row for _, row in read], settings)
    for where, row in read:
        image = row[columns.frame] if columns.frame else ""
        found.add(image, _row(row, columns, label, settings, where, delimiter))
        found.add_group(image, row.get(columns.group), where)
    return found


@dataclass(frozen=True)
class _Columns:
    frame: str
    group: str
    numbers: Sequence[str]
    confidence: str


def _label(
    path: Path, written: Sequence[str], columns: _Columns, rows: Sequence[Mapping[str, str]], settings: FolderSettings
) -> str:
    """The column of the classes, in lower case; empty if there is none. Lines without a point do not count."""
    annotated = [row for row in rows if any(row[name] for name in columns.numbers)]
    boxes = {name for names in (*_CORNERS, *_SIZES) for name in names}
    used = {*_FRAME, *_CONFIDENCE, *columns.numbers, *boxes, columns.group}
    free = {name: [row[name.lower()] for row in annotated] for name in written if name.lower() not in used}
    return (settings.column_of_classes(free, path) or "").lower()


def _columns(path: Path, header: Sequence[str], settings: FolderSettings) -> _Columns:
    def first(names: Sequence[str]) -> str:
        return next((name for name in names if name in header), "")

    twice = next((name for name in header if header.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{path}:1: the column {twice!r} occurs twice. Rename one of them.")
    of_corners = next((names for names in _CORNERS if set(names) <= set(header)), None)
    sizes = next((names for names in _SIZES if set(names) <= set(header)), None)
    numbers = of_corners or sizes or ("x", "y")
    if not set(numbers) <= set(header):
        raise DataError(f"{path}:1: has no columns x,y or x1,y1,x2,y2. Its header is {','.join(header)[:120]!r}.")
    if sizes and not of_corners and settings.boxes not in ("xywh", "centre"):
        raise DataError(
            f'{path}:1: x,y may be the upper left corner of a box or its centre. Write in {FILE}: boxes = "xywh" or '
            'boxes = "centre".'
        )
    frame = first(_FRAME)
    return _Columns(frame, _group_key(header, frame) if frame else "", numbers, first(_CONFIDENCE))


def _row(
    row: Mapping[str, str], columns: _Columns, label: str, settings: FolderSettings, where: str, delimiter: str
) -> Figure | None:
    cells = [row[name] for name in columns.numbers]
    if not any(cells):
        return None  # an image that was searched, and has no figure
    is_mitosis = settings.is_mitosis(flag(label, row[label]), where) if label else True
    if is_mitosis is None:
        return None
    decimal_comma = delimiter != ","
    values = [number(cell.replace(",", ".") if decimal_comma else cell, where) for cell in cells]
    text = row[columns.confidence] if columns.confidence else ""
    confidence = number(text, where) if text else None
    if confidence is not None and not 0 <= confidence <= 1:
        raise DataError(f"{where}: the confidence {confidence:g} is outside 0-1. Correct it.")
    boxes: Boxes = settings.boxes or ("xywh" if "x" in columns.numbers else "corners")
    x, y = _centre(values, boxes, where)
    return Figure(x, y, is_mitosis, confidence, where)


def _centre(values: Sequence[float], boxes: Boxes, where: str) -> tuple[float, float]:
    """The centre of a point or box, px."""
    if len(values) == 2 or boxes == "centre":
        return values[0], values[1]
    x, y, a, b = values
    if boxes == "corners":
        if a <= x or b <= y:
            raise DataError(
                f"{where}: box {x:g},{y:g},{a:g},{b:g} has a corner before its first one. If these are x, y, width and "
                f'height, write in {FILE}: boxes = "xywh".'
            )
    elif a <= 0 or b <= 0:
        raise DataError(f"{where}: a box of width {a:g} and height {b:g} px. Correct it.")
    x1, y1, x2, y2 = values if boxes == "corners" else corners(x, y, a, b)
    return (x1 + x2) / 2, (y1 + y2) / 2


# ------------------------------------------------------------------------------------------------- GeoJSON


def _geojson(path: Path, features: Sequence[Mapping[str, Any]], settings: FolderSettings) -> Annotations:
    """Reads QuPath's export, whose coordinates count from the upper left corner of the first pixel."""
    found = Annotations()
    own = path.name.removesuffix(path.suffix)
    places_of = [f"{path}: features[{position}]" for position in range(len(features))]
    given = [properties_of(feature, where, DataError) for where, feature in zip(places_of, features, strict=True)]
    images = [_image_of(properties) for properties in given]
    found.add(own, None) if not any(images) else None
    found.grouped_by = _group_key(dict.fromkeys(name for properties in given for name in properties))
    unused = (*_FRAME, *_CONFIDENCE, found.grouped_by)
    described = [texts_of(one, unused, where, DataError) for where, one in zip(places_of, given, strict=True)]
    names = dict.fromkeys(name for one in described for name in one)
    column = settings.column_of_classes({name: [one.get(name, "") for one in described] for name in names}, path)
    for where, feature, image, texts, properties in zip(places_of, features, images, described, given, strict=True):
        found.add_group(image or own, properties.get(found.grouped_by), where)
        is_mitosis: bool | None = True
        if column is not None:
            label = flag(column, texts.get(column, "")) or UNCLASSIFIED
            is_mitosis = settings.is_mitosis(label, where)
        if is_mitosis is None:
            continue
        for x, y in places(feature.get("geometry"), where, DataError):
            found.add(image or own, Figure(x - 0.5, y - 0.5, is_mitosis, None, where))
    return found


def _image_of(properties: Mapping[str, Any]) -> str:
    return next((str(properties[key]) for key in _FRAME[:6] if properties.get(key)), "")


# ---------------------------------------------------------------------------------------------------- COCO


def _coco_results(
    path: Path, results: Any, settings: FolderSettings, sizes: Mapping[str, tuple[int, int]], images: Path | None
) -> Annotations:
    """Reads a list of results. Without a file of images, their `image_id` must be file names."""
    if images is not None:
        listing = coco.read_images(images, DataError)
        return _coco(path, images, {**listing, "annotations": results}, settings, sizes)
    names: dict[coco.Id, None] = {}
    for where, result in coco.entries(path, {"annotations": results}, "annotations", DataError):
        name = coco.id_of(where, result, "image_id", DataError)
        if isinstance(name, int):
            raise DataError(
                f"{where}: image_id {name} is a number, and the file does not say which image it means. Put the COCO "
                f'file that lists the images into the folder, and write its name in {FILE}: images = "NAME.json"'
            )
        names[name] = None
    listed = [{"id": name, "file_name": name} for name in names]
    return _coco(path, path, {"images": listed, "annotations": results}, settings, sizes)


def _coco(
    path: Path,
    listing: Path,
    content: Mapping[str, Any],
    settings: FolderSettings,
    sizes: Mapping[str, tuple[int, int]],
) -> Annotations:
    """Reads COCO annotations of `path`. `listing` is the file that `images` and `categories` are from."""
    images = coco.texts_by_id(listing, content, "images", "file_name", DataError)
    categories = coco.texts_by_id(listing, content, "categories", "name", DataError)
    listed = coco.entries(listing, content, "images", DataError)
    found = Annotations(grouped_by=_group_key(dict.fromkeys(key for _, entry in listed for key in entry)))
    for (where, entry), name in zip(listed, images.values(), strict=True):
        if name in found.figures:
            raise DataError(f"{where}: {foreign.printable(name, 60)} is listed twice. Keep one entry.")
        found.add(name, None)
        found.add_group(name, entry.get(found.grouped_by), where)
        size = _coco_size(where, entry)
        if size is not None:
            found.sizes[name] = (where, size)
    entries = coco.entries(path, content, "annotations", DataError)
    boxes = [(where, *_coco_box(where, entry, images)) for where, entry in entries]
    if settings.boxes is None:
        _refuse_corners(path, boxes, {Path(name).name: size for name, size in sizes.items()})
    described = [_coco_texts(where, entry, categories) for where, entry in entries]
    names = dict.fromkeys(name for one in described for name in one)
    column = settings.column_of_classes({name: [one.get(name, "") for one in described] for name in names}, path)
    for (where, image, box), texts, (_, entry) in zip(boxes, described, entries, strict=True):
        label = flag(column, texts.get(column, "")) if column else ""
        is_mitosis = settings.is_mitosis(label or UNCLASSIFIED, where) if column else True
        if is_mitosis is not None:
            x, y = _centre(box, settings.boxes or "xywh", where)
            found.add(image, Figure(x, y, is_mitosis, _coco_confidence(where, entry), where))
    return found


def _coco_size(where: str, image: Mapping[str, Any]) -> tuple[int, int] | None:
    """Returns width and height of an image; None if the file does not have them."""
    width, height = image.get("width"), image.get("height")
    if width is None and height is None:
        return None
    if type(width) is not int or type(height) is not int:
        raise DataError(f"{where}: width and height must be whole numbers, not {width!r:.30} and {height!r:.30}.")
    return width, height


def _coco_texts(where: str, entry: Mapping[str, Any], categories: Mapping[coco.Id, str]) -> dict[str, str]:
    """The keys of an annotation that may hold a class, as texts; a category by its name, if the file has names."""
    unused = ("id", "image_id", "area", "iscrowd", *_CONFIDENCE)
    texts = {key: str(value) for key, value in entry.items() if isinstance(value, (str, int)) and key not in unused}
    category = coco.id_of(where, entry, "category_id", DataError)
    if categories and category not in categories:
        raise DataError(f"{where}: category_id {category!r:.40} is not in `categories`. Correct it.")
    return {**texts, "category_id": categories.get(category, str(category))}


def _coco_confidence(where: str, entry: Mapping[str, Any]) -> float | None:
    """The confidence of an annotation; None if it has none."""
    value = next((entry[key] for key in _CONFIDENCE if entry.get(key) is not None), None)
    if value is not None and not (type(value) in (int, float) and 0 <= value <= 1):
        raise DataError(f"{where}: the confidence {value!r:.40} is not a number within 0-1. Correct it.")
    return value


def _coco_box(where: str, entry: Mapping[str, Any], images: Mapping[coco.Id, str]) -> tuple[str, list[float]]:
    box = coco.box_of(where, entry, "x, y, width, height", DataError)
    image = coco.id_of(where, entry, "image_id", DataError)
    if image not in images:
        raise DataError(f"{where}: image_id {image!r:.40} is not in `images`. Correct it.")
    return images[image], box


def _refuse_corners(
    path: Path, boxes: Sequence[tuple[str, str, list[float]]], sizes: Mapping[str, tuple[int, int]]
) -> None:
    """Raises DataError if most boxes leave their image as x, y, width, height and fit as two corners."""
    known = [(box, sizes[Path(image).name]) for _, image, box in boxes if Path(image).name in sizes]
    leaving = sum(x + w > size[0] + 1 or y + h > size[1] + 1 for (x, y, w, h), size in known)
    fitting = sum(x < w and y < h for (x, y, w, h), _ in known)
    if known and 2 * leaving > len(known) and fitting == len(known):
        raise DataError(
            f"{path}: {leaving} of {len(known)} boxes leave their image if read as x, y, width, height, as in COCO; "
            f'all fit as xmin, ymin, xmax, ymax, as in MIDOG. If that is so, write in {FILE}: boxes = "corners".'
        )
