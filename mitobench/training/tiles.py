"""Divides an image into tiles, and says which of them a network sees at once.

A tile answers for its core. The cores of all tiles cover the image, each pixel once, so that what is found at a border
is found once. There are two kinds. `grid` divides an image into cores without overlap; the network sees a margin beside
each, and what it finds there is left to the next tile (`seen`). `overlapping_tiles` places squares of one size, for
networks that take no other size; the cores end in the middle of what two squares share.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

ON_GPU = 4  # tiles; a CPU gains nothing from several

Core = tuple[int, int, int, int]  # x1, y1, x2, y2; px


def grid(area: Core, step: int) -> list[Core]:
    """Divides an area of an image into cores of `step` px, row by row; those at the end are smaller."""
    x1, y1, x2, y2 = area
    return [
        (left, top, min(left + step, x2), min(top + step, y2))
        for top, left in itertools.product(range(y1, y2, step), range(x1, x2, step))
    ]


def seen(core: Core, margin: int, multiple: int) -> tuple[int, int]:
    """Returns height and width of what a network sees of a core: with the margin, rounded up to a multiple; px."""
    left, top, right, bottom = core
    height, width = (-(-(length + 2 * margin) // multiple) * multiple for length in (bottom - top, right - left))
    return height, width


@dataclass(frozen=True)
class Tile:
    """A square of an image.

    Attributes:
        left, top: its corner, px; may be negative, and the square may reach beyond the image.
        core: the part that it answers for, (x1, y1, x2, y2) px.
    """

    left: int
    top: int
    core: tuple[float, float, float, float]


def overlapping_tiles(size: tuple[int, int], side: int, overlap: int) -> Iterator[Tile]:
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


def tiles_at_once(device: str) -> int:
    """Returns how many tiles a network sees at once on `cpu` or `cuda`."""
    return ON_GPU if device.startswith("cuda") else 1


def batches(sizes: Sequence[tuple[int, int]], at_once: int) -> Iterator[list[int]]:
    """Yields the numbers of tiles that are seen together: of the same size, at most `at_once`.

    Args:
        sizes: height and width of what the network sees of each tile, px.
        at_once: number of tiles.
    """
    alike: dict[tuple[int, int], list[int]] = {}
    for number, size in enumerate(sizes):
        alike.setdefault(size, []).append(number)
    for numbers in alike.values():
        for start in range(0, len(numbers), at_once):
            yield numbers[start : start + at_once]
