"""Reads reduced copies of an image of any size, part by part, so that memory does not grow with the image."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from mitobench.errors import DataError
from mitobench.slides.reader import Image

Pixels = NDArray[np.uint8]
Bools = NDArray[np.bool_]

MAX_SIDE_PX = 4096  # longer side of the largest picture of an image that is written
_PART = 1 << 22  # px of a stored resolution that are decoded at once
_MIN_SIDE = 64  # px of the full resolution: parts that cannot be decoded are not divided further


def fitting(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """Returns columns and rows of a copy of the same form whose longer side is at most `longest` px."""
    factor = min(1.0, longest / max(size))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def overview(image: Image, size: tuple[int, int]) -> tuple[Pixels, Bools]:
    """Returns a reduced copy of an image, and where it could be decoded.

    Args:
        image: the image.
        size: columns and rows of the result; at most those of the image.

    Returns:
        pixels: uint8 RGB, [rows, columns, 3]; white where the image cannot be decoded.
        decoded: bool [rows, columns].
    """
    pixels, decoded, _ = _read(image, size, None)
    return pixels, decoded


class Copies:
    """Reduced copies of an image. A large image is decoded once for them, or once each stored resolution they need.

    Attributes:
        image: the image.
    """

    def __init__(self, image: Image) -> None:
        self.image = image
        self._large: tuple[Pixels, Bools] | None = None

    def exactly(self, size: tuple[int, int]) -> tuple[Pixels, Bools]:
        """Returns the same as `overview`.

        If the large copy comes from the same stored resolution, it is made from the same decoded pixels.
        """
        times = None if self._large is not None or max(self.image.size) <= MAX_SIDE_PX else self._times(size)
        if times is None:
            return overview(self.image, size)
        pixels, decoded, finer = _read(self.image, size, times)
        self._large = _resized(finer, decoded, fitting(self.image.size, min(MAX_SIDE_PX, max(finer.shape[:2]))))
        return pixels, decoded

    def within(self, longest: int) -> tuple[Pixels, Bools]:
        """Returns a copy whose longer side is at most `longest` px, which is at most MAX_SIDE_PX, as `overview` does.

        It is reduced from a copy of MAX_SIDE_PX, or of less: at least half of that.
        """
        if self._large is None:
            self._large = overview(self.image, _large_size(self.image))
        if longest >= max(self._large[0].shape[:2]):
            return self._large
        return _resized(*self._large, fitting(self.image.size, longest))

    def _times(self, size: tuple[int, int]) -> int | None:
        """How many times finer than a copy of this size the large copy is if both come from one stored resolution.

        None if they do not.
        """
        large = max(_large_size(self.image))
        least = max(1, large // max(size))
        most = least + (large > least * max(size) and (least + 1) * max(size) <= 1.5 * large)
        return next((times for times in (most, least) if self._same_level(size, times)), None)

    def _same_level(self, size: tuple[int, int], times: int) -> bool:
        factor = min(full / of for full, of in zip(self.image.size, size, strict=True))
        return self.image.level_for(factor) == self.image.level_for(factor / times)


def _large_size(image: Image) -> tuple[int, int]:
    """Columns and rows of the large copy: those of a stored resolution of about that size, which costs the least."""
    stored = [level for level in image.levels if MAX_SIDE_PX / 2 <= max(level) <= MAX_SIDE_PX]
    return max(stored, key=max) if stored else fitting(image.size, MAX_SIDE_PX)


def _resized(pixels: Pixels, decoded: Bools, size: tuple[int, int]) -> tuple[Pixels, Bools]:
    if pixels.shape[1::-1] == size:
        return pixels, decoded
    small = Pillow.fromarray(pixels).resize(size, Pillow.Resampling.BILINEAR)
    there = Pillow.fromarray(decoded).resize(size, Pillow.Resampling.NEAREST)
    return np.array(small), np.array(there, dtype=bool)


def _read(image: Image, size: tuple[int, int], times: int | None) -> tuple[Pixels, Bools, Pixels]:
    """Reads a copy, and of the same decoded pixels one that is `times` finer; None: only the former."""
    columns, rows = size
    pixels = np.full((rows, columns, 3), 255, dtype=np.uint8)
    decoded = np.zeros((rows, columns), dtype=bool)
    finer = pixels[:0] if times is None else np.full((rows * times, columns * times, 3), 255, dtype=np.uint8)
    for box in _parts(image, size):
        _fill(image, size, box, _Targets(pixels, decoded, finer, times))
    return pixels, decoded, finer


class _Targets(NamedTuple):
    """Where decoded pixels go."""

    pixels: Pixels
    decoded: Bools
    finer: Pixels
    times: int | None


def _parts(image: Image, size: tuple[int, int]) -> Iterator[tuple[int, int, int, int]]:
    """Yields boxes (x1, y1, x2, y2) of the result. Each needs at most about `_PART` px of the stored resolution."""
    factors = [full / of for full, of in zip(image.size, size, strict=True)]
    stored = image.levels[image.level_for(min(factors))]
    a_cell = stored[0] / size[0] * stored[1] / size[1]
    side = max(1, int(np.sqrt(_PART / a_cell)))
    for top in range(0, size[1], side):
        for left in range(0, size[0], side):
            yield left, top, min(left + side, size[0]), min(top + side, size[1])


def _fill(image: Image, size: tuple[int, int], box: tuple[int, int, int, int], to: _Targets) -> None:
    """Reads a box of the result. If it cannot be decoded, its quarters are read."""
    left, top, right, bottom = box
    x1, y1, x2, y2 = (round(n * image.size[k % 2] / size[k % 2]) for k, n in enumerate(box))
    out = (right - left, bottom - top)
    outs = [out] if to.times is None else [out, (out[0] * to.times, out[1] * to.times)]
    try:
        part, *finer = image.copies((x1, y1, x2 - x1, y2 - y1), outs)
    except DataError:
        if max(x2 - x1, y2 - y1) <= _MIN_SIDE or max(out) == 1:
            return
        middle_x, middle_y = (left + right + 1) // 2, (top + bottom + 1) // 2
        for x in ((left, middle_x), (middle_x, right)):
            for y in ((top, middle_y), (middle_y, bottom)):
                if x[0] < x[1] and y[0] < y[1]:
                    _fill(image, size, (x[0], y[0], x[1], y[1]), to)
        return
    to.pixels[top:bottom, left:right] = part
    to.decoded[top:bottom, left:right] = True
    for copy in finer:
        to.finer[top * to.times : bottom * to.times, left * to.times : right * to.times] = copy  # type: ignore[operator]
