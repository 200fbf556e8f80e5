"""Arrays of coordinates and boxes, in pixels of the whole frame. Whole numbers are the centres of pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def mask_box(pixels: NDArray[np.int64]) -> Floats:
    """Returns the smallest box, [4] px, that contains all of the pixels.

    Args:
        pixels: (x, y) of each pixel, int [P, 2].
    """
    box: Floats = np.concatenate([pixels.min(axis=0) - 0.5, pixels.max(axis=0) + 0.5])
    return box


def clip_boxes(boxes: Floats, size: tuple[int, int]) -> Floats:
    """Cuts boxes off at the edges of a frame. Returns them, [N, 4] px.

    Args:
        boxes: (x1, y1, x2, y2) of each box, [N, 4] px.
        size: width and height of the frame, px.
    """
    clipped: Floats = boxes.clip(-0.5, np.tile(size, 2) - 0.5)
    return clipped


def square_boxes(xy: Floats, side: float) -> Floats:
    """Returns square boxes around points, [N, 4] px.

    Args:
        xy: the points, [N, 2] px.
        side: side of each box, px.
    """
    boxes: Floats = np.concatenate([xy - side / 2, xy + side / 2], axis=1)
    return boxes
