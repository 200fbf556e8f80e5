"""Makes H&E-like frames with a physical colour model: stain concentrations -> optical density -> light -> camera.

Each slide has its own tissue, stain vectors, staining strength, lamp and focus. The Beer-Lambert law turns the stain
concentrations of `tissue.py` into light (Ruifrok and Johnston, 2001), which is blurred by the focus and read by a
noisy camera.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import ndimage

from mitobench.api import Mitoses
from mitobench.datasets.mitotic_figures import IMPOSTERS, paint_mitosis
from mitobench.datasets.shapes import MITOSES, Array
from mitobench.datasets.tissue import MPP, Canvas, Tissue, scatter

# Optical density in R, G, B of the two stains. Each slide lies between two extremes.
HAEMATOXYLIN = np.array([[0.38, 0.79, 0.48], [0.50, 0.75, 0.43]])
EOSIN = np.array([[0.13, 0.86, 0.50], [0.12, 0.93, 0.34]])

MITOSIS_SHARES = {"metaphase": 0.5, "anaphase": 0.18, "ring": 0.16, "clump": 0.16}
IMPOSTER_SHARES = {"apoptotic": 0.25, "pyknotic": 0.45, "hyperchromatic": 0.15, "spindle": 0.15}
MIN_FIGURE_DISTANCE_UM = 13.0
"""Minimum distance between two mitoses or imposters, um."""
MIN_EDGE_DISTANCE_UM = 6.0
"""Minimum distance of their centres from the frame's edge, um."""


@dataclass(frozen=True)
class Slide:
    """What the frames of one slide share.

    Attributes:
        tissue: the properties of its tissue.
        stains: optical density in R, G, B of haematoxylin and eosin, [2, 3], unit vectors.
        strength: strength of both stains, [2].
        lamp: RGB that the camera reads where there is no tissue, [3].
        blur_px: sigma of the focus blur, px.
        noise: camera noise where there is no tissue, grey levels.
        mitoses, imposters: expected number per frame of 256 x 256 px.
    """

    tissue: Tissue
    stains: Array
    strength: Array
    lamp: Array
    blur_px: float
    noise: float
    mitoses: float
    imposters: float

    @classmethod
    def draw(cls, seed: int, number: int) -> Slide:
        """Draws slide `number` of the set with this seed."""
        rng = np.random.default_rng([seed, number])
        extremes = np.stack([HAEMATOXYLIN, EOSIN])
        stains = extremes[:, 0] + rng.uniform(0, 1, (2, 1)) * (extremes[:, 1] - extremes[:, 0])
        return cls(
            tissue=Tissue.draw(rng),
            stains=stains / np.linalg.norm(stains, axis=1, keepdims=True),
            strength=rng.uniform([0.9, 0.75], [1.15, 1.2]),
            lamp=rng.uniform([246, 240, 244], [253, 248, 252]),
            blur_px=rng.uniform(0.45, 1.0),
            noise=rng.uniform(2.0, 4.5),
            mitoses=rng.uniform(1.6, 2.6),
            imposters=rng.uniform(2.4, 3.8),
        )


@dataclass(frozen=True)
class Picture:
    """A synthetic frame with its ground truth.

    Attributes:
        image: uint8 RGB, [size, size, 3].
        mitoses: centroids, masks and imposters, in px.
        kinds, imposter_kinds: the kind of each mitosis and of each imposter, in the same order.
    """

    image: NDArray[np.uint8]
    mitoses: Mitoses
    kinds: tuple[str, ...]
    imposter_kinds: tuple[str, ...]


def make_frame(seed: int, slide_number: int, number: int, size: int = 256) -> Picture:
    """Makes frame `number` of a slide, `size` x `size` px. The same arguments give the same bytes."""
    slide = Slide.draw(seed, slide_number)
    return draw_frame(slide, np.random.default_rng([seed, slide_number, number]), size)


def draw_frame(slide: Slide, rng: Generator, size: int) -> Picture:
    """Makes a frame of a slide, `size` x `size` px, from the state of `rng`."""
    sites, is_mitosis = place_figures(rng, slide, size)
    kinds = pick(rng, MITOSIS_SHARES, int(is_mitosis.sum()))
    imposter_kinds = pick(rng, IMPOSTER_SHARES, int((~is_mitosis).sum()))
    canvas = Canvas(slide.tissue, rng, size)
    canvas.lay(sites)
    masks = tuple(paint_mitosis(canvas, xy, MITOSES[kind]) for xy, kind in zip(sites[is_mitosis], kinds, strict=True))
    for xy, kind in zip(sites[~is_mitosis], imposter_kinds, strict=True):
        IMPOSTERS[kind](canvas, xy)
    centroids = np.array([mask.mean(axis=0) for mask in masks]).reshape(-1, 2)
    image = photograph(canvas, slide, rng)
    return Picture(image, Mitoses(centroids, masks, sites[~is_mitosis] / MPP), kinds, imposter_kinds)


def place_figures(rng: Generator, slide: Slide, size: int) -> tuple[Array, NDArray[np.bool_]]:
    """Draws the centres of mitoses and imposters, [N, 2] um, and which are mitoses. It is the first draw of a frame."""
    rate = slide.mitoses + slide.imposters
    sites = scatter(
        rng, size * MPP, MIN_EDGE_DISTANCE_UM, MIN_FIGURE_DISTANCE_UM, rng.poisson(rate * (size / 256) ** 2)
    )
    return sites, rng.random(len(sites)) < slide.mitoses / rate


def pick(rng: Generator, shares: dict[str, float], count: int) -> tuple[str, ...]:
    """Draws `count` names with the probabilities in `shares`."""
    return tuple(str(name) for name in rng.choice(list(shares), count, p=list(shares.values())))


def photograph(canvas: Canvas, slide: Slide, rng: Generator) -> NDArray[np.uint8]:
    """Renders what the camera reads, uint8 [size, size, 3]: Beer-Lambert, focus, shot noise and read-out noise."""
    amounts = np.stack([canvas.haematoxylin, canvas.eosin], axis=-1).clip(0) * slide.strength
    light: Array = 10.0 ** -(amounts @ slide.stains)
    blur_px = slide.blur_px * rng.lognormal(0, 0.12)
    light = ndimage.gaussian_filter(light, (blur_px, blur_px, 0))
    noise = slide.noise * np.sqrt(0.2 + 0.8 * light) * rng.standard_normal(light.shape)
    reading: Array = np.round(light * slide.lamp + noise)
    return reading.clip(0, 255).astype(np.uint8)
