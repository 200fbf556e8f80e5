"""Whole slides that OpenSlide reads: Aperio, Hamamatsu, Mirax, Leica, Ventana, DICOM and others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mitobench.errors import DataError
from mitobench.foreign.limits import MAX_SLIDE_PIXELS
from mitobench.slides.reader import optional, resolution
from mitobench.slides.reader.image import Image, undecodable
from mitobench.slides.reader.pixels import Box, Pixels, on_white


class OpenSlideImage(Image):
    """A whole slide. Label and macro images are never read."""

    mode = "RGB"

    def __init__(self, path: Path) -> None:
        library = optional.load("openslide", path, "a whole slide")
        try:
            self._slide: Any = library.OpenSlide(str(path))
            levels = tuple(self._slide.level_dimensions)
            mpp, notes = _mpp(self._slide.properties)
        except Exception as reason:
            raise undecodable(path, reason) from reason
        if not levels or not 0 < levels[0][0] * levels[0][1] <= MAX_SLIDE_PIXELS:
            raise DataError(f"{path}: holds no image that can be read. Copy the file again.")
        self.decoder = f"openslide {library.__library_version__}"
        super().__init__(path, levels, mpp, tuple(notes))

    def close(self) -> None:
        """Closes the slide."""
        if self._slide is not None:
            self._slide.close()
        self._slide = None

    def _read_stored(self, level: int, box: Box) -> Pixels:
        if self._slide is None:
            self._slide = optional.load("openslide", self.path, "a whole slide").OpenSlide(str(self.path))
        x, y, width, height = box
        # OpenSlide takes the corner in pixels of the full resolution, and rounds it down to the level's.
        reduction = [full / of for full, of in zip(self.size, self.levels[level], strict=True)]
        corner = (int(np.ceil(x * reduction[0])), int(np.ceil(y * reduction[1]))) if level else (x, y)
        try:
            rgba = np.asarray(self._slide.read_region(corner, level, (width, height)))
        except Exception:
            self.close()  # after an error, OpenSlide reads nothing more from an open slide
            raise
        return on_white(rgba) if (rgba[..., 3] != 255).any() else np.ascontiguousarray(rgba[..., :3])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_slide": None}


def is_readable(path: Path) -> bool:
    """Whether OpenSlide is installed and knows a file's format."""
    return vendor(path) is not None


def vendor(path: Path) -> str | None:
    """Returns OpenSlide's name of a file's format, such as `aperio`; None if it does not know it, or is missing."""
    if not optional.is_installed("openslide"):
        return None
    try:
        found: str | None = optional.load("openslide", path, "a whole slide").OpenSlide.detect_format(str(path))
        return found
    except Exception:  # its shared library is missing, or it cannot open the file
        return None


def _mpp(properties: Mapping[str, str]) -> tuple[resolution.Mpp | None, list[str]]:
    """Returns um/px as OpenSlide found it, and notes: on one that it could not read, and on other resolution tags."""
    x, y = (_number(properties.get(f"openslide.mpp-{axis}")) for axis in "xy")
    if x is None or y is None:
        note = resolution.of_mpp(properties["aperio.MPP"]).note if "aperio.MPP" in properties else None
        return None, [note] if note else []
    um = {"inch": resolution.UM_PER_INCH, "centimeter": resolution.UM_PER_CM}.get(
        properties.get("tiff.ResolutionUnit", "")
    )
    dots = [_number(properties.get(f"tiff.{axis}Resolution")) for axis in "XY"]
    across, down = (um / value if um and value else None for value in dots)
    return resolution.first_of(resolution.Found("header", x, y), resolution.Found(resolution.TAGS, across, down))


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None
