"""DICOM whole slides that OpenSlide does not open: one file, 8-bit RGB, all tiles in order. pydicom reads them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mitobench.errors import DataError
from mitobench.foreign import check_regular
from mitobench.foreign.limits import MAX_IMAGE_BYTES, MAX_PIXELS, MAX_SEGMENTS, MAX_SLIDE_PIXELS
from mitobench.slides.reader import optional, resolution
from mitobench.slides.reader.image import Image, undecodable
from mitobench.slides.reader.pixels import Box, Pixels

_WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
_NOT_TISSUE = {"LABEL", "OVERVIEW", "THUMBNAIL"}
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


class DicomImage(Image):
    """One resolution of a DICOM whole slide."""

    mode = "RGB"

    def __init__(self, path: Path) -> None:
        library = optional.load("pydicom", path, "a DICOM image")
        check_regular(path, MAX_IMAGE_BYTES, "image", DataError)
        try:
            with _quiet():
                header = library.dcmread(str(path), stop_before_pixels=True)
                notes = list(_check(path, header))
                mpp, note = resolution.checked(*_mpp(header))
        except DataError:
            raise
        except Exception as reason:
            raise undecodable(path, reason) from reason
        self.decoder = optional.version("pydicom")
        self._tile = (int(header.Columns), int(header.Rows))
        size = (int(header.TotalPixelMatrixColumns), int(header.TotalPixelMatrixRows))
        super().__init__(path, (size,), mpp, (*notes, *((note,) if note else ())))

    def _read_stored(self, level: int, box: Box) -> Pixels:
        pixels_of = optional.load("pydicom.pixels", self.path, "a DICOM image").pixel_array
        left, top, width, height = box
        across, down = self._tile
        out = np.zeros((height, width, 3), dtype=np.uint8)
        for row in range(top // down, (top + height - 1) // down + 1):
            for column in range(left // across, (left + width - 1) // across + 1):
                with _quiet():
                    tile = pixels_of(str(self.path), index=row * math.ceil(self.size[0] / across) + column)
                x, y = column * across, row * down
                rows = slice(max(y, top), min(y + down, top + height))
                columns = slice(max(x, left), min(x + across, left + width))
                out[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = tile[
                    rows.start - y : rows.stop - y, columns.start - x : columns.stop - x
                ]
        return out


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values that are longer than the standard allows
        yield


def _check(path: Path, header: Any) -> Iterator[str]:
    """Yields notes. Raises DataError for an image that is not a whole slide in RGB with all tiles in order."""
    if header.get("SOPClassUID") != _WHOLE_SLIDE:
        raise DataError(f"{path}: is a DICOM file, but not a whole slide. Give a slide, or export the image as TIFF.")
    kinds = _NOT_TISSUE & set(header.get("ImageType", None) or ())
    if kinds:
        raise DataError(f"{path}: is the {kinds.pop().lower()} of a DICOM slide, not its tissue. Give another file.")
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
    if header.get("DimensionOrganizationType") is None:
        yield "the file does not say how its tiles are ordered; row by row is assumed"


def _mpp(header: Any) -> tuple[float | None, float | None]:
    """Returns um/px from the pixel spacing, otherwise from the size of the imaged volume (both in mm)."""
    for group in header.get("SharedFunctionalGroupsSequence", None) or ():
        for measures in group.get("PixelMeasuresSequence", None) or ():
            if measures.get("PixelSpacing"):
                down, across = (float(value) * 1e3 for value in measures.PixelSpacing)
                return across, down
    if header.get("ImagedVolumeWidth") and header.get("ImagedVolumeHeight"):
        return (
            float(header.ImagedVolumeWidth) * 1e3 / int(header.TotalPixelMatrixColumns),
            float(header.ImagedVolumeHeight) * 1e3 / int(header.TotalPixelMatrixRows),
        )
    return None, None
