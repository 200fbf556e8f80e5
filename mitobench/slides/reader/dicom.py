"""DICOM whole slides: which files belong to one slide; and those that OpenSlide does not open.

pydicom reads the latter: one file, 8-bit RGB, all tiles in order.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from mitobench.errors import DataError
from mitobench.foreign import check_regular, open_regular
from mitobench.foreign.limits import MAX_IMAGE_BYTES, MAX_PIXELS, MAX_SEGMENTS, MAX_SLIDE_PIXELS
from mitobench.slides.reader import optional, resolution
from mitobench.slides.reader.image import Image, undecodable
from mitobench.slides.reader.pixels import Box, Pixels

_WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
_NOT_TISSUE = {"LABEL", "OVERVIEW", "THUMBNAIL"}
_PIXEL_DATA_HEADER = 12  # bytes: tag, type and length of the pixel data
_COMPARED, _PLAIN, _FITS = 16, 8.0, 0.6  # tiles; standard deviation of an edge; ratio of the misfits of two orders
_EXPECTED = {
    "SamplesPerPixel": (3,),
    "BitsAllocated": (8,),
    "BitsStored": (8,),
    "PixelRepresentation": (0,),
    "PhotometricInterpretation": ("RGB", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "YBR_FULL"),
    "TotalPixelMatrixFocalPlanes": (1, None),
    "NumberOfOpticalPaths": (1, None),
    "DimensionOrganizationType": ("TILED_FULL", None),
}


@dataclass(frozen=True)
class DicomFile:
    """One file of a slide. A slide is a series: its levels are files of their own, as are label and overview.

    Attributes:
        series: of the slide.
        kind: `label`, `overview` or `thumbnail`; empty for tissue.
        pixels: of its whole image.
    """

    series: str
    kind: str
    pixels: int


def describe(path: Path) -> DicomFile | None:
    """Returns what a file is of a slide; None if it is not a DICOM whole slide, or pydicom is missing."""
    try:
        status = path.stat()
        return _describe(path, status.st_size, status.st_mtime_ns)
    except OSError:
        return None


@lru_cache(maxsize=4096)
def _describe(path: Path, size: int, changed: int) -> DicomFile | None:
    if not optional.is_installed("pydicom"):
        return None
    tags = ["SOPClassUID", "SeriesInstanceUID", "ImageType", "TotalPixelMatrixColumns", "TotalPixelMatrixRows"]
    try:
        check_regular(path, MAX_IMAGE_BYTES, "image", DataError)
        with _quiet():  # also while values are converted, which happens when they are first used
            header = optional.load("pydicom", path, "a DICOM image").dcmread(
                str(path), stop_before_pixels=True, specific_tags=tags
            )
            if header.get("SOPClassUID") != _WHOLE_SLIDE:
                return None
            kinds = sorted(_NOT_TISSUE & set(header.get("ImageType", None) or ()))
            pixels = int(header.get("TotalPixelMatrixColumns", 0)) * int(header.get("TotalPixelMatrixRows", 0))
            return DicomFile(str(header.get("SeriesInstanceUID", "")), kinds[0].lower() if kinds else "", pixels)
    except Exception:  # the file is reported when it is opened
        return None


def other_files(path: Path) -> list[Path]:
    """Returns the other files of a slide, which lie in the same folder, sorted."""
    own = describe(path)
    if own is None or not own.series:
        return []
    others = [other for other in sorted(path.parent.glob("*.[dD][cC][mM]")) if other.name != path.name]
    return [other for other in others if (found := describe(other)) is not None and found.series == own.series]


def one_a_slide(paths: Iterable[Path]) -> list[Path]:
    """Leaves out further files of a slide: smaller copies, label and overview. The order stays.

    Of the files of a slide, the largest image of tissue is kept. Other files stay, and one label without its slide.
    """
    paths = list(paths)
    found = {path: describe(path) for path in paths if path.suffix.lower() == ".dcm"}
    best: dict[tuple[Path, str], Path] = {}
    for path, file in found.items():
        if file is not None:
            key = (path.parent, file.series or path.name)
            best[key] = max(best.get(key, path), path, key=lambda one: _rank(found[one]))
    chosen = set(best.values())
    return [path for path in paths if found.get(path) is None or path in chosen]


def _rank(file: DicomFile | None) -> tuple[bool, int]:
    return (False, 0) if file is None else (not file.kind, file.pixels)


def refuse_label(path: Path) -> None:
    """Raises DataError for the label, overview or thumbnail of a slide."""
    file = describe(path)
    if file is not None and file.kind:
        raise _not_tissue(path, file.kind)


def _not_tissue(path: Path, kind: str) -> DataError:
    return DataError(f"{path}: is the {kind} of a DICOM slide, not its tissue. Give another file of the slide.")


class DicomImage(Image):
    """One resolution of a DICOM whole slide."""

    mode = "RGB"

    def __init__(self, path: Path) -> None:
        library = optional.load("pydicom", path, "a DICOM image")
        check_regular(path, MAX_IMAGE_BYTES, "image", DataError)
        notes: list[str] = []
        try:
            with _quiet():
                header = library.dcmread(str(path), stop_before_pixels=True)
                _check(path, header)
                mpp, on_mpp = resolution.first_of(_spacing(header), _volume(header))
        except DataError:
            raise
        except Exception as reason:
            raise undecodable(path, reason) from reason
        self.decoder = optional.version("pydicom")
        self._tile = (int(header.Columns), int(header.Rows))
        self._encapsulated = bool(header.file_meta.TransferSyntaxUID.is_encapsulated)
        self._is_rgb = header.PhotometricInterpretation == "RGB"
        size = (int(header.TotalPixelMatrixColumns), int(header.TotalPixelMatrixRows))
        self._across, self._down = (math.ceil(size[axis] / self._tile[axis]) for axis in (0, 1))
        self._by_column = False
        if header.get("DimensionOrganizationType") is None:
            notes.append(self._find_order(path))
        super().__init__(path, (size,), mpp, (*notes, *on_mpp))

    def _read_stored(self, level: int, box: Box) -> Pixels:
        left, top, width, height = box
        across, down = self._tile
        out = np.zeros((height, width, 3), dtype=np.uint8)
        for row in range(top // down, (top + height - 1) // down + 1):
            for column in range(left // across, (left + width - 1) // across + 1):
                index = column * self._down + row if self._by_column else row * self._across + column
                tile = self._decode(self.path, index)
                x, y = column * across, row * down
                rows = slice(max(y, top), min(y + down, top + height))
                columns = slice(max(x, left), min(x + across, left + width))
                out[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = tile[
                    rows.start - y : rows.stop - y, columns.start - x : columns.stop - x
                ]
        return out

    def _find_order(self, path: Path) -> str:
        """Finds whether tiles are stored by row or by column, from how well their edges fit; returns a note.

        Raises DataError if neither order fits clearly.
        """
        if min(self._across, self._down) == 1:
            return "the file does not say how its tiles are ordered; they are in one line"
        misfits: dict[bool, list[float]] = {False: [], True: []}
        whole_rows, whole_columns = range(self._down - 1), range(self._across - 2)
        places = [(row, column) for row in whole_rows for column in whole_columns]
        for row, column in places[:: max(1, len(places) // _COMPARED)]:
            for by_column, found in misfits.items():
                step = self._down if by_column else 1
                index = column * self._down + row if by_column else row * self._across + column
                edges = [self._decode(path, index)[:, -1], self._decode(path, index + step)[:, 0]]
                if min(edge.std() for edge in edges) > _PLAIN:  # edges of glass fit everywhere
                    found.append(float(np.abs(edges[0].astype(int) - edges[1]).mean()))
        rows, columns = (float(np.median(found)) if found else math.inf for found in misfits.values())
        if min(rows, columns) > _FITS * max(rows, columns) or not all(misfits.values()):
            raise DataError(f"{path}: does not say how its tiles are ordered. Export the slide as TIFF.")
        self._by_column = columns < rows
        return (
            "the file does not say how its tiles are ordered; "
            f"{'column by column' if self._by_column else 'row by row'} was found, as the tiles' edges fit"
        )

    def _decode(self, path: Path, index: int) -> Pixels:
        """Decodes a tile: uint8 RGB."""
        from PIL import Image as Pillow

        with _quiet(), open_regular(path, MAX_IMAGE_BYTES, "image", DataError) as file:
            header = optional.load("pydicom", path, "a DICOM image").dcmread(
                file, stop_before_pixels=True, specific_tags=["NumberOfFrames"]
            )
            across, down = self._tile
            start = file.tell() + _PIXEL_DATA_HEADER
            if not self._encapsulated:
                file.seek(start + index * across * down * 3)
                return np.frombuffer(file.read(across * down * 3), dtype=np.uint8).reshape(down, across, 3)
            file.seek(start)
            get_frame = optional.load("pydicom.encaps", path, "a DICOM image").get_frame
            content = get_frame(file, index, number_of_frames=int(header.get("NumberOfFrames", 1)))
        with Pillow.open(io.BytesIO(content), formats=("JPEG", "JPEG2000")) as image:
            if image.size != self._tile:
                raise DataError(f"{path}: has a tile of {image.size} px, not {self._tile}. Copy the file again.")
            if self._is_rgb and image.format == "JPEG" and not {"jfif", "adobe"} & set(image.info):
                image.draft("YCbCr", image.size)  # without a marker, Pillow would convert what is RGB already
                return np.array(image)
            return np.array(image.convert("RGB"))


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values that are longer than the standard allows
        yield


def _check(path: Path, header: Any) -> None:
    """Raises DataError for an image that is not a whole slide in RGB with all tiles in order."""
    if header.get("SOPClassUID") != _WHOLE_SLIDE:
        raise DataError(f"{path}: is a DICOM file, but not a whole slide. Give a slide, or export the image as TIFF.")
    kinds = _NOT_TISSUE & set(header.get("ImageType", None) or ())
    if kinds:
        raise _not_tissue(path, kinds.pop().lower())
    for name, allowed in _EXPECTED.items():
        if header.get(name, None) not in allowed:
            raise DataError(
                f"{path}: has {name} {header.get(name)}, and only {allowed[0]} can be read. Export the slide as TIFF."
            )
    width, height = int(header.TotalPixelMatrixColumns), int(header.TotalPixelMatrixRows)
    across, down = int(header.Columns), int(header.Rows)
    if not 0 < width * height <= MAX_SLIDE_PIXELS or not 0 < across * down <= MAX_PIXELS:
        raise DataError(f"{path}: has {width} x {height} px in tiles of {across} x {down} px. Copy the file again.")
    tiles = math.ceil(width / across) * math.ceil(height / down)
    if int(header.get("NumberOfFrames", 1)) != tiles or tiles > MAX_SEGMENTS:
        raise DataError(
            f"{path}: has {header.get('NumberOfFrames', 1)} tiles, not {tiles}: they may be in several files, or have "
            "gaps. Export the slide as TIFF."
        )
    syntax = header.file_meta.TransferSyntaxUID
    if not syntax.is_encapsulated and (syntax.is_implicit_VR or header.get("PlanarConfiguration", 0)):
        raise DataError(f"{path}: is stored as {syntax.name}, which cannot be read. Export the slide as TIFF.")


def _spacing(header: Any) -> resolution.Found:
    """Returns um/px from the pixel spacing, mm."""
    for group in header.get("SharedFunctionalGroupsSequence", None) or ():
        for measures in group.get("PixelMeasuresSequence", None) or ():
            if measures.get("PixelSpacing"):
                down, across = (float(value) * 1e3 for value in measures.PixelSpacing)
                return resolution.Found("pixel spacing", across, down)
    return resolution.Found("pixel spacing")


def _volume(header: Any) -> resolution.Found:
    """Returns um/px from the size of the imaged volume, mm."""
    if header.get("ImagedVolumeWidth") and header.get("ImagedVolumeHeight"):
        return resolution.Found(
            "imaged volume",
            float(header.ImagedVolumeWidth) * 1e3 / int(header.TotalPixelMatrixColumns),
            float(header.ImagedVolumeHeight) * 1e3 / int(header.TotalPixelMatrixRows),
        )
    return resolution.Found("imaged volume")
