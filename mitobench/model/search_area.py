"""Where mitoses are searched for on an image: on its tissue, or where the user says.

Masks have the cells of `slides.tissue`. Outlines that the user draws are exact: a candidate counts if its centre lies
within them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw
from skimage.measure import points_in_poly
from skimage.morphology import dilation, disk

from mitobench import foreign
from mitobench.api import Floats
from mitobench.errors import DataError, counted
from mitobench.foreign.limits import MAX_ANNOTATION_BYTES
from mitobench.model.grid import Cell
from mitobench.slides import tissue
from mitobench.slides.overview import Copies, overview
from mitobench.slides.reader import Image, open_image
from mitobench.slides.tissue import STEP_UM, Tissue

GEOJSON = frozenset({".geojson", ".json"})
MARGIN_UM = 32.0  # mitoses are also searched for this far beside tissue that was found automatically
MAX_FIELD_MM2 = 5.0  # an image of at most this area on which no tissue is found is searched everywhere
MAX_CORNERS = 200_000  # of all outlines of a file together
_DETECTIONS = frozenset({"detection", "cell"})  # QuPath's kinds of objects that are not regions
EVERYWHERE = "no tissue was found, so the whole image was searched"
UNREAD = "parts of the image cannot be decoded at low resolution, so tissue there is unknown"
_MIN_LABEL = 32  # of a mask: compression leaves smaller values where it was 0
_SIMILAR = 0.02  # relative difference of the aspect ratios of an image and its mask

Ring = NDArray[np.float64]
Polygon = tuple[Ring, ...]  # an outline and its holes


@dataclass(frozen=True)
class SearchArea:
    """Where mitoses are searched for.

    Attributes:
        tissue: the tissue there.
        mask: bool [rows, columns], with the cells of `tissue`: where mitoses may lie.
        polygons: outlines, [N, 2] px from the corner of the first pixel; mitoses lie within an odd number of the
            outlines of at least one polygon. None: the mask decides.
        notes: what the user should know about it.
        found: whether tissue was found, or the user said where it is; otherwise it is the whole image, or nothing.
    """

    tissue: Tissue
    mask: NDArray[np.bool_]
    polygons: tuple[Polygon, ...] | None = None
    notes: tuple[str, ...] = ()
    found: bool = True

    def touches(self, cell: Cell, mpp: tuple[float, float]) -> bool:
        """Whether mitoses may lie in the core of a cell."""
        rows, columns = self.mask.shape
        limits = (0.0, 0.0, columns * STEP_UM, rows * STEP_UM)
        um = [(edge + 0.5) * mpp[k % 2] if np.isfinite(edge) else limits[k] for k, edge in enumerate(cell.core)]
        x1, y1, x2, y2 = (int(n / STEP_UM) for n in um)
        return bool(self.mask[max(y1, 0) : y2 + 1, max(x1, 0) : x2 + 1].any())

    def holds(self, xy: Floats, mpp: tuple[float, float]) -> NDArray[np.bool_]:
        """Which centres ([N, 2] px of the image) lie in the area, bool [N]."""
        cell = ((xy + 0.5) * mpp / STEP_UM).astype(int)
        rows, columns = self.mask.shape
        inside: NDArray[np.bool_] = self.mask[cell[:, 1].clip(0, rows - 1), cell[:, 0].clip(0, columns - 1)]
        return inside if self.polygons is None else inside & within_any(self.polygons, xy + 0.5)

    @property
    def digest(self) -> str:
        """SHA-256 of what decides where mitoses are searched for, and to which area they refer."""
        content = hashlib.sha256(json.dumps(self.mask.shape).encode() + np.packbits(self.mask).tobytes())
        content.update(np.packbits(self.tissue.mask).tobytes())
        for polygon in self.polygons or ():
            content.update(b"polygon")
            for ring in polygon:
                content.update(ring.tobytes())
        return content.hexdigest()


def search_area_of(
    image: Image,
    mpp: tuple[float, float],
    tissue_file: Path | None = None,
    roi: Path | None = None,
    copies: Copies | None = None,
) -> SearchArea:
    """Returns where mitoses are searched for on an image.

    Args:
        image: the image.
        mpp: um/px along x and y.
        tissue_file: where tissue is: a mask image (0: none), or GeoJSON with polygons. None: it is found.
        roi: GeoJSON with polygons: only there.
        copies: reduced copies of the image, which others need too.

    Raises DataError if a file cannot be read, or lies outside the image.
    """
    canvas = _Canvas(image.path.name, image.size, mpp)
    area = _found(image, mpp, copies) if tissue_file is None else _given(tissue_file, canvas)
    return area if roi is None else _only(area, _outlined(roi, canvas))


def search_area_of_array(
    size: tuple[int, int], mpp: tuple[float, float], tissue_file: Path | None = None, roi: Path | None = None
) -> SearchArea:
    """Returns where mitoses are searched for on pixels in memory: everywhere, unless the user says where.

    `size` is their width and height, px. The other arguments and the errors are those of `search_area_of`.
    """
    array = _Canvas("the array", size, mpp)
    if tissue_file is not None:
        area = _given(tissue_file, array)
    else:
        columns, rows = tissue.cells(array.extent)
        everywhere = np.ones((rows, columns), dtype=bool)
        area = SearchArea(Tissue(everywhere, STEP_UM, array.extent), everywhere, found=False)
    return area if roi is None else _only(area, _outlined(roi, array))


def check_areas(image: Image, mpp: tuple[float, float], tissue_file: Path | None, roi: Path | None) -> None:
    """Raises DataError as `search_area_of` does for the user's files; reads no pixels of the image."""
    canvas = _Canvas(image.path.name, image.size, mpp)
    if tissue_file is not None:
        _given(tissue_file, canvas)
    if roi is not None:
        _outlined(roi, canvas)


