"""Paints tissue as two maps of stain concentration: stroma, cells and interphase nuclei.

Lengths are in um unless px is given.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from scipy import fft, ndimage
from scipy.spatial import cKDTree
from scipy.special import expit

from mitobench.datasets.shapes import Array, oval

MPP = 0.25
"""um/px of every synthetic frame."""

Window = tuple[slice, slice]


@dataclass(frozen=True)
class Tissue:
    """The properties of a slide's tissue.

    Attributes:
        spacing: minimum distance between two nuclei, um.
        nucleus: median length of a nucleus, um.
        vesicular: how pale the inside of nuclei is, 0-1.
        foam: fraction of the cytoplasm that is vacuoles, 0-1.
        shrinkage: how wide the clefts between cells are, um.
    """

    spacing: float
    nucleus: float
    vesicular: float
    foam: float
    shrinkage: float

    @classmethod
    def draw(cls, rng: Generator) -> Tissue:
        """Draws the tissue of a random slide."""
        return cls(
            spacing=rng.uniform(7.5, 10.0),
            nucleus=rng.uniform(6.5, 9.0),
            vesicular=rng.uniform(0.2, 1.0),
            foam=rng.uniform(0.1, 0.8),
            shrinkage=rng.uniform(-0.3, 0.5),
        )


def scatter(
    rng: Generator, side: float, margin: float, spacing: float, count: int, taken: Array | None = None
) -> Array:
    """Draws up to `count` points [N, 2] in a square, at least `spacing` from each other and from the points `taken`."""
    points = np.zeros((0, 2)) if taken is None else taken
    first, last = len(points), len(points) + count
    for candidate in rng.uniform(margin, side - margin, (6 * count, 2)):
        if len(points) < last and (np.hypot(*(points - candidate).T) > spacing).all():
            points = np.vstack([points, candidate])
    return points[first:]


class Canvas:
    """Two maps of stain concentration, [size, size] each, on which a slide's tissue is painted.

    Attributes:
        haematoxylin, eosin: the maps; optical density is their product with the stain vectors.
        x, y: coordinates of every pixel, um.
        fine, medium, coarse: smooth noise with standard deviation 1, used as the grain of everything painted.
    """

    def __init__(self, tissue: Tissue, rng: Generator, size: int) -> None:
        self.tissue, self.rng, self.size = tissue, rng, size
        self.haematoxylin, self.eosin = np.zeros((2, size, size))
        self.y, self.x = np.mgrid[:size, :size] * MPP
        self.fine, self.medium, self.coarse = (self.noise(sigma_px) for sigma_px in (0.8, 1.6, 4.0))
        self.fibre_angle = rng.uniform(0, np.pi)

    def noise(self, sigma_px: float) -> Array:
        """Smooth noise [size, size] with mean 0 and standard deviation 1."""
        white = fft.rfft2(self.rng.standard_normal((self.size, self.size)))
        field: Array = fft.irfft2(ndimage.fourier_gaussian(white, sigma_px, n=self.size), s=(self.size, self.size))
        field -= field.mean()
        field /= field.std()
        return field

    # ---------------------------------------------------------------------------------- background

    def lay(self, figures: Array) -> None:
        """Paints everything except the figures; leaves space at their centres [N, 2]."""
        broad, wavy = self.noise(28), self.noise(18)
        spacing = self.tissue.spacing
        nuclei = scatter(self.rng, self.size * MPP, -4, spacing, int(2 * (self.size * MPP / spacing) ** 2), figures)
        stroma = expit(6 * (wavy - self.rng.uniform(0.0, 1.6)))
        warped = np.stack([self.x + 1.2 * wavy + 0.3 * self.coarse, self.y + 1.2 * broad], axis=-1)
        self.lay_cells(np.concatenate([figures, nuclei]), warped, stroma, broad)
        hole = self.hole(figures)
        self.fade(hole)
        for xy in nuclei:
            here = tuple(np.clip(xy[::-1] / MPP, 0, self.size - 1).astype(int))
            if hole[here] < 0.02:
                self.paint_resident(xy, stroma[here])

    def lay_cells(self, sites: Array, warped: Array, stroma: Array, broad: Array) -> None:
        """Paints cells around `sites` [N, 2] with borders and clefts, and stroma with coverage `stroma`."""
        apart, cell = cKDTree(sites).query(warped, k=2)
        between = apart[..., 1] - apart[..., 0]
        border = np.exp(-2 * between**2)
        tint = self.rng.uniform(0.75, 1.25, len(sites))[cell[..., 0]]
        vacuoles = self.tissue.foam * expit((self.medium + 0.4 * self.coarse - 0.9) / 0.25)
        cytoplasm = tint * (0.40 + 0.05 * self.fine - 0.06 * self.medium) * (1 - vacuoles) + 0.10 * border
        collagen = 0.52 + 0.15 * self.fibres(broad) + 0.04 * self.fine
        self.eosin = cytoplasm + stroma * (collagen - cytoplasm)
        self.haematoxylin = 0.15 - 0.05 * self.medium + 0.03 * broad + 0.06 * stroma + 0.06 * border
        width = 0.9 * (broad + 0.4 * self.coarse + self.tissue.shrinkage - 0.8)
        self.fade(0.9 * expit((width - between) / 0.2))

    def fibres(self, bend: Array) -> Array:
        """Collagen: noise with standard deviation 1, stretched along a bent direction."""
        c, s = np.cos(self.fibre_angle), np.sin(self.fibre_angle)
        along, across = self.x * c + self.y * s, self.y * c - self.x * s + 1.5 * bend
        grain = ndimage.gaussian_filter(self.rng.standard_normal((128, 128)), 0.8, mode="wrap")
        places = [across / 0.55, along / 8]
        fibres: Array = ndimage.map_coordinates(grain / grain.std(), places, order=1, mode="grid-wrap")
        return fibres

    def hole(self, figures: Array) -> Array:
        """Coverage [size, size] of a lumen or fat cell away from the figures; zero in frames without one."""
        rng = self.rng
        x, y = rng.uniform(0, self.size * MPP, 2)
        radius = rng.uniform(5, 12)
        crowded = np.hypot(*(figures - [x, y]).T).min(initial=np.inf) < radius + 8
        if crowded or rng.random() > 0.4:
            return np.zeros_like(self.eosin)
        outside = oval(self.x - x, self.y - y, 2 * radius, 2 * radius * rng.uniform(0.7, 1), rng, 0.1)
        coverage: Array = expit(-outside / 0.25)
        return coverage

    def fade(self, amount: Array) -> None:
        """Removes this fraction of both stains."""
        self.haematoxylin *= 1 - amount
        self.eosin *= 1 - amount

    # ---------------------------------------------------------------------------------- brushes

    def near(self, xy: Array, angle: float, reach: float = 11.0) -> tuple[Window, Array, Array]:
        """Returns the window within `reach` of a point, and its coordinates u, v along and across `angle`."""
        column, row = np.round(xy / MPP).astype(int)
        span = int(reach / MPP)
        window = (slice(max(row - span, 0), row + span), slice(max(column - span, 0), column + span))
        dx, dy = self.x[window] - xy[0], self.y[window] - xy[1]
        c, s = np.cos(angle), np.sin(angle)
        return window, dx * c + dy * s, dy * c - dx * s

    def around(self, xy: Array, reach: float = 11.0) -> tuple[Window, Array, Array]:
        """Like `near`, at a random angle."""
        return self.near(xy, self.rng.uniform(0, np.pi), reach)

    def stain(self, window: Window, outside: Array, haematoxylin: Array | float, eosin: Array | float) -> None:
        """Replaces the stains inside an outline."""
        inside = expit(-outside / 0.10)
        self.haematoxylin[window] += inside * (haematoxylin - self.haematoxylin[window])
        self.eosin[window] += inside * (eosin - self.eosin[window])

    def stain_nucleus(self, window: Window, outside: Array, level: float, clumping: float, rim: float) -> None:
        """Paints clumped chromatin with mean density `level`, and a membrane of density `rim` on top."""
        grain = clumping * (0.5 * self.fine[window] + np.maximum(self.medium[window], -0.7))
        membrane = rim * np.exp(-(((outside + 0.25) / 0.3) ** 2))
        self.stain(window, outside, (level + grain + membrane).clip(0.03), 0.24 + 0.05 * self.coarse[window])

    def condensed(self) -> float:
        """Draws the haematoxylin density of condensed chromatin: the same distribution for mitoses and imposters."""
        return float(np.clip(self.rng.normal(1.08, 0.17), 0.7, 1.5))

    def ragged(self, window: Window) -> Array:
        """Noise that makes an outline ragged, um."""
        return 0.12 * self.fine[window] + 0.15 * self.medium[window]

    def defocus(self, window: Window, u: Array, v: Array) -> None:
        """Blurs a figure as if it were above or below the focal plane."""
        blur_px = min(self.rng.exponential(0.5), 1.5)
        close = np.exp(-(((u**2 + v**2) / 8.0**2) ** 2))
        for stain in (self.haematoxylin[window], self.eosin[window]):
            stain += close * (ndimage.gaussian_filter(stain, blur_px) - stain)

    def clear(self, xy: Array, radius: float, amount: float) -> None:
        """Thins the cytoplasm around a figure, as in a rounded or shrunken cell."""
        window, u, v = self.near(xy, 0.0)
        zone = amount * expit(-oval(u, v, 2 * radius, 2 * radius, self.rng) / 0.5)
        self.haematoxylin[window] *= 1 - zone
        self.eosin[window] *= 1 - zone * (0.75 + 0.25 * np.tanh(self.coarse[window]))

    # ---------------------------------------------------------------------------------- nuclei

    def paint_resident(self, xy: Array, stroma: float) -> None:
        """Paints an ordinary nucleus: of a fibroblast (mostly in stroma), a lymphocyte or another cell."""
        if self.rng.random() < 0.75 * stroma:
            self.paint_spindle(xy, self.fibre_angle + self.rng.normal(0, 0.25), self.rng.uniform(0.35, 0.75))
        elif self.rng.random() < 0.06:
            self.paint_lymphocyte(xy)
        else:
            self.paint_interphase(xy)

    def paint_interphase(self, xy: Array) -> None:
        """Paints an interphase nucleus: membrane, chromatin, nucleoli."""
        rng = self.rng
        window, u, v = self.around(xy, 8.0)
        length = self.tissue.nucleus * rng.lognormal(0.08, 0.15)
        width = length * rng.uniform(0.6, 0.95)
        level = rng.uniform(0.25, 0.65) * (1.2 - 0.7 * self.tissue.vesicular)
        self.stain_nucleus(window, oval(u, v, length, width, rng), level, clumping=0.15, rim=rng.uniform(0.2, 0.6))
        for _ in range(rng.poisson(1.1)):
            a, b = rng.normal(0, 0.16, 2) * [length, width]
            self.stain(window, np.hypot(u - a, v - b) - rng.uniform(0.35, 0.8), rng.uniform(0.5, 0.95), 0.45)

    def paint_lymphocyte(self, xy: Array) -> None:
        """Paints a small, round, dark nucleus."""
        rng = self.rng
        window, u, v = self.around(xy, 5.0)
        length = rng.uniform(4.8, 6.2)
        outside = oval(u, v, length, length * rng.uniform(0.85, 1), rng)
        self.stain_nucleus(window, outside, rng.uniform(0.6, 0.9), clumping=0.15, rim=rng.uniform(0.2, 0.5))

    def paint_spindle(self, xy: Array, angle: float, level: float) -> None:
        """Paints an elongated nucleus with chromatin of mean density `level`."""
        rng = self.rng
        window, u, v = self.near(xy, angle)
        length = rng.uniform(7.5, 13)
        bent = v + rng.normal(0, 0.015) * u**2
        outside = oval(u, bent, length, length * rng.uniform(0.2, 0.33), rng, 0.1) + 0.4 * self.ragged(window)
        self.stain_nucleus(window, outside, level, clumping=0.1, rim=0.1)
