"""Turns GeoJSON that was corrected in QuPath into a data set of the layout `folder`: images and `annotations.csv`."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw

from mitobench import foreign
from mitobench.atomic import atomic_folder
from mitobench.datasets.folder_settings import FILE, IMPOSTER, MITOSIS
from mitobench.errors import DataError, MitobenchError, as_text, counted
from mitobench.foreign.geojson import places, texts_of
from mitobench.foreign.limits import MAX_LABELS_BYTES, MAX_PIXELS
from mitobench.model import inputs
from mitobench.model.corrected_files import Pair
from mitobench.model.outputs import CANDIDATE
from mitobench.model.search_area import Ring, rings_of, within
from mitobench.slides.reader import Image, open_image
from mitobench.slides.reader.resolution import UM_PER_CM

ANNOTATIONS = "annotations.csv"
HOT_SPOT = "hot spot"  # class of annotations that `predict` writes; not a region unless it is asked for
COLOUR_OUTSIDE = 255
MIN_SIDE_PX = 64  # of a region
WITHOUT_FIGURES = (
    "warning: has no mitosis and no imposter. Its image is now labelled as free of mitoses: if it has some, label "
    "them, and make the data set again."
)


@dataclass(frozen=True)
class Classes:
    """What the classes of objects mean, in any letter case, beside the names that `dataset.toml` knows.

    Attributes:
        mitosis, imposter: further names of mitoses, and of figures that are not mitoses.
        ignore: names of objects that mean nothing.
        region: names of annotations that limit the labelled area; empty: every annotation of another class, and those
            without a class.
    """

    mitosis: tuple[str, ...] = ()
    imposter: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    region: tuple[str, ...] = ()


@dataclass(frozen=True)
class Corrections:
    """What a corrected file says about an image.

    Attributes:
        xy: centres of the figures, [N, 2] px; whole numbers are the centres of pixels.
        is_mitosis: bool [N].
        regions: outlines of each region, px from the corner of the first pixel; none: the whole image is labelled.
    """

    xy: NDArray[np.float64]
    is_mitosis: NDArray[np.bool_]
    regions: tuple[tuple[Ring, ...], ...]


@dataclass(frozen=True)
class Written:
    """What was written. `notes` name what was left out."""

    images: int
    mitoses: int
    imposters: int
    notes: tuple[str, ...]


def write_dataset(
    pairs: Sequence[Pair],
    out: Path,
    mpp: float | None = None,
    classes: Classes = Classes(),
) -> Written:
    """Writes a data set of corrected images: each region, or each whole image without regions, is an image of it.

    Args:
        pairs: GeoJSON files with their images.
        out: folder to create.
        mpp: um/px of the images; None: that of each file.
        classes: what the classes of the objects mean.

    Beside a region that is not a rectangle, its image is white, so that nothing outside is taken for labelled. Raises
    DataError for files that cannot be read or have unknown classes, and MitobenchError if `out` exists.
    """
    if out.exists():
        raise MitobenchError(f"{out}: exists already. Give another folder with --out.")
    rows: list[tuple[str, str, str, str]] = []
    notes: list[str] = []
    try:
        with atomic_folder(out) as folder:
            for name, pair in zip(inputs.names([pair.image for pair in pairs]), pairs, strict=True):
                geojson, path, page = pair
                with open_image(path, page) as image:
                    resolution, odd = inputs.resolution(image, mpp)
                    notes += [f"{path}: {note}" for note in odd]
                    corrections = read_corrections(geojson, classes, page)
                    if not len(corrections.xy):
                        notes.append(f"{geojson}: {WITHOUT_FIGURES}")
                    rows += _write_image(folder / as_text(name), image, resolution, corrections, notes)
            (folder / ANNOTATIONS).write_text(_csv(rows), encoding="utf-8")
            (folder / FILE).write_text(_settings(out, pairs), encoding="utf-8")
    except OSError as reason:
        raise MitobenchError(
            f"{out}: cannot be written: {reason.strerror or reason}. Fix this, or give another folder with --out."
        ) from reason
    labels = Counter(row[3] for row in rows)
    return Written(len({row[0] for row in rows}), labels["mitosis"], labels["imposter"], tuple(notes))


def read_corrections(path: Path, classes: Classes = Classes(), page: int | None = None) -> Corrections:
    """Reads a GeoJSON file that QuPath exported, or that `predict` wrote.

    Points and detections of the class Mitosis are mitoses; Candidate and the names of imposters in `dataset.toml` are
    imposters. Annotations of other classes, or without one, are regions. Raises DataError with the feature for
    anything else, and for an object that QuPath has on another plane than that of the page.
    """
    content = foreign.read_json(path, MAX_LABELS_BYTES, "GeoJSON file", DataError)
    features = content.get("features", [content]) if isinstance(content, dict) else content
    if not isinstance(features, list):
        raise DataError(f"{path}: is not GeoJSON. Export the objects from QuPath: File > Export objects as GeoJSON.")
    figures: list[tuple[float, float, bool]] = []
    regions: list[tuple[Ring, ...]] = []
    for number, feature in enumerate(features):
        where = f"{path}: features[{number}]"
        kind = _kind(feature, where, classes)
        if kind is not None and page is not None:
            _check_plane(feature["geometry"].get("plane"), where, page)
        if kind == "region":
            regions.append(_region(path, number, feature["geometry"]))
        elif kind is not None:
            figures += [(x, y, kind == "mitosis") for x, y in places(feature["geometry"], where, DataError)]
    table = np.array(figures, dtype=np.float64).reshape(-1, 3)
    return Corrections(table[:, :2] - 0.5, table[:, 2].astype(bool), tuple(regions))


def _check_plane(plane: Any, where: str, page: int) -> None:
    """Raises DataError for an object on another plane of a stack. What was imported into QuPath is on the first one."""
    z = plane.get("z") if isinstance(plane, dict) else None
    if isinstance(z, int) and z not in (0, page - 1):
        raise DataError(
            f"{where}: is on plane {z + 1} of the stack, and page {page} is read. Remove it, or give --page."
        )


def _region(path: Path, number: int, geometry: dict[str, Any]) -> tuple[Ring, ...]:
    rings = tuple(rings_of(path, number, geometry))
    if not rings:
        raise DataError(f"{path}: features[{number}]: is an area without corners. Remove it, or draw it again.")
    return rings


def _kind(feature: Any, where: str, classes: Classes) -> str | None:
    """What an object is: `mitosis`, `imposter` or `region`; None: nothing."""
    properties = feature.get("properties") if isinstance(feature, dict) else None
    if not isinstance(properties, dict) or not isinstance(feature.get("geometry"), dict):
        raise DataError(f"{where}: is not an object of QuPath. Export it again.")
    name = texts_of(properties, (), where, DataError).get("classification")
    label = " ".join(str(name or "").lower().replace("_", " ").split())
    known = (
        ("region", classes.region),
        ("mitosis", (*MITOSIS, *classes.mitosis)),
        ("imposter", (*IMPOSTER, CANDIDATE, *classes.imposter)),
        (None, classes.ignore),
    )
    for kind, names in known:
        if label in {other.lower() for other in names}:
            return kind
    if properties.get("objectType") == "annotation":
        return None if classes.region or label == HOT_SPOT else "region"
    text = f"has the class {foreign.printable(repr(label), 60)}" if label else "has no class"
    raise DataError(
        f"{where}: {text}. Give it a class in QuPath, Mitosis or Non-mitosis, or say what it is with --mitosis, "
        "--imposter or --ignore."
    )


def _write_image(
    folder: Path, image: Image, mpp: tuple[float, float], corrections: Corrections, notes: list[str]
) -> list[tuple[str, str, str, str]]:
    """Writes the regions of an image as TIFF files; returns the rows of the annotation: image, x, y, class."""
    folder.mkdir()
    width, height = image.size
    everything = np.array([[0.0, 0.0], [width, 0], [width, height], [0, height]])
    rows, labelled = [], np.zeros(len(corrections.xy), dtype=int)
    for number, rings in enumerate(corrections.regions or ((everything,),), 1):
        name = f"{folder.name}-{number}.tif"
        box = _box(image, rings, number)
        _save(folder / name, _pixels(image, box, rings), mpp)
        inside = within(rings, corrections.xy + 0.5)
        labelled += inside
        rows.append((f"{folder.name}/{name}", "", "", ""))  # it was searched, also if it has no figure
        for (x, y), is_mitosis in zip(corrections.xy[inside].tolist(), corrections.is_mitosis[inside], strict=True):
            place = (f"{x - box[0]:.2f}", f"{y - box[1]:.2f}")
            rows.append((f"{folder.name}/{name}", *place, "mitosis" if is_mitosis else "imposter"))
    outside, repeated = int((labelled == 0).sum()), int((labelled > 1).sum())
    if outside:
        notes.append(
            f"{image.path}: {counted(outside, 'figure')} outside the regions {'is' if outside == 1 else 'are'} left out"
        )
    if repeated:
        notes.append(
            f"{image.path}: regions overlap: what lies in several counts in each ({counted(repeated, 'figure')})"
        )
    return rows


def _box(image: Image, rings: tuple[Ring, ...], number: int) -> tuple[int, int, int, int]:
    """The smallest rectangle around a region within the image: x1, y1, x2, y2, px."""
    corners = np.concatenate(rings)
    low = np.maximum(np.floor(corners.min(axis=0)), 0).astype(int)
    high = np.minimum(np.ceil(corners.max(axis=0)), image.size).astype(int)
    side = high - low
    if min(side) < MIN_SIDE_PX:
        raise DataError(
            f"{image.path}: region {number} has {max(side[0], 0)} x {max(side[1], 0)} px on the image; a region needs "
            f"at least {MIN_SIDE_PX}. Give a small object a class, or remove it."
        )
    if side[0] * side[1] > MAX_PIXELS:
        raise DataError(
            f"{image.path}: {side[0]} x {side[1]} px would be one image of the data set; the limit is {MAX_PIXELS:,} "
            "px. Draw annotations around smaller regions in which every mitosis is labelled."
        )
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _pixels(image: Image, box: tuple[int, int, int, int], rings: tuple[Ring, ...]) -> NDArray[np.uint8]:
    x1, y1, x2, y2 = box
    pixels = image.region(x1, y1, x2 - x1, y2 - y1)
    inside = np.zeros(pixels.shape[:2], dtype=bool)
    for ring in rings:
        canvas = Pillow.new("1", (x2 - x1, y2 - y1))
        ImageDraw.Draw(canvas).polygon([tuple(corner) for corner in (ring - (x1, y1) - 0.5).tolist()], fill=1)
        inside ^= np.array(canvas)
    if not inside.all():
        pixels = pixels.copy()
        pixels[~inside] = COLOUR_OUTSIDE
    return pixels


def _save(path: Path, pixels: NDArray[np.uint8], mpp: tuple[float, float]) -> None:
    """Writes a TIFF file with um/px in its tags."""
    x, y = (UM_PER_CM / value for value in mpp)
    Pillow.fromarray(pixels).save(
        path, "tiff", compression="tiff_adobe_deflate", resolution_unit=3, x_resolution=x, y_resolution=y
    )


def _csv(rows: Sequence[tuple[str, str, str, str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("image", "x", "y", "class"))
    writer.writerows(rows)
    return text.getvalue()


def _settings(out: Path, pairs: Sequence[Pair]) -> str:
    sources = [
        f"# {as_text(geojson.name)!a} of {as_text(path.name)!a}{f', page {page}' if page else ''}"
        for geojson, path, page in pairs
    ]
    lines = [
        "# Written by: mitobench data from-geojson",
        *sources,
        f"title = {json.dumps(as_text(out.resolve().name))}",
        f"annotations = {json.dumps(ANNOTATIONS)}",
        'mitosis = ["mitosis"]',
        'imposter = ["imposter"]',
        "radius_um = 7.5  # a detection closer than this to a mitosis is a hit",
    ]
    return "\n".join(lines) + "\n"
