"""Divides images of any size into a fixed grid of cells, each of which keeps the detections in its own core.

The grid begins at the upper left corner of the image and is fixed in um, so it does not depend on the image's size. A
cell is about as large as a high-power field, and is read with a border (`HALO_UM`) that is wider than what detector and
verifier see around a mitosis.

A mitosis at a seam is fully visible in both cells, which may place its centre a pixel apart, so that both or neither
would keep it. Therefore cores extend slightly beyond their seams, and of two detections of one mitosis one is dropped.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from mitobench.api import Detections, Floats

CORE_UM = 512.0  # side of a core: that of a high-power field of MITOS 2012
HALO_UM = 64.0  # how far a cell extends beyond a seam: more than detector and verifier see around a mitosis
SEAM_UM = (
    4.0  # how far a core extends beyond a seam, and two centres of one mitosis differ: under half a mitotic figure
)
MAX_AREA_MM2 = (CORE_UM + 3 * HALO_UM) ** 2 / 1e6  # of a cell with its border; the last one may be wider by HALO_UM

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Cell:
    """A part of an image.

    Attributes:
        number: counts all cells of the image along its rows, from 0 on.
        box: x1, y1, x2, y2 of the pixels that are read, px of the image.
        core: x1, y1, x2, y2 of where it keeps detections, px of the image. Unbounded at the border of the image.
    """

    number: int
    box: Box
    core: tuple[float, float, float, float]

    @property
    def origin(self) -> tuple[int, int]:
        """The upper left pixel that is read."""
        return self.box[:2]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of what is read, px."""
        return self.box[2] - self.box[0], self.box[3] - self.box[1]

    @property
    def context(self) -> tuple[int, int, int, int]:
        """Width of the strips at the left, top, right and bottom of what is read that hold no centres of its core."""
        x1, y1, x2, y2 = self.box
        before = (self.core[0] + 0.5 - x1, self.core[1] + 0.5 - y1)
        after = (x2 - 0.5 - self.core[2], y2 - 0.5 - self.core[3])
        left, top, right, bottom = (math.floor(width) if width > 0 else 0 for width in (*before, *after))
        return left, top, right, bottom

    def holds(self, xy: Floats) -> NDArray[np.bool_]:
        """Which centres ([N, 2] px of the image) are in the core, bool [N]."""
        inside: NDArray[np.bool_] = np.all((xy >= self.core[:2]) & (xy < self.core[2:]), axis=1)
        return inside


def cells(size: tuple[int, int], mpp: tuple[float, float]) -> Iterator[Cell]:
    """Yields the cells of an image of `size` px, row by row."""
    columns, rows = (list(_spans(size[axis], mpp[axis])) for axis in (0, 1))
    for i, (top, bottom, y1, y2) in enumerate(rows):
        for j, (left, right, x1, x2) in enumerate(columns):
            yield Cell(i * len(columns) + j, (left, top, right, bottom), (x1, y1, x2, y2))


def _spans(size: int, mpp: float) -> Iterator[tuple[int, int, float, float]]:
    """Yields start and end of what is read of each cell along one axis, and of its core, px of the image.

    The last core takes in a remainder of up to HALO_UM.
    """
    number = max(1, math.ceil((size * mpp - HALO_UM) / CORE_UM))
    halo, reach = math.ceil(HALO_UM / mpp), SEAM_UM / mpp
    seams = [round(k * CORE_UM / mpp) for k in range(number)] + [size]
    for k in range(number):
        first, last = seams[k], seams[k + 1]
        # The image starts half a px before the centre of its first pixel.
        low = -math.inf if k == 0 else first - reach - 0.5
        high = math.inf if k == number - 1 else last + reach - 0.5
        yield max(0, first - halo), min(size, last + halo), low, high


def unrepeated(found: Detections, cell: NDArray[np.int_], mpp: tuple[float, float]) -> NDArray[np.bool_]:
    """Which detections to keep, bool [N]: of detections of one mitosis in different cells (`cell` [N]), only the best.

    Of equal scores the first is kept.
    """
    keep = np.ones(len(found), dtype=bool)
    if len(np.unique(cell)) < 2:
        return keep
    pairs = cKDTree(found.xy * np.asarray(mpp)).query_pairs(SEAM_UM, output_type="ndarray")
    pairs = pairs[cell[pairs[:, 0]] != cell[pairs[:, 1]]]
    near: dict[int, list[int]] = {}
    for one, other in pairs.tolist():
        near.setdefault(one, []).append(other)
        near.setdefault(other, []).append(one)
    for i in sorted(near, key=lambda i: (-found.score[i], i)):
        if keep[i]:
            keep[near[i]] = False
    return keep
