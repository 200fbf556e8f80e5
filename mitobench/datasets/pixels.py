"""Headers and pixels of the images of data sets. Everything that reads pixels for a data set goes through here."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mitobench.datasets import images

Box = tuple[int, int, int, int]

_X_RESOLUTION, _Y_RESOLUTION, _UNIT = 282, 283, 296
_UM_PER_UNIT = {2: 25_400.0, 3: 10_000.0}  # inch, centimetre
PLAUSIBLE_MPP = (0.1, 1.0)


class Header(NamedTuple):
    """What a file says about its image: width and height in px, um/px along x and y, and what was converted."""

    size: tuple[int, int]
    mpp: tuple[float, float] | None
    note: str | None


def header(path: Path) -> Header:
    """Reads an image's header. Raises DataError naming the file if it is not an image or is truncated."""
    found = images.probe(path)
    return Header((found.width, found.height), _resolution(path), found.note)


def read(path: Path, box: Box | None = None) -> NDArray[np.uint8]:
    """Reads the pixels of an image, or of the box (x1, y1, x2, y2) px of it: uint8 RGB, [height, width, 3]."""
    pixels = images.read_rgb(path)
    return pixels if box is None else np.ascontiguousarray(pixels[box[1] : box[3], box[0] : box[2]])


def reader(path: Path, box: Box | None = None) -> Callable[[], NDArray[np.uint8]]:
    """Returns what reads an image, or a box of it. It can be pickled."""
    return partial(read, path, box)


def _resolution(path: Path) -> tuple[float, float] | None:
    """um/px along x and y from the tags of a TIFF; None if it has none that a microscope could have."""
    with images._opened(path) as image:
        tags = getattr(image, "tag_v2", None)
        um = _UM_PER_UNIT.get(int(tags.get(_UNIT, 2))) if tags else None
        counts = [float(tags.get(tag, 0) or 0) for tag in (_X_RESOLUTION, _Y_RESOLUTION)] if tags else []
    if um is None or not counts or not all(np.isfinite(count) and count > 0 for count in counts):
        return None
    x, y = (um / count for count in counts)
    low, high = PLAUSIBLE_MPP
    return (x, y) if low <= x <= high and low <= y <= high else None
