"""Resamples frames to the resolution of a model, caches them, and cuts patches."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mitobench.api import Frame

Pixels = NDArray[np.uint8]


def resample(image: Pixels, mpp: tuple[float, float], target: float | None) -> tuple[Pixels, NDArray[np.float64]]:
    """Resamples an image to `target` um/px.

    Args:
        image: uint8 [H, W, 3].
        mpp: resolution of the image along x and y, um/px.
        target: resolution wanted, um/px. The image is returned unchanged for None, and if it differs by less than 2 %.

    Returns the image and the factors (x, y) by which its size changed; `scaled` applies them to coordinates.
    """
    if target is None or all(abs(m / target - 1) < 0.02 for m in mpp):
        return image, np.ones(2)
    height, width = image.shape[:2]
    size = max(1, round(width * mpp[0] / target)), max(1, round(height * mpp[1] / target))
    factors = np.array([size[0] / width, size[1] / height])
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)), factors


def scaled(xy: NDArray[np.float64], factors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Maps points, [N, 2] px, or boxes, [N, 4] px, to an image that was resized by `factors`; 1 / factors undoes it.

    Whole numbers are the centres of pixels before and after.
    """
    moved: NDArray[np.float64] = (xy + 0.5) * np.tile(factors, xy.shape[-1] // 2) - 0.5
    return moved


def crop_around(image: Pixels, xy: NDArray[np.float64], side: int) -> Pixels:
    """Cuts a patch of `side` x `side` px centred on a point, [2] px, to the nearest pixel. Mirrors at the edges."""
    left, top = np.rint(xy - (side - 1) / 2).astype(np.int64).tolist()
    return crop(image, left, top, side, side)


def crop(image: Pixels, left: int, top: int, width: int, height: int) -> Pixels:
    """Cuts a patch of `width` x `height` px at (left, top). Outside its edges, the image is mirrored."""
    columns = _mirrored(np.arange(left, left + width), image.shape[1])
    rows = _mirrored(np.arange(top, top + height), image.shape[0])
    inside = columns[0] + width - 1 == columns[-1] and rows[0] + height - 1 == rows[-1]
    if inside:
        return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return image[np.ix_(rows, columns)]


def _mirrored(index: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    period = max(2 * length - 2, 1)
    index = np.abs(index) % period
    return np.minimum(index, period - index)


class FrameCache:
    """Keeps the pixels of frames, at a model's resolution, in memory; drops those not used for longest.

    Args:
        mpp: resolution, um/px; None keeps each frame's own.
        limit: greatest memory, bytes.
    """

    def __init__(self, mpp: float | None = None, limit: int = 2 << 30) -> None:
        self.mpp, self.limit = mpp, limit
        self._held: OrderedDict[str, tuple[Pixels, NDArray[np.float64]]] = OrderedDict()
        self._bytes = 0

    def get(self, frame: Frame) -> tuple[Pixels, NDArray[np.float64]]:
        """Returns the frame's pixels, uint8 [H, W, 3], and the factors (x, y) for `scaled`, as `resample` does."""
        if frame.key in self._held:
            self._held.move_to_end(frame.key)
            return self._held[frame.key]
        item = resample(frame.read(), frame.mpp, self.mpp)
        self._held[frame.key] = item
        self._bytes += item[0].nbytes
        while self._bytes > self.limit and len(self._held) > 1:
            self._bytes -= self._held.popitem(last=False)[1][0].nbytes
        return item