def _found(image: Image, mpp: tuple[float, float], copies: Copies | None) -> SearchArea:
    """Parts that cannot be decoded are searched, so that they are reported, and are not tissue."""
    found, unread = tissue.find_with_unread(image, mpp, copies)
    notes = (UNREAD,) if unread.any() else ()
    if found.mask.any():
        return SearchArea(found, _widened(found) | unread, None, notes)
    width, height = found.extent_um
    if width * height / 1e6 > MAX_FIELD_MM2:
        return SearchArea(found, found.mask | unread, None, notes, found=False)
    everywhere = tissue.everywhere(image, mpp)
    return SearchArea(everywhere, everywhere.mask, None, notes, found=False)


def _widened(found: Tissue) -> NDArray[np.bool_]:
    widened: NDArray[np.bool_] = dilation(found.mask, disk(round(MARGIN_UM / STEP_UM)))
    return widened


def _only(area: SearchArea, roi: SearchArea) -> SearchArea:
    """Returns the part of an area in a region of interest."""
    both, mask = area.tissue.mask & roi.tissue.mask, area.mask & roi.mask
    notes = (*area.notes, "only the region of interest was searched", *roi.notes)
    if not both.any():
        both, mask = roi.tissue.mask, roi.mask
        notes = (*notes, "no tissue was found in the region of interest, so all of it was searched")
    if area.polygons is not None:  # both were drawn: the tissue's outlines decide by cells only
        notes = (*notes, f"the outlines of the tissue are used to {STEP_UM:g} um")
    return SearchArea(replace(area.tissue, mask=both), mask, roi.polygons, notes)


# --------------------------------------------------------------------------------------------------- the user's files


@dataclass(frozen=True)
class _Canvas:
    """What outlines and masks are drawn on: the image's name, its width and height in px, and its um/px."""

    name: str
    size: tuple[int, int]
    mpp: tuple[float, float]

    @property
    def extent(self) -> tuple[float, float]:
        """Its width and height, um."""
        return self.size[0] * self.mpp[0], self.size[1] * self.mpp[1]


def _given(path: Path, canvas: _Canvas) -> SearchArea:
    """Reads where tissue is: outlines or a mask."""
    if path.suffix.lower() in GEOJSON:
        return _outlined(path, canvas)
    mask, notes = _mask(path, canvas)
    return SearchArea(Tissue(mask, STEP_UM, canvas.extent), mask, None, notes)


