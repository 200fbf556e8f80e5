"""The shapes of the area in which mitoses are counted, and what it holds at every place of a grid."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mitobench.errors import MitobenchError, nearest

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Counts = NDArray[np.int32]

MIN_AREA_MM2, MAX_AREA_MM2 = 0.001, 10_000.0  # a smaller area fits between the places at which it is tried
_POINTS_AT_ONCE = 1024  # limits the memory for the spans of points
OUTLINE_UM = 0.01  # from an area to its outline: other programs round coordinates, and count what is drawn within it
_CLOSE = 1e-3  # cells; far more than the errors of rounding


@dataclass(frozen=True)
class Area(ABC):
    """An area of a fixed shape and size, which is moved over a slide.

    Attributes:
        mm2: its size.
    """

    mm2: float

    @property
    @abstractmethod
    def reach_um(self) -> float:
        """How far it extends from its centre along x and along y, um."""

    @abstractmethod
    def holds(self, dx: Floats, dy: Floats) -> Bools:
        """Which offsets from its centre, um, lie in it or on its outline, bool, of the offsets' shape."""

    @abstractmethod
    def half_width_um(self, dy: Floats) -> Floats:
        """Half of its width at the distance `dy` um from its centre, um; about 0 outside it."""

    @abstractmethod
    def overlaps(self, dx: Floats, dy: Floats) -> Bools:
        """Whether it overlaps with another one whose centre is at this offset, um. Areas that touch do not overlap."""

    @abstractmethod
    def outline_um(self) -> Floats:
        """Corners of a polygon, [N, 2] um from the area's centre. The last is not the first again.

        It holds all of the area with its border, and nothing that is farther from it than about `2 * OUTLINE_UM`.
        """


@dataclass(frozen=True)
class Circle(Area):
    """A circle."""

    @property
    def reach_um(self) -> float:
        """Its radius, um."""
        return math.sqrt(self.mm2 * 1e6 / math.pi)

    def holds(self, dx: Floats, dy: Floats) -> Bools:
        """Which offsets lie in it."""
        inside: Bools = dx * dx + dy * dy <= self.reach_um**2
        return inside

    def half_width_um(self, dy: Floats) -> Floats:
        """Half of its width at `dy`."""
        width: Floats = np.sqrt(np.maximum(self.reach_um**2 - dy * dy, 0))
        return width

    def overlaps(self, dx: Floats, dy: Floats) -> Bools:
        """Whether two circles overlap."""
        near: Bools = dx * dx + dy * dy < (2 * self.reach_um) ** 2
        return near

    def outline_um(self) -> Floats:
        """A regular polygon around it, with so many corners that they are close to it."""
        radius = self.reach_um + OUTLINE_UM
        n = math.ceil(math.pi / math.acos(radius / (radius + OUTLINE_UM)))
        angle = np.linspace(0, 2 * math.pi, n, endpoint=False)
        return radius / math.cos(math.pi / n) * np.stack([np.cos(angle), np.sin(angle)], axis=1)


@dataclass(frozen=True)
class Square(Area):
    """A square with horizontal and vertical sides."""

    @property
    def reach_um(self) -> float:
        """Half of its side, um."""
        return math.sqrt(self.mm2 * 1e6) / 2

    def holds(self, dx: Floats, dy: Floats) -> Bools:
        """Which offsets lie in it."""
        inside: Bools = (np.abs(dx) <= self.reach_um) & (np.abs(dy) <= self.reach_um)
        return inside

    def half_width_um(self, dy: Floats) -> Floats:
        """Half of its width at `dy`."""
        return np.where(np.abs(dy) <= self.reach_um, self.reach_um, 0.0)

    def overlaps(self, dx: Floats, dy: Floats) -> Bools:
        """Whether two squares overlap."""
        near: Bools = (np.abs(dx) < 2 * self.reach_um) & (np.abs(dy) < 2 * self.reach_um)
        return near

    def outline_um(self) -> Floats:
        """A square around it."""
        return (self.reach_um + OUTLINE_UM) * np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])


SHAPES: dict[str, type[Circle] | type[Square]] = {"circle": Circle, "square": Square}


def area_of(shape: str, mm2: float) -> Area:
    """Returns an area of this shape, `circle` or `square`, and size.

    Raises MitobenchError for another shape, and a size that is not from MIN_AREA_MM2 to MAX_AREA_MM2.
    """
    if shape not in SHAPES:
        raise MitobenchError(f"Unknown shape {shape!r} of a hot spot. {nearest(shape, SHAPES)}")
    if not MIN_AREA_MM2 <= mm2 <= MAX_AREA_MM2:
        raise MitobenchError(
            f"A hot spot of {mm2:g} mm2: its size must be from {MIN_AREA_MM2:g} to {MAX_AREA_MM2:,.0f} mm2."
        )
    return SHAPES[shape](mm2)


