"""Measures what a part of an image looks like: its stain, sharpness and colour."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from scipy.ndimage import laplace
from skimage.color import rgb2hed

from mitobench.errors import DataError
from mitobench.slides.reader import Image
from mitobench.slides.tissue import Tissue, is_tissue

Pixels = NDArray[np.uint8]

PATCH_PX = 256  # side of a part that is measured, at the um/px of the model
MIN_TISSUE = 0.25  # of the pixels of a part
MAX_PATCHES = 64  # of an image

# What is measured, in words.
MEASURES = {
    "haematoxylin": "density of haematoxylin",
    "haematoxylin_spread": "contrast of haematoxylin",
    "eosin": "density of eosin",
    "eosin_spread": "contrast of eosin",
    "saturation": "saturation of the colours",
    "sharpness": "sharpness",
}


def measure(patch: Pixels) -> dict[str, float] | None:
    """Measures a part of an image, uint8 RGB [h, w, 3] at the um/px of the model.

    Returns the values by the names of MEASURES: mean and standard deviation of the density of both stains over the
    tissue, its mean saturation (0 to 1), and log10 of the variance of the Laplacian of its brightness (0 to 255). None
    if too little of it is tissue.
    """
    tissue = is_tissue(patch)
    if tissue.mean() < MIN_TISSUE:
        return None
    stains = rgb2hed(patch)
    haematoxylin, eosin = stains[..., 0][tissue], stains[..., 1][tissue]
    red, green, blue = (patch[..., channel] for channel in range(3))
    brightest = np.maximum(np.maximum(red, green), blue)[tissue].clip(min=1).astype(np.float64)
    darkest = np.minimum(np.minimum(red, green), blue)[tissue]
    variance = float(laplace(patch.mean(axis=2))[tissue].var())
    return {
        "haematoxylin": float(haematoxylin.mean()),
        "haematoxylin_spread": float(haematoxylin.std()),
        "eosin": float(eosin.mean()),
        "eosin_spread": float(eosin.std()),
        "saturation": float(((brightest - darkest) / brightest).mean()),
        "sharpness": float(np.log10(variance + 1e-6)),
    }


def patches_of(pixels: Pixels, mpp: tuple[float, float], model_mpp: float, at_most: int = 9) -> list[Pixels]:
    """Returns square parts of a field of view at the um/px of the model, spread over it.

    Args:
        pixels: uint8 RGB [h, w, 3].
        mpp: um/px along x and y.
        model_mpp: um/px of the model.
        at_most: number of parts. A field smaller than a part is one part.
    """
    height, width = pixels.shape[:2]
    side = [min(length, round(PATCH_PX * model_mpp / own)) for length, own in ((width, mpp[0]), (height, mpp[1]))]
    per_side = max(1, int(np.sqrt(at_most)))
    number = [max(1, min(per_side, length // part)) for length, part in zip((width, height), side, strict=True)]
    image = Pillow.fromarray(pixels)
    found = []
    for top in np.linspace(0, height - side[1], number[1]).round().astype(int).tolist():
        for left in np.linspace(0, width - side[0], number[0]).round().astype(int).tolist():
            box = (left, top, left + side[0], top + side[1])
            size = (max(1, round(side[0] * mpp[0] / model_mpp)), max(1, round(side[1] * mpp[1] / model_mpp)))
            found.append(np.array(image.resize(size, Pillow.Resampling.BILINEAR, box=box)))
    return found


def patches_of_slide(image: Image, mpp: tuple[float, float], tissue: Tissue, model_mpp: float) -> list[Pixels]:
    """Returns square parts of the tissue of an image of any size, at the um/px of the model.

    At most MAX_PATCHES, spread over the tissue; always the same ones. Parts that cannot be decoded are left out.
    """
    cells = np.argwhere(tissue.mask)
    chosen = cells[np.linspace(0, len(cells) - 1, min(len(cells), MAX_PATCHES)).round().astype(int)]
    side = [min(length, max(1, round(PATCH_PX * model_mpp / own))) for length, own in zip(image.size, mpp, strict=True)]
    size = [max(1, round(part * own / model_mpp)) for part, own in zip(side, mpp, strict=True)]
    found = []
    for row, column in chosen.tolist():
        centre = ((column + 0.5) * tissue.step_um / mpp[0], (row + 0.5) * tissue.step_um / mpp[1])
        corner = [round(min(max(c - s / 2, 0), n - s)) for c, s, n in zip(centre, side, image.size, strict=True)]
        try:
            found.append(image.reduced((corner[0], corner[1], side[0], side[1]), (size[0], size[1])))
        except DataError:
            continue
    return found
