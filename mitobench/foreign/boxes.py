"""Boxes in annotations and detections. Their centre is the mean of their corners, whatever the tool's convention."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", float, NDArray[np.float64])


def corners(x: Number, y: Number, width: Number, height: Number) -> tuple[Number, Number, Number, Number]:
    """Returns x1, y1, x2, y2 of a box given by its upper left corner and its size, as numbers or arrays, px."""
    return x, y, x + width, y + height
