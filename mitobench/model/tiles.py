"""Splits frames of any size into overlapping tiles, each of which keeps the detections in its own core.

A cell at a seam is fully visible in both tiles, which may place its centre a pixel apart, so that both or neither would
keep it. Therefore cores extend slightly beyond their seams, and of two detections of the same cell one is dropped.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from mitobench.api import Detections, Floats, Frame

LIMIT = 3072  # px at the model's um/px: maximum side of a frame or tile that is processed in one pass
OVERLAP_UM = 64.0  # how far a tile extends beyond a seam: more than detector and verifier see around a cell
SEAM_UM = 4.0  # how far a core extends beyond a seam, and two centres of one cell differ: under half a mitotic figure

_Span = tuple[int, int]


@dataclass(frozen=True)
class Tile:
    """A part of a frame.

    Attributes:
        frame: the pixels of the tile, as a frame.
        origin: its upper left corner, px of the whole frame.
        core: x1, y1, x2, y2 in px of the tile: where it keeps detections. Unbounded at the border of the frame.
    """

    frame: Frame
    origin: tuple[int, int]
    core: tuple[float, float, float, float]

    def holds(self, xy: Floats) -> NDArray[np.bool_]:
        """Which centres ([N, 2] px of the tile) are in the core, bool [N]."""
        inside: NDArray[np.bool_] = np.all((xy >= self.core[:2]) & (xy < self.core[2:]), axis=1)
        return inside

    def moved(self, detections: Detections) -> Detections:
        """Converts detections from px of the tile to px of the whole frame."""
        boxes = detections.boxes + np.tile(self.origin, 2)
        return replace(detections, xy=detections.xy + self.origin, boxes=boxes)


def tiled(frame: Frame, mpp: float) -> Iterator[Tile]:
    """Yields the tiles of a frame for a model that works at `mpp` um/px: the frame itself if it is within LIMIT."""
    columns, rows = (list(_spans(frame.size[i], frame.mpp[i], mpp)) for i in (0, 1))
    if len(columns) == len(rows) == 1:
        yield Tile(frame, (0, 0), (-np.inf, -np.inf, np.inf, np.inf))
        return
    pixels = frame.read()
    for (top, bottom), (y1, y2) in rows:
        for (left, right), (x1, x2) in columns:
            yield Tile(_part(frame, pixels, (left, top, right, bottom)), (left, top), (x1, y1, x2, y2))


def _part(frame: Frame, pixels: NDArray[np.uint8], box: tuple[int, int, int, int]) -> Frame:
    left, top, right, bottom = box
    part = np.ascontiguousarray(pixels[top:bottom, left:right])
    return replace(frame, id=f"{frame.id} from {left},{top}", size=(right - left, bottom - top), reader=lambda: part)


def _spans(size: int, frame_mpp: float, mpp: float) -> Iterator[tuple[_Span, tuple[float, float]]]:
    """Yields, along one axis, the (start, end) of each tile in px, and of its core relative to the tile's start."""
    limit = LIMIT * mpp / frame_mpp
    overlap = int(np.ceil(OVERLAP_UM / frame_mpp))
    reach = SEAM_UM / frame_mpp
    number = 1 if size <= limit else int(np.ceil(size / (limit - 2 * overlap)))
    seams = np.linspace(0, size, number + 1).round().astype(int).tolist()
    for i, (first, last) in enumerate(itertools.pairwise(seams)):
        start, end = max(0, first - overlap), min(size, last + overlap)
        low = (
            -np.inf if i == 0 else first - reach - start - 0.5
        )  # a tile starts half a px before the centre of its first pixel
        high = np.inf if i == number - 1 else last + reach - start - 0.5
        yield (start, end), (low, high)


def unrepeated(found: Detections, tile: NDArray[np.int_], mpp: tuple[float, float]) -> NDArray[np.bool_]:
    """Which detections to keep, bool [N]: of detections of one cell in different tiles (`tile` [N]), only the best."""
    keep = np.ones(len(found), dtype=bool)
    if len(np.unique(tile)) < 2:
        return keep
    near = cKDTree(found.xy * np.asarray(mpp)).query_ball_point(found.xy * np.asarray(mpp), SEAM_UM)
    for i in np.argsort(-found.score, kind="stable"):
        if keep[i]:
            others = np.asarray(near[i], dtype=int)
            keep[others[tile[others] != tile[i]]] = False
    return keep
