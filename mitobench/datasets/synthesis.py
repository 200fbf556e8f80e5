"""H&E-like frames out of a physical colour model: stain concentrations -> optical density -> light -> camera.

A frame is painted as two maps of stain concentration, haematoxylin and eosin. Each slide has its own stain vectors,
staining strength, lamp and focus; Beer-Lambert's law turns concentrations into light (Ruifrok and Johnston 2001),
which is blurred by the focus and read by a noisy camera. Mitoses and their imposters draw their stain density from
one distribution and overlap in size: only outline, texture and surroundings tell them apart.

Lengths are in um, except where px is said.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from mitobench.api import Mitoses

MPP = 0.25
"""um/px of every synthetic frame."""

Array = NDArray[np.float64]
Points = tuple[Array, Array]  # centres [P, 2] and radii [P] of the discs that make up a figure, um

HAEMATOXYLIN = np.array([[0.40, 0.78, 0.48], [0.58, 0.72, 0.38]])  # optical density in R, G, B: two extremes,
EOSIN = np.array([[0.13, 0.86, 0.50], [0.12, 0.93, 0.34]])  # between which a slide lies
FIGURE_ROOM = 13.0  # least distance between two figures
MARGIN = 6.0  # least distance of a figure's centre from the frame's edge


@dataclass(frozen=True)
class Slide:
    """What all frames of a slide share: stain vectors [2, 3], strengths, lamp, focus, tissue."""

    stains: Array
    strength: Array
    lamp: Array
    blur_px: float
    noise: float
    spacing: float
    nucleus: float
    vesicular: float
    mitoses: float
    imposters: float


@dataclass(frozen=True)
class Picture:
    """A frame: pixels uint8 [H, W, 3], its annotation, and the kind of each mitosis and imposter."""

    image: NDArray[np.uint8]
    mitoses: Mitoses
    kinds: tuple[str, ...]
    imposter_kinds: tuple[str, ...]


def make_slide(seed: int, number: int) -> Slide:
    """The slide `number` of the set made from `seed`."""
    rng = np.random.default_rng([seed, number])
    mix = rng.uniform(0, 1, (2, 1))
    stains = np.stack([HAEMATOXYLIN, EOSIN])[:, 0] * (1 - mix) + np.stack([HAEMATOXYLIN, EOSIN])[:, 1] * mix
    return Slide(
        stains=stains / np.linalg.norm(stains, axis=1, keepdims=True),
        strength=rng.uniform([0.9, 0.75], [1.15, 1.2]),
        lamp=rng.uniform([246, 240, 244], [253, 248, 252]),
        blur_px=rng.uniform(0.55, 1.15),
        noise=rng.uniform(1.5, 3.5),
        spacing=rng.uniform(7.5, 10.0),
        nucleus=rng.uniform(6.5, 9.0),
        vesicular=rng.uniform(0.2, 0.9),
        mitoses=rng.uniform(1.6, 2.6),
        imposters=rng.uniform(2.2, 3.4),
    )


def make_frame(seed: int, slide_number: int, number: int, size: int = 256) -> Picture:
    """Frame `number` of a slide, `size` x `size` px: the same bytes for the same arguments."""
    slide = make_slide(seed, slide_number)
    rng = np.random.default_rng([seed, slide_number, number])
    canvas = Canvas(slide, rng, size)
    sites = scatter(rng, size * MPP, MARGIN, FIGURE_ROOM, rng.poisson(slide.mitoses + slide.imposters))
    mitotic = rng.random(len(sites)) < slide.mitoses / (slide.mitoses + slide.imposters)
    canvas.lay_tissue(sites)
    kinds = [str(rng.choice(list(MITOSES), p=[0.5, 0.18, 0.16, 0.16])) for _ in range(mitotic.sum())]
    imposter_kinds = [str(rng.choice(list(IMPOSTERS), p=[0.3, 0.35, 0.2, 0.15])) for _ in range((~mitotic).sum())]
    masks = [canvas.paint_mitosis(xy, MITOSES[kind]) for xy, kind in zip(sites[mitotic], kinds, strict=True)]
    imposters = [
        IMPOSTERS[kind](canvas, xy) for xy, kind in zip(sites[~mitotic], imposter_kinds, strict=True)
    ]
    xy = np.array([mask.mean(axis=0) for mask in masks]).reshape(-1, 2)
    annotation = Mitoses(xy, tuple(masks), np.array(imposters).reshape(-1, 2))
    return Picture(canvas.photograph(), annotation, tuple(kinds), tuple(imposter_kinds))


def scatter(rng: Generator, side: float, margin: float, room: float, count: int, taken: Array | None = None) -> Array:
    """Up to `count` random points [N, 2] in a square, no two closer than `room` to each other or to `taken`."""
    taken = np.zeros((0, 2)) if taken is None else taken
    points = list(taken)
    for candidate in rng.uniform(margin, side - margin, (12 * count, 2)):
        if len(points) - len(taken) == count:
            break
        if not points or np.min(np.sum((np.array(points) - candidate) ** 2, axis=1)) > room**2:
            points.append(candidate)
    return np.array(points[len(taken) :]).reshape(-1, 2)


# ------------------------------------------------------------------------------------------------- outlines


def oval(u: Array, v: Array, length: float, width: float, rng: Generator, wobble: float = 0.05) -> Array:
    """Distance outside (negative: inside) of a wobbly ellipse."""
    angle = np.arctan2(v, u)
    outline = 1 + sum(
        wobble / k * rng.standard_normal() * np.cos((k + 1) * angle + rng.uniform(0, 2 * np.pi)) for k in (1, 2, 3)
    )
    return (np.hypot(2 * u / length, 2 * v / width) / outline - 1) * min(length, width) / 2


def union(u: Array, v: Array, discs: Points, smooth: float = 0.15) -> Array:
    """Distance outside (negative: inside) of a union of discs, its joints rounded by `smooth`."""
    centres, radii = discs
    apart = np.hypot(u[..., None] - centres[:, 0], v[..., None] - centres[:, 1]) - radii
    nearest = apart.min(axis=-1)
    return nearest - smooth * np.log(np.exp(-(apart - nearest[..., None]) / smooth).sum(axis=-1))


def with_arms(rng: Generator, centres: Array, radii: Array, outward: Array, count: int) -> Points:
    """Chromosome arms, short rows of small discs, stick out of `count` of the discs along `outward` [P, 2]."""
    chosen = rng.integers(0, len(centres), count)
    steps = np.linspace(0.5, 1.0, 3)[None, :, None] * rng.uniform(0.9, 2.3, (count, 1, 1))
    turn = outward[chosen] + rng.normal(0, 0.35, (count, 2))
    arms = (centres[chosen][:, None] + steps * turn[:, None]).reshape(-1, 2)
    return np.concatenate([centres, arms]), np.concatenate([radii, rng.uniform(0.25, 0.45, len(arms))])


def plate(rng: Generator, length: float, width: float, side: int = 0) -> Points:
    """A metaphase plate, seen from its edge; `side` -1 or 1: a daughter plate, whose arms trail to one side."""
    count = int(2.6 * length)
    x = np.linspace(-length / 2, length / 2, count) + rng.normal(0, 0.2, count)
    radii = rng.uniform(0.26, 0.36, count) * width * (1 - 0.35 * (2 * x / length) ** 2)
    y = rng.normal(0, 0.16 * width, count) + rng.normal(0, 0.02) * x**2 - side * 0.03 * x**2
    sign = rng.choice([-1, 1], count) if side == 0 else np.full(count, -side)
    outward = np.stack([0.25 * np.sign(x), sign], axis=1)
    return with_arms(rng, np.stack([x, y], axis=1), radii, outward, rng.integers(2, 7))


def metaphase(rng: Generator) -> Points:
    """One plate, 6.5-12 um long and 2.5-4 um thick."""
    return plate(rng, np.clip(rng.normal(8.8, 1.3), 6.5, 12), rng.uniform(2.4, 3.8))


def anaphase(rng: Generator) -> Points:
    """Two parallel plates that part: one mitosis."""
    length, gap = rng.uniform(6, 8.5), rng.uniform(3.2, 6.5)
    halves = [plate(rng, length * rng.uniform(0.9, 1.1), rng.uniform(1.8, 2.5), side) for side in (-1, 1)]
    centres = [c + [rng.normal(0, 0.3), side * gap / 2] for (c, _), side in zip(halves, (-1, 1), strict=True)]
    return np.concatenate(centres), np.concatenate([radii for _, radii in halves])


def ring(rng: Generator) -> Points:
    """Prometaphase: chromosomes around a clear middle, ragged outside."""
    count, radius = int(rng.integers(13, 20)), rng.uniform(2.3, 3.3)
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False) + rng.normal(0, 0.12, count)
    outward = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    centres = outward * (radius + rng.normal(0, 0.35, (count, 1))) * [1, rng.uniform(0.7, 1)]
    return with_arms(rng, centres, rng.uniform(0.55, 0.95, count), outward, rng.integers(4, 9))


def clump(rng: Generator) -> Points:
    """Late prophase or a plate seen from its pole: a knobby, ragged lump."""
    count, radius = int(rng.integers(16, 26)), rng.uniform(2.0, 3.0)
    angle, r = rng.uniform(0, 2 * np.pi, count), radius * np.sqrt(rng.uniform(0.05, 1, count))
    outward = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    centres = outward * r[:, None] * [1, rng.uniform(0.65, 1)]
    return with_arms(rng, centres, rng.uniform(0.5, 0.85, count), outward, rng.integers(4, 10))


MITOSES: dict[str, Callable[[Generator], Points]] = {
    "metaphase": metaphase,
    "anaphase": anaphase,
    "ring": ring,
    "clump": clump,
}


# -------------------------------------------------------------------------------------------------- painting


class Canvas:
    """Two maps of stain concentration, [size, size] each, on which a slide's tissue is painted."""

    def __init__(self, slide: Slide, rng: Generator, size: int) -> None:
        self.slide, self.rng, self.size = slide, rng, size
        self.h = np.zeros((size, size))
        self.e = np.zeros((size, size))
        self.y, self.x = np.mgrid[:size, :size] * MPP
        self.fine, self.medium, self.coarse = (self.noise(px) for px in (0.8, 1.6, 4.0))
        self.fibre_angle = rng.uniform(0, np.pi)

    def noise(self, sigma_px: float) -> Array:
        """Smooth noise [size, size] of mean 0 and deviation 1."""
        field = ndimage.gaussian_filter(self.rng.standard_normal((self.size, self.size)), sigma_px, mode="wrap")
        return (field - field.mean()) / field.std()

    def lay_tissue(self, figures: Array) -> None:
        """Cytoplasm, stroma, clefts and holes, then interphase nuclei around the places [N, 2] of the figures."""
        rng, slide, side = self.rng, self.slide, self.size * MPP
        broad, wavy = self.noise(28), self.noise(18)
        fibres = self.fibres(broad)
        stroma = 1 / (1 + np.exp(-6 * (wavy - rng.uniform(0.4, 1.6))))
        nuclei = scatter(rng, side, -4, slide.spacing, int(2 * (side / slide.spacing) ** 2), figures)
        sites = np.concatenate([figures, nuclei])
        warped = np.stack([self.x + 1.2 * wavy + 0.3 * self.coarse, self.y + 1.2 * broad], axis=-1)
        near, cell = cKDTree(sites).query(warped, k=2)
        foam = np.maximum(self.medium, 0) * 0.10 - np.maximum(self.coarse, 0) * 0.05
        tint = rng.uniform(0.8, 1.2, len(sites))[cell[..., 0]]
        cytoplasm = tint * (0.36 + foam + 0.03 * self.fine)
        border = np.exp(-((near[..., 1] - near[..., 0]) ** 2) / 0.5)
        self.e = cytoplasm * (1 - stroma) + stroma * (0.5 + 0.13 * fibres) + 0.10 * border * (1 - stroma)
        self.h = np.clip(0.13 + 0.04 * self.medium + 0.03 * broad + 0.08 * stroma + 0.06 * border, 0.02, None)
        cleft = 1 / (1 + np.exp((near[..., 1] - near[..., 0] - 0.9 * (broad + 0.4 * self.coarse - 0.9)) / 0.2))
        hole = self.hole(figures)
        self.fade(np.maximum(0.9 * cleft, hole))
        in_hole = hole[tuple(np.clip(nuclei / MPP, 0, self.size - 1).astype(int).T[::-1])] > 0.02
        for xy in nuclei[~in_hole]:
            row, column = np.clip(xy[::-1] / MPP, 0, self.size - 1).astype(int)
            (self.paint_spindle if rng.random() < 0.75 * stroma[row, column] else self.paint_interphase)(xy)

    def fibres(self, bend: Array) -> Array:
        """Collagen: noise stretched along a direction that bends, deviation 1."""
        c, s = np.cos(self.fibre_angle), np.sin(self.fibre_angle)
        along, across = self.x * c + self.y * s, self.y * c - self.x * s + 1.5 * bend
        grain = ndimage.gaussian_filter(self.rng.standard_normal((128, 128)), 0.8, mode="wrap")
        return ndimage.map_coordinates(grain / grain.std(), [across / 0.55, along / 8], order=1, mode="grid-wrap")

    def hole(self, figures: Array) -> Array:
        """Coverage [size, size] of a lumen or fat cell, in some frames, away from the figures."""
        rng = self.rng
        x, y = rng.uniform(0, self.size * MPP, 2)
        radius = rng.uniform(5, 12)
        if rng.random() > 0.4 or (len(figures) and np.hypot(*(figures - [x, y]).T).min() < radius + 8):
            return np.zeros_like(self.h)
        d = oval(self.x - x, self.y - y, 2 * radius, 2 * radius * rng.uniform(0.7, 1), rng, 0.1)
        return 1 / (1 + np.exp(d / 0.25))

    def fade(self, amount: Array) -> None:
        """Take that part of both stains away."""
        self.h *= 1 - amount
        self.e *= 1 - amount

    def near(self, xy: Array, angle: float, reach: float = 11.0) -> tuple[tuple[slice, slice], Array, Array]:
        """The window around a point and its coordinates u, v along and across `angle`."""
        column, row = np.round(np.asarray(xy) / MPP).astype(int)
        span = int(reach / MPP)
        window = (slice(max(row - span, 0), row + span), slice(max(column - span, 0), column + span))
        dx, dy = self.x[window] - xy[0], self.y[window] - xy[1]
        c, s = np.cos(angle), np.sin(angle)
        return window, dx * c + dy * s, dy * c - dx * s

    def stain(self, window: tuple[slice, slice], distance: Array, h: Array | float, e: Array | float) -> None:
        """Replace the stains inside an outline."""
        inside = 1 / (1 + np.exp(np.clip(distance / 0.10, -30, 30)))
        self.h[window] += inside * (h - self.h[window])
        self.e[window] += inside * (e - self.e[window])

    def density(self) -> float:
        """Haematoxylin of condensed chromatin: one distribution for mitoses and imposters."""
        return float(np.clip(self.rng.normal(1.08, 0.17), 0.7, 1.5))

    def clear(self, xy: Array, radius: float, amount: float) -> None:
        """Thin the cytoplasm around a figure, as in a rounded or shrunken cell."""
        window, u, v = self.near(xy, 0.0)
        zone = amount / (1 + np.exp(oval(u, v, 2 * radius, 2 * radius, self.rng) / 0.5))
        self.h[window] *= 1 - zone
        self.e[window] *= 1 - zone * (0.75 + 0.25 * np.tanh(self.coarse[window]))

    def paint_interphase(self, xy: Array) -> None:
        """An ordinary nucleus: membrane, chromatin, nucleoli; now and then a small dark lymphocyte."""
        rng = self.rng
        lymphocyte = rng.random() < 0.06
        length = rng.uniform(4.8, 6.2) if lymphocyte else self.slide.nucleus * rng.lognormal(0.08, 0.15)
        width = length * rng.uniform(0.85, 1) if lymphocyte else length * rng.uniform(0.6, 0.95)
        window, u, v = self.near(xy, rng.uniform(0, np.pi))
        d = oval(u, v, length, width, rng)
        level = rng.uniform(0.6, 0.9) if lymphocyte else rng.uniform(0.2, 0.62) * (1.2 - 0.5 * self.slide.vesicular)
        self.nucleus(window, d, level, clumping=0.16, rim=rng.uniform(0.15, 0.5))
        for _ in range(0 if lymphocyte else rng.poisson(1.1)):
            a, b = rng.normal(0, 0.16, 2) * [length, width]
            self.stain(window, np.hypot(u - a, v - b) - rng.uniform(0.35, 0.8), rng.uniform(0.5, 0.95), 0.45)

    def nucleus(self, window: tuple[slice, slice], d: Array, level: float, clumping: float, rim: float) -> None:
        """Chromatin of mean `level` with a membrane of density `rim` on top."""
        grains = clumping * (0.5 * self.fine[window] + np.maximum(self.medium[window], -0.7))
        membrane = rim * np.exp(-(((d + 0.25) / 0.3) ** 2))
        self.stain(window, d, np.clip(level + grains + membrane, 0.03, None), 0.2 + 0.05 * self.coarse[window])

    def paint_mitosis(self, xy: Array, figure: Callable[[Generator], Points]) -> NDArray[np.int64]:
        """A mitotic figure in a cell that has no nuclear membrane; gives its pixels (x, y), [P, 2]."""
        rng = self.rng
        self.clear(xy, rng.uniform(5.0, 7.5), rng.uniform(0.15, 0.75))
        window, u, v = self.near(xy, rng.uniform(0, np.pi))
        d = union(u, v, figure(rng)) + 0.10 * self.fine[window] + 0.08 * self.medium[window]
        self.stain(window, d, self.density() * (1 + 0.10 * self.medium[window]), 0.22)
        rows, columns = np.nonzero(d < 0.05)
        return np.stack([columns + window[1].start, rows + window[0].start], axis=1)

    def paint_pyknotic(self, xy: Array) -> Array:
        """A shrunken, smooth, dark nucleus; gives its centre in px."""
        rng = self.rng
        if rng.random() < 0.6:
            self.clear(xy, rng.uniform(4.5, 7.0), rng.uniform(0.15, 0.75))
        window, u, v = self.near(xy, rng.uniform(0, np.pi))
        length = rng.uniform(5.0, 9.0)
        d = oval(u, v, length, length * rng.uniform(0.4, 0.85), rng, 0.10)
        self.stain(window, d, self.density() * (1 + 0.04 * self.medium[window]), 0.3)
        return xy / MPP

    def paint_apoptotic(self, xy: Array) -> Array:
        """Round, smooth fragments in a shrunken, hypereosinophilic cell with a halo; gives its centre in px."""
        rng = self.rng
        cell = rng.uniform(3.5, 5.0)
        self.clear(xy, cell + rng.uniform(0.8, 2.0), rng.uniform(0.3, 0.9))
        window, u, v = self.near(xy, rng.uniform(0, np.pi))
        body = oval(u, v, 2 * cell, 2 * cell * rng.uniform(0.75, 1), rng, 0.08)
        self.stain(window, body + 0.2, 0.2 + 0.03 * self.medium[window], rng.uniform(0.45, 0.8) + 0.04 * self.medium[window])
        count = int(rng.integers(1, 6))
        centres = rng.uniform(-0.5, 0.5, (count, 2)) * cell
        radii = np.append(rng.uniform(1.4, 2.4), rng.uniform(0.5, 1.4, count - 1))
        self.stain(window, union(u, v, (centres, radii), 0.08), self.density(), 0.35)
        return xy / MPP

    def paint_hyperchromatic(self, xy: Array) -> Array:
        """A large dark interphase nucleus that keeps its membrane and coarse chromatin; gives its centre in px."""
        rng = self.rng
        window, u, v = self.near(xy, rng.uniform(0, np.pi))
        length = rng.uniform(6.0, 9.0)
        d = oval(u, v, length, length * rng.uniform(0.55, 0.85), rng, 0.09)
        self.nucleus(window, d, 0.8 * self.density(), clumping=0.2, rim=0.2)
        return xy / MPP

    def paint_spindle(self, xy: Array, dark: bool = False) -> Array:
        """A fibroblast's nucleus along the fibres, or a `dark` one anyhow; gives its centre in px."""
        rng = self.rng
        angle = rng.uniform(0, np.pi) if dark else self.fibre_angle + rng.normal(0, 0.25)
        window, u, v = self.near(xy, angle)
        length = rng.uniform(8, 13)
        bent = v + rng.normal(0, 0.015) * u**2
        d = oval(u, bent, length, length * rng.uniform(0.2, 0.33), rng, 0.06)
        self.nucleus(window, d, 0.9 * self.density() if dark else rng.uniform(0.35, 0.75), clumping=0.1, rim=0.15)
        return xy / MPP

    def photograph(self) -> NDArray[np.uint8]:
        """What the camera sees, uint8 [size, size, 3]: Beer-Lambert, focus, shot and read-out noise."""
        rng, slide = self.rng, self.slide
        amounts = np.stack([self.h, self.e], axis=-1) * slide.strength
        light = 10.0 ** -(np.clip(amounts, 0, None) @ slide.stains)
        blur = slide.blur_px * rng.lognormal(0, 0.12)
        light = ndimage.gaussian_filter(light, (blur, blur, 0))
        noise = rng.standard_normal(light.shape) * slide.noise * np.sqrt(0.2 + 0.8 * light)
        return np.clip(np.round(light * slide.lamp + noise), 0, 255).astype(np.uint8)


IMPOSTERS: dict[str, Callable[[Canvas, Array], Array]] = {
    "apoptotic": Canvas.paint_apoptotic,
    "pyknotic": Canvas.paint_pyknotic,
    "hyperchromatic": Canvas.paint_hyperchromatic,
    "spindle": lambda canvas, xy: canvas.paint_spindle(xy, dark=True),
}
