"""Cuts an image into overlapping tiles, each of which answers for its own part of the image."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Tile:
    """A square of an image.

    Attributes:
        left, top: its corner, px; may be negative, and the square may reach beyond the image.
        core: the part that it answers for, (x1, y1, x2, y2) px. The cores of all tiles cover the image, each px once.
    """

    left: int
    top: int
    core: tuple[float, float, float, float]


def tiles(size: tuple[int, int], side: int, overlap: int) -> Iterator[Tile]:
    """Yields the tiles of an image of `size` (width, height) px: squares of `side` px; neighbours share `overlap` px.

    An image smaller than a tile has one, centred on it.
    """
    columns, rows = (_spans(length, side, overlap) for length in size)
    for (top, first_row, last_row), (left, first_column, last_column) in itertools.product(rows, columns):
        yield Tile(left, top, (first_column, first_row, last_column, last_row))


def _spans(length: int, side: int, overlap: int) -> list[tuple[int, float, float]]:
    """Returns the start of each tile along an axis, and the part of the axis that it answers for."""
    if length <= side:
        return [(-((side - length) // 2), 0.0, float(length))]
    number = math.ceil((length - overlap) / (side - overlap))
    starts = [round(i * (length - side) / (number - 1)) for i in range(number)]
    borders = [(before + side + after) / 2 for before, after in itertools.pairwise(starts)]
    return list(zip(starts, [0.0, *borders], [*borders, float(length)], strict=True))
