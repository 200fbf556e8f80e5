"""Finds mitoses that were annotated twice: two annotations that are closer than any two cells can be."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

DUPLICATE_UM = 1.0  # a nucleus is at least 5 um wide


def duplicates(xy: NDArray[np.float64], mpp: tuple[float, float]) -> list[tuple[int, int]]:
    """Returns pairs of annotations within 1 um of each other, as indices in ascending order.

    Args:
        xy: annotated mitoses, [N, 2] px.
        mpp: um/px along x and y.
    """
    if len(xy) < 2:
        return []
    pairs: set[tuple[int, int]] = cKDTree(xy * np.asarray(mpp)).query_pairs(DUPLICATE_UM)
    return sorted(pairs)