def _mask(path: Path, canvas: _Canvas) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Reads a mask of any size with the image's form: bool [rows, columns] of the cells of `slides.tissue`; and notes.

    Values below 128 beside larger ones come from compression and smooth edges. Many of them may be labels: a note says
    so.
    """
    with open_image(path) as given:
        width, height = canvas.size
        if abs(given.size[0] / given.size[1] * height / width - 1) > _SIMILAR:
            raise DataError(
                f"{path}: has {given.size[0]} x {given.size[1]} px, which is not the form of {canvas.name} "
                f"({width} x {height} px). Give a mask of the whole image."
            )
        columns, rows = tissue.cells(canvas.extent)
        pixels, _ = overview(given, (min(columns, given.size[0]), min(rows, given.size[1])))
        if given.is_partly_transparent:
            raise DataError(
                f"{path}: is transparent in part, which does not say where tissue is. Save it without transparency, "
                "with 255 where tissue is and 0 elsewhere."
            )
    values = pixels.max(axis=2)
    mask = values >= 128 if values.max(initial=0) >= 128 else values > 0
    ignored = np.mean((values >= _MIN_LABEL) & ~mask)
    note = f"{path.name}: values below 128 are not taken for tissue, as it has larger ones: {ignored:.0%} of the image"
    stretched: NDArray[np.bool_] = mask[np.arange(rows) * mask.shape[0] // rows]
    stretched = stretched[:, np.arange(columns) * mask.shape[1] // columns]
    if not stretched.any():
        raise DataError(f"{path}: is 0 everywhere. Draw the tissue with 255.")
    return stretched, (note,) if ignored >= 0.01 else ()


def _outlined(path: Path, canvas: _Canvas) -> SearchArea:
    """Reads outlines, and returns the area within them. Raises DataError if they lie outside the image.

    Cells whose centres lie within them are tissue. Cells that an outline crosses are searched, too.
    """
    polygons, notes = read_polygons(path)
    _refuse_outside(path, polygons, canvas)
    columns, rows = tissue.cells(canvas.extent)
    in_cells = [[ring * canvas.mpp / STEP_UM for ring in polygon] for polygon in polygons]
    inside = np.zeros((rows, columns), dtype=bool)
    for polygon in in_cells:
        low, high = _limits(polygon)
        x1, y1, x2, y2 = np.array([*np.floor(low), *np.ceil(high)]).clip(0, [columns, rows] * 2).astype(int)
        inside[y1:y2, x1:x2] |= _filled([ring - (x1, y1) for ring in polygon], (y2 - y1, x2 - x1))
    searched = inside | _crossed([ring for polygon in in_cells for ring in polygon], inside.shape)
    # A region that is smaller than a cell may hold no centre of one.
    found = Tissue(inside if inside.any() else searched, STEP_UM, canvas.extent)
    return SearchArea(found, searched, polygons, notes)


def _refuse_outside(path: Path, polygons: Sequence[Polygon], canvas: _Canvas) -> None:
    limits = [_limits(polygon) for polygon in polygons]
    if any((high > 0).all() and (low < canvas.size).all() for low, high in limits):
        return
    low, high = _limits([corner for both in limits for corner in both])
    width, height = canvas.size
    raise DataError(
        f"{path}: lies outside {canvas.name}: its outlines reach from ({low[0]:g}, {low[1]:g}) to "
        f"({high[0]:g}, {high[1]:g}), and the image has {width} x {height} px. Give coordinates in px of the full "
        "resolution."
    )


def _limits(rings: Sequence[Floats]) -> tuple[Floats, Floats]:
    """Returns the least and the greatest x and y of outlines."""
    corners = np.vstack(rings)
    return corners.min(axis=0), corners.max(axis=0)


def _filled(rings: Sequence[Ring], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Which cells have their centre within an odd number of outlines, bool `shape`; outlines are in cells."""
    rows, columns = shape
    crossings = np.zeros((rows, columns + 1), dtype=np.int32)  # of a row and the outlines, by the first cell behind
    for ring in rings:
        edges = np.stack([ring, np.roll(ring, -1, axis=0)])
        start, end = np.take_along_axis(edges, np.argsort(edges[..., 1], axis=0)[..., None], axis=0)
        first, last = (np.ceil(corner[:, 1] - 0.5).clip(0, rows).astype(int) for corner in (start, end))
        count = last - first
        edge = np.repeat(np.arange(len(ring)), count)
        row = np.arange(len(edge)) + np.repeat(first - np.cumsum(count) + count, count)
        (x1, y1), (x2, y2) = start[edge].T, end[edge].T
        x = x1 + (row + 0.5 - y1) * (x2 - x1) / (y2 - y1)
        np.add.at(crossings, (row, np.ceil(x - 0.5).clip(0, columns).astype(int)), 1)
    odd: NDArray[np.bool_] = np.cumsum(crossings, axis=1)[:, :columns] % 2 == 1
    return odd


