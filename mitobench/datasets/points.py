"""Parses the coordinates in annotation files line by line, so that errors name file and line."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mitobench import foreign
from mitobench.errors import DataError
from mitobench.foreign.limits import MAX_ANNOTATION_BYTES

OUTSIDE_PX = 2.0
BEYOND = "is outside the frame"  # in the note on a point that was moved
_PLAIN = re.compile(r"[0-9]{1,9}(?:,[0-9]{1,9})*", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def rows(path: Path) -> Iterator[tuple[str, list[float]]]:
    """Yields (`file:line`, numbers) for every line that is not blank.

    Ignores spaces, CRLF, a byte-order mark and trailing commas. Raises DataError for text, nan and inf, and for what
    only some programs take for a number.
    """
    text = foreign.read_text(path, MAX_ANNOTATION_BYTES, "text of comma-separated numbers", DataError, "utf-8-sig")
    for line_number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), start=1):
        cells = line.strip().rstrip(", \t")
        if cells:
            where = f"{path}:{line_number}"
            plain = _PLAIN.fullmatch(cells) is not None  # almost all lines; a mask has thousands of numbers
            yield where, [float(cell) if plain else number(cell, where) for cell in cells.split(",")]


def number(cell: str, where: str) -> float:
    """Reads one number. Raises DataError with the place if it is not one."""
    # Python's own `float` also takes 1_000 and the digits of other scripts.
    value = float(cell) if _NUMBER.fullmatch(cell.strip(" \t")) else math.nan
    if not math.isfinite(value):
        hint = " Numbers are separated by commas, and have a decimal point." if ";" in cell else ""
        shown = foreign.printable(repr(cell.strip()), 60)
        raise DataError(f"{where}: {shown} is not a number. Expected a coordinate in px.{hint}")
    return value


def clip(xy: NDArray[np.float64], size: tuple[int, int], where: str) -> tuple[NDArray[np.float64], list[str]]:
    """Moves points ([N, 2] px) into a frame of `size` (width, height); returns them, and a note if one had to move.

    Raises DataError when a point is `OUTSIDE_PX` or more beyond the first or last pixel: such a file belongs to
    another frame.
    """
    last = np.array(size) - 1.0
    inside = np.clip(xy, 0.0, last)
    beyond = np.abs(xy - inside).max(axis=1, initial=0.0)
    if (beyond >= OUTSIDE_PX).any():
        x, y = xy[beyond.argmax()]
        raise DataError(
            f"{where}: ({x:g}, {y:g}) is {beyond.max():g} px outside the frame of {size[0]} x {size[1]} px; "
            "the annotation belongs to another frame, or x and y are swapped."
        )
    if not beyond.any():
        return inside, []
    (x, y), (to_x, to_y) = xy[beyond.argmax()], inside[beyond.argmax()]
    return inside, [f"{where}: ({x:g}, {y:g}) {BEYOND}, clipped to ({to_x:g}, {to_y:g})"]
