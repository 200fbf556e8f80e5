"""Whether the pixels of a mask can be one mitosis: decimal commas, boxes and polygons give pixels that do not touch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mitobench.errors import DataError

MAX_GAP_UM = 18.0
"""The pieces of one mitosis are closer than this, um. The widest gap in MITOS 2012 is 11.7 um."""
MAX_REPEATED = 0.25
"""Share of pixels that may be listed again."""
MIN_FILLED = 0.3
"""Share of its bounding box that a mask fills at least, if it may list many pixels again."""
LAST_DIGIT = 9
NEAR_PX = 2
"""A pixel without another one within this distance along x and y is isolated."""


def check_masks(masks: Sequence[NDArray[np.int64]], places: Sequence[str], mpp: float) -> int:
    """Checks masks, int [P, 2] px each. Raises DataError with the place (file and line) of a mask that is wrong.

    Returns how many pixels are listed again in masks of which a large share is: those of an image that was resized.
    """
    again = 0
    for mask, where in zip(masks, places, strict=True):
        pixels = distinct(mask)
        repeated = len(mask) - len(pixels)
        again += repeated if repeated > len(mask) * MAX_REPEATED else 0
        problem = _problem(pixels, len(mask), mpp)
        if problem:
            raise DataError(
                f"{where}: {problem}. A line lists all pixels of one mitosis as x,y,x,y,... Check for decimal commas, "
                "for corners of a box or polygon, and for two mitoses in one line."
            )
    return again


def distinct(mask: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns the distinct pixels of a mask, int [P, 2], sorted by x, then y."""
    if not len(mask):
        return mask
    height = int(mask[:, 1].max()) + 1
    codes = np.unique(mask[:, 0] * height + mask[:, 1])  # far faster than np.unique along an axis
    return np.stack([codes // height, codes % height], axis=1)


def _problem(pixels: NDArray[np.int64], listed: int, mpp: float) -> str | None:
    """Says why distinct pixels, of which `listed` were listed, are not one mitosis; None if they can be."""
    from scipy.spatial import cKDTree

    if len(pixels) < listed * (1 - MAX_REPEATED) and not _is_filled(pixels):
        return f"{listed - len(pixels)} of {listed} pixels are listed twice"
    if len(pixels) < 2 or (_share_of_box(pixels) >= MIN_FILLED and _pieces(pixels)[1] == 1):
        return None
    tree = cKDTree(pixels)
    nearest = tree.query(pixels, k=2, p=np.inf)[0][:, 1]
    isolated = int((nearest > NEAR_PX).sum())
    if 2 * isolated >= len(pixels):
        return f"{isolated} of {len(pixels)} pixels touch no other"
    gap = _widest_gap(pixels) * mpp
    return f"the pixels lie in pieces {gap:.0f} um apart" if gap > MAX_GAP_UM else None


def _is_filled(pixels: NDArray[np.int64]) -> bool:
    """Whether pixels fill much of their bounding box, as those of a mask that was made smaller.

    Decimal commas give fractions as coordinates, which are below ten if they have one digit.
    """
    return bool((pixels.max(axis=0) > LAST_DIGIT).all()) and _share_of_box(pixels) >= MIN_FILLED


def _share_of_box(pixels: NDArray[np.int64]) -> float:
    """The share of their bounding box that distinct pixels fill."""
    return len(pixels) / float((pixels.max(axis=0) - pixels.min(axis=0) + 1).prod())


def _pieces(pixels: NDArray[np.int64]) -> tuple[NDArray[np.int32], int]:
    """Returns the bounding box of pixels with the number of each pixel's piece, from 1 on, and how many there are."""
    from scipy import ndimage

    shifted = pixels - pixels.min(axis=0)
    grid = np.zeros(shifted.max(axis=0) + 1, dtype=bool)
    grid[tuple(shifted.T)] = True
    labels, count = ndimage.label(grid, np.ones((3, 3)))
    return labels, int(count)


def _widest_gap(pixels: NDArray[np.int64]) -> float:
    """The widest gap between pieces, px: the longest edge of the shortest tree through all of them."""
    from scipy.sparse.csgraph import minimum_spanning_tree
    from scipy.spatial import cKDTree

    labels, count = _pieces(pixels)
    if count < 2:
        return 0.0
    pieces = [np.argwhere(labels == n) for n in range(1, count + 1)]
    trees = [cKDTree(piece) for piece in pieces]
    apart = np.array([[tree.query(piece)[0].min() for piece in pieces] for tree in trees])
    return float(minimum_spanning_tree(apart).max())