def count_points(points_um: Floats, grid: tuple[int, int], step_um: float, area: Area) -> Counts:
    """Counts the points in an area around the centre of every cell of a grid, exactly.

    Args:
        points_um: [N, 2] x, y from the upper left corner of the grid.
        grid: rows and columns.
        step_um: side of a cell.
        area: the area.

    Returns int32 [rows, columns]. Along a row, the cells whose area holds a point are consecutive. A point therefore
    adds 1 from the first of them to the last: +1 there, -1 behind, summed up at the end.
    """
    changes = np.zeros((grid[0], grid[1] + 1), dtype=np.int32)
    flat = changes.reshape(-1)
    points_um = points_um[np.argsort(points_um[:, 1])]  # neighbours change the same rows, which are in the CPU's cache
    for start in range(0, len(points_um), _POINTS_AT_ONCE):
        row, first, behind = _spans(points_um[start : start + _POINTS_AT_ONCE], grid, step_um, area)
        row *= changes.shape[1]
        np.add.at(flat, row + first, np.int32(1))
        np.subtract.at(flat, row + behind, np.int32(1))
    counts: Counts = np.cumsum(changes, axis=1, dtype=np.int32)[:, :-1]
    return counts


def _spans(
    points: Floats, grid: tuple[int, int], step: float, area: Area
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Returns row, first column and the column behind the last one of all cells whose area holds a point."""
    reach = int(area.reach_um / step) + 2
    rows = np.floor(points[:, 1:] / step).astype(np.intp) + np.arange(-reach, reach + 1)
    x = np.broadcast_to(points[:, :1], rows.shape)
    dy = (rows + 0.5) * step - points[:, 1:]
    near = (rows >= 0) & (rows < grid[0]) & area.holds(np.zeros_like(dy), dy)
    row, x, dy = rows[near], x[near], dy[near]
    half = area.half_width_um(dy)
    start, end = (x - half) / step - 0.5, (x + half) / step - 0.5
    first, last = np.ceil(start).astype(np.intp), np.floor(end).astype(np.intp)
    # Where an end is almost at a centre, rounding may be wrong by one cell: `holds` decides.
    for ends, column, step_in in ((start, first, 1), (end, last, -1)):
        close = np.flatnonzero(np.abs(ends - np.rint(ends)) < _CLOSE)
        column[close] = _exact_end(column[close], step_in, x[close], dy[close], step, area)
    first, behind = np.maximum(first, 0), np.minimum(last + 1, grid[1])
    some = first < behind
    return row[some], first[some], behind[some]


def _exact_end(
    column: NDArray[np.intp], step_in: int, x: Floats, dy: Floats, step: float, area: Area
) -> NDArray[np.intp]:
    """Returns the outermost of `column` and its neighbours, inwards by `step_in`, whose area holds the point."""

    def holds(column: NDArray[np.intp]) -> Bools:
        return area.holds((column + 0.5) * step - x, dy)

    return np.where(holds(column - step_in), column - step_in, np.where(holds(column), column, column + step_in))


def count_cells(mask: Bools, step_um: float, area: Area) -> tuple[Counts, int]:
    """Counts the cells of a mask whose centres lie in an area around the centre of every cell.

    Returns int32 of the mask's shape, and the number of all cells in an area that lies on the grid completely.
    """
    reach = int(area.reach_um / step_um) + 1
    offsets = np.arange(-reach, reach + 1, dtype=np.float64) * step_um
    half = area.half_width_um(offsets)
    columns = [np.floor(half / step_um) + k for k in (-1, 0, 1)]  # the last column of each row is one of these
    last = np.max([np.where((c >= 0) & area.holds(c * step_um, offsets), c, -1.0) for c in columns], axis=0)
    total = int((2 * last + 1)[last >= 0].sum())
    # The sum over a window of a row changes by an edge of the mask once as the edge enters, and once as it leaves: two
    # sums along the row turn the edges that enter and leave into the sums, whatever the length of the runs.
    edges = np.diff(mask.astype(np.int8), axis=1, prepend=0, append=0)
    row, edge = np.nonzero(edges)
    sign = edges[row, edge].astype(np.int32)
    margin = int(last.max())
    changes = np.zeros((mask.shape[0], mask.shape[1] + margin + 1), dtype=np.int32)
    flat, width = changes.reshape(-1), changes.shape[1]
    edge += margin
    for dy in range(-min(reach, len(mask) - 1), min(reach, len(mask) - 1) + 1):
        if (half_width := int(last[dy + reach])) >= 0:
            near = slice(*np.searchsorted(row, [dy, len(mask) + dy]))
            start = (row[near] - dy) * width
            np.add.at(flat, start + edge[near] - half_width, sign[near])
            np.subtract.at(flat, start + np.minimum(edge[near] + half_width + 1, width - 1), sign[near])
    counts = np.cumsum(np.cumsum(changes, axis=1, out=changes), axis=1, out=changes)
    return counts[:, margin:-1].copy(), total
