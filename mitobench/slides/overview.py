"""Reads a reduced copy of an image of any size, part by part, so that memory does not grow with the image."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mitobench.errors import DataError
from mitobench.slides.reader import Image

_PART = 1 << 22  # px of a stored resolution that are decoded at once
_MIN_SIDE = 256  # px of the full resolution: parts that cannot be decoded are not divided further


def fitting(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """Returns columns and rows of a copy of the same form whose longer side is at most `longest` px."""
    factor = min(1.0, longest / max(size))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def overview(image: Image, size: tuple[int, int]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Returns a reduced copy of an image, and where it could be decoded.

    Args:
        image: the image.
        size: columns and rows of the result; at most those of the image.

    Returns:
        pixels: uint8 RGB, [rows, columns, 3]; white where the image cannot be decoded.
        decoded: bool [rows, columns].
    """
    columns, rows = size
    pixels = np.full((rows, columns, 3), 255, dtype=np.uint8)
    decoded = np.zeros((rows, columns), dtype=bool)
    for box in _parts(image, size):
        _fill(image, size, box, pixels, decoded)
    return pixels, decoded


def _parts(image: Image, size: tuple[int, int]) -> Iterator[tuple[int, int, int, int]]:
    """Yields boxes (x1, y1, x2, y2) of the result. Each needs at most about `_PART` px of the stored resolution."""
    factors = [full / of for full, of in zip(image.size, size, strict=True)]
    stored = image.levels[image.level_for(min(factors))]
    a_cell = stored[0] / size[0] * stored[1] / size[1]
    side = max(1, int(np.sqrt(_PART / a_cell)))
    for top in range(0, size[1], side):
        for left in range(0, size[0], side):
            yield left, top, min(left + side, size[0]), min(top + side, size[1])


def _fill(
    image: Image,
    size: tuple[int, int],
    box: tuple[int, int, int, int],
    pixels: NDArray[np.uint8],
    decoded: NDArray[np.bool_],
) -> None:
    """Reads a box of the result. If it cannot be decoded, its quarters are read."""
    left, top, right, bottom = box
    x1, y1, x2, y2 = (round(n * image.size[k % 2] / size[k % 2]) for k, n in enumerate(box))
    try:
        part = image.reduced((x1, y1, x2 - x1, y2 - y1), (right - left, bottom - top))
    except DataError:
        if max(x2 - x1, y2 - y1) <= _MIN_SIDE or max(right - left, bottom - top) == 1:
            return
        middle_x, middle_y = (left + right + 1) // 2, (top + bottom + 1) // 2
        for x in ((left, middle_x), (middle_x, right)):
            for y in ((top, middle_y), (middle_y, bottom)):
                if x[0] < x[1] and y[0] < y[1]:
                    _fill(image, size, (x[0], y[0], x[1], y[1]), pixels, decoded)
        return
    pixels[top:bottom, left:right] = part
    decoded[top:bottom, left:right] = True
