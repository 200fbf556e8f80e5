"""Paints mitotic figures, and the imposters that are mistaken for them, on a canvas of tissue.

Both draw the density of their chromatin from the same distribution, their sizes overlap, and both may be surrounded by
cleared cytoplasm. Only outline, texture and surroundings distinguish them. Lengths are in um.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from mitobench.datasets.shapes import Array, Discs, oval, union
from mitobench.datasets.tissue import Canvas


def paint_mitosis(canvas: Canvas, xy: Array, outline: Callable[[Generator], Discs]) -> NDArray[np.int64]:
    """Paints a mitotic figure in a cell without a nuclear membrane; returns its pixels (x, y), [P, 2]."""
    rng = canvas.rng
    canvas.clear(xy, rng.uniform(5.0, 7.5), rng.uniform(0.05, 0.75))
    window, u, v = canvas.around(xy)
    outside = union(u, v, outline(rng)) + rng.uniform(0.3, 1.1) * canvas.ragged(window)
    canvas.stain(window, outside, canvas.condensed() * (1 + 0.10 * canvas.medium[window]), 0.3)
    canvas.defocus(window, u, v)
    rows, columns = np.nonzero(outside < 0.05)
    return np.stack([columns + window[1].start, rows + window[0].start], axis=1)


def pyknotic(canvas: Canvas, xy: Array) -> None:
    """Paints a shrunken, dark, mostly smooth nucleus without a membrane."""
    rng = canvas.rng
    canvas.clear(xy, rng.uniform(4.5, 7.0), rng.uniform(0.0, 0.75))
    window, u, v = canvas.around(xy)
    length = rng.uniform(5.5, 10.5)
    outside = oval(u, v, length, np.clip(length * rng.uniform(0.35, 0.8), 2.6, 5.5), rng, 0.16)
    outside += rng.uniform(0, 1.0) * canvas.ragged(window)
    canvas.stain(window, outside, canvas.condensed() * (1 + 0.06 * canvas.medium[window]), 0.3)
    canvas.defocus(window, u, v)


def apoptotic(canvas: Canvas, xy: Array) -> None:
    """Paints round fragments in a shrunken, hypereosinophilic cell with a halo."""
    rng = canvas.rng
    cell = rng.uniform(3.2, 5.0)
    canvas.clear(xy, cell + rng.uniform(0.8, 2.0), rng.uniform(0.2, 0.9))
    window, u, v = canvas.around(xy)
    grain = 0.04 * canvas.medium[window]
    body = oval(u, v, 2 * cell, 2 * cell * rng.uniform(0.75, 1), rng, 0.08) + canvas.ragged(window)
    canvas.stain(window, body + 0.2, 0.2 + grain, rng.uniform(0.4, 0.75) + grain)
    count = int(rng.integers(2, 9))
    centres = np.clip(rng.normal(0, 0.3, (count, 2)), -0.6, 0.6) * cell
    radii = np.append(rng.uniform(1.2, 2.2, 2), rng.uniform(0.5, 1.3, count - 2))
    outside = union(u, v, (centres, radii), 0.08) + rng.uniform(0, 0.5) * canvas.ragged(window)
    canvas.stain(window, outside, canvas.condensed(), 0.35)
    canvas.defocus(window, u, v)


def hyperchromatic(canvas: Canvas, xy: Array) -> None:
    """Paints a dark interphase nucleus with its membrane and coarse chromatin."""
    rng = canvas.rng
    window, u, v = canvas.around(xy)
    length = rng.uniform(6.0, 9.0)
    outside = oval(u, v, length, length * rng.uniform(0.5, 0.85), rng, 0.12)
    canvas.stain_nucleus(
        window, outside, 0.75 * canvas.condensed(), clumping=rng.uniform(0.1, 0.3), rim=rng.uniform(0, 0.25)
    )
    canvas.defocus(window, u, v)


def spindle(canvas: Canvas, xy: Array) -> None:
    """Paints a crushed or condensed elongated nucleus, like that of an endothelial cell."""
    canvas.paint_spindle(xy, canvas.rng.uniform(0, np.pi), 0.95 * canvas.condensed())


IMPOSTERS: dict[str, Callable[[Canvas, Array], None]] = {
    "apoptotic": apoptotic,
    "pyknotic": pyknotic,
    "hyperchromatic": hyperchromatic,
    "spindle": spindle,
}