def _crossed(rings: Sequence[Ring], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Which cells an outline crosses, and their neighbours, bool `shape`; outlines are in cells."""
    canvas = Pillow.new("1", (shape[1] + 2, shape[0] + 2))  # a frame of a cell, as neighbours lie on the image
    draw = ImageDraw.Draw(canvas)
    for ring in rings:
        corners = [tuple(corner) for corner in np.floor(ring + 1).tolist()]
        draw.line([*corners, corners[0]], fill=1)
    crossed: NDArray[np.bool_] = dilation(np.array(canvas), np.ones((3, 3)))[1:-1, 1:-1]
    return crossed


def read_polygons(path: Path) -> tuple[tuple[Polygon, ...], tuple[str, ...]]:
    """Reads all polygons of a GeoJSON file, with a note on what is left out: detections of QuPath, such as our own.

    Raises DataError with file and feature for anything else.
    """
    content = foreign.read_json(path, MAX_ANNOTATION_BYTES, "file of outlines", DataError)
    regions, detections = list[Polygon](), 0
    for number, (geometry, kind) in enumerate(_geometries(content)):
        if kind in _DETECTIONS:
            detections += 1
        else:
            regions += polygons_of(path, number, geometry)
    if not regions:
        only = f" of a region, only {counted(detections, 'detection')}" if detections else ""
        raise DataError(f"{path}: holds no polygon{only}. Draw the region in QuPath, and export it as GeoJSON.")
    if sum(len(ring) for polygon in regions for ring in polygon) > MAX_CORNERS:
        raise DataError(f"{path}: has more than {MAX_CORNERS:,} corners. Simplify the outlines.")
    notes = (f"left out of {path.name}, as it is not the outline of a region: {counted(detections, 'detection')}",)
    return tuple(regions), notes if detections else ()


def _geometries(content: Any, kind: str | None = None) -> Iterator[tuple[Any, str | None]]:
    """Yields the geometries of a collection of features, of one feature, of a list of them, or of a geometry.

    With each comes QuPath's kind of object; None: unknown.
    """
    if isinstance(content, list):
        for one in content:
            yield from _geometries(one, kind)
    elif isinstance(content, dict):
        type_ = content.get("type")
        if type_ == "FeatureCollection":
            yield from _geometries(content.get("features"))
        elif type_ == "Feature":
            properties = content.get("properties")
            own = properties.get("objectType") if isinstance(properties, dict) else None
            yield from _geometries(content.get("geometry"), own if isinstance(own, str) else None)
        elif type_ == "GeometryCollection":
            yield from _geometries(content.get("geometries"), kind)
        else:
            yield content, kind


def polygons_of(path: Path, number: int, geometry: dict[str, Any]) -> Iterator[Polygon]:
    """Yields a polygon or several, px. Raises DataError for any other geometry."""
    where = f"{path}: geometry {number}"
    kind, coordinates = geometry.get("type"), geometry.get("coordinates")
    if kind not in ("Polygon", "MultiPolygon"):
        raise DataError(f"{where}: is a {str(kind)[:40]}, not a polygon. Draw an area.")
    polygons = [coordinates] if kind == "Polygon" else coordinates
    for polygon in polygons if isinstance(polygons, list) else ():
        if isinstance(polygon, list) and polygon:
            yield tuple(_ring(where, ring) for ring in polygon)


def _ring(where: str, ring: Any) -> Ring:
    try:
        corners = np.array([corner[:2] for corner in ring], dtype=np.float64)
    except (TypeError, ValueError, IndexError, OverflowError) as reason:
        raise DataError(f"{where}: its coordinates are not pairs of numbers. Export it again.") from reason
    if corners.ndim != 2 or corners.shape[1:] != (2,) or len(corners) < 3 or not np.abs(corners).max() <= 1e7:
        raise DataError(f"{where}: is not an outline of at least 3 corners in px. Export it again.")
    return corners


def rings_of(path: Path, number: int, geometry: dict[str, Any]) -> Iterator[Ring]:
    """Yields the outlines of a polygon or several, [N, 2] px. Raises DataError for any other geometry."""
    for polygon in polygons_of(path, number, geometry):
        yield from polygon


def within_any(polygons: tuple[Polygon, ...], xy: Floats) -> NDArray[np.bool_]:
    """Which points ([N, 2] px) lie within at least one polygon, bool [N]."""
    inside = np.zeros(len(xy), dtype=bool)
    for polygon in polygons:
        inside |= within(polygon, xy)
    return inside


def within(rings: tuple[Ring, ...], xy: Floats) -> NDArray[np.bool_]:
    """Which points ([N, 2] px) lie within an odd number of outlines, bool [N]."""
    odd = np.zeros(len(xy), dtype=bool)
    for ring in rings:
        odd ^= points_in_poly(xy, ring)
    return odd
