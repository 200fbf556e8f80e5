"""Outlines of nuclei and mitotic figures, as distances in um: negative inside, positive outside.

A figure is a union of discs, which are the chromosomes: a plate seen from its edge, two separating plates, a ring or a
clump. Short rows of small discs are chromosome arms that stick out of it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Array = NDArray[np.float64]
Discs = tuple[Array, Array]  # centres [P, 2] and radii [P], um


def oval(u: Array, v: Array, length: float, width: float, rng: Generator, wobble: float = 0.05) -> Array:
    """Distance outside (negative: inside) of an irregular ellipse, um."""
    angle = np.arctan2(v, u)
    outline = 1 + sum(
        wobble / k * rng.standard_normal() * np.cos((k + 1) * angle + rng.uniform(0, 2 * np.pi)) for k in (1, 2, 3)
    )
    return (np.hypot(2 * u / length, 2 * v / width) / outline - 1) * min(length, width) / 2


def union(u: Array, v: Array, discs: Discs, smooth: float = 0.15) -> Array:
    """Distance outside (negative: inside) of a union of discs whose joints are rounded by `smooth`, um."""
    centres, radii = discs
    apart = np.hypot(u[..., None] - centres[:, 0], v[..., None] - centres[:, 1]) - radii
    nearest = apart.min(axis=-1)
    distance: Array = nearest - smooth * np.log(np.exp((nearest[..., None] - apart) / smooth).sum(axis=-1))
    return distance


def with_arms(rng: Generator, centres: Array, radii: Array, outward: Array, count: int) -> Discs:
    """Adds chromosome arms: short rows of small discs that stick out of `count` of the discs along `outward` [P, 2]."""
    chosen = rng.integers(0, len(centres), count)
    steps = np.linspace(0.5, 1.0, 3)[None, :, None] * rng.uniform(0.9, 2.3, (count, 1, 1))
    turn = outward[chosen] + rng.normal(0, 0.35, (count, 2))
    arms = (centres[chosen][:, None] + steps * turn[:, None]).reshape(-1, 2)
    return np.concatenate([centres, arms]), np.concatenate([radii, rng.uniform(0.25, 0.45, len(arms))])


def plate(rng: Generator, length: float, width: float, side: int = 0) -> Discs:
    """A metaphase plate seen from its edge. `side` -1 or 1: a daughter plate whose arms trail to one side."""
    count = int(2.6 * length)
    x = np.linspace(-length / 2, length / 2, count) + rng.normal(0, 0.2, count)
    radii = rng.uniform(0.26, 0.36, count) * width * (1 - 0.35 * (2 * x / length) ** 2)
    y = rng.normal(0, 0.16 * width, count) + rng.normal(0, 0.02) * x**2 - side * 0.03 * x**2
    sign = rng.choice([-1, 1], count) if side == 0 else np.full(count, -side)
    outward = np.stack([0.25 * np.sign(x), sign], axis=1)
    return with_arms(rng, np.stack([x, y], axis=1), radii, outward, int(rng.integers(0, 5)))


def metaphase(rng: Generator) -> Discs:
    """One plate, 6.5-12 um long and 2.5-4 um thick."""
    return plate(rng, float(np.clip(rng.normal(8.8, 1.3), 6.5, 12)), rng.uniform(2.4, 3.8))


def anaphase(rng: Generator) -> Discs:
    """Two separating parallel plates, which are one mitosis."""
    length, gap = rng.uniform(6, 8.5), rng.uniform(3.8, 6.8)
    halves = [plate(rng, length * rng.uniform(0.9, 1.1), rng.uniform(1.8, 2.5), side) for side in (-1, 1)]
    centres = [c + np.array([rng.normal(0, 0.3), side * gap / 2]) for (c, _), side in zip(halves, (-1, 1), strict=True)]
    return np.concatenate(centres), np.concatenate([radii for _, radii in halves])


def ring(rng: Generator) -> Discs:
    """Prometaphase: chromosomes around a clear centre, with a ragged outline."""
    count, radius = int(rng.integers(13, 20)), rng.uniform(2.3, 3.3)
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False) + rng.normal(0, 0.12, count)
    outward = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    centres = outward * (radius + rng.normal(0, 0.35, (count, 1))) * [1, rng.uniform(0.7, 1)]
    return with_arms(rng, centres, rng.uniform(0.55, 0.95, count), outward, int(rng.integers(1, 7)))


def clump(rng: Generator) -> Discs:
    """Late prophase, or a plate seen from its pole: a knobby, ragged clump."""
    count, radius = int(rng.integers(16, 26)), rng.uniform(2.0, 3.0)
    angle, r = rng.uniform(0, 2 * np.pi, count), radius * np.sqrt(rng.uniform(0.05, 1, count))
    outward = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    centres = outward * r[:, None] * [1, rng.uniform(0.65, 1)]
    return with_arms(rng, centres, rng.uniform(0.5, 0.85, count), outward, int(rng.integers(1, 7)))


MITOSES: dict[str, Callable[[Generator], Discs]] = {
    "metaphase": metaphase,
    "anaphase": anaphase,
    "ring": ring,
    "clump": clump,
}
