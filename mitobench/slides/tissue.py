"""Finds tissue on a slide, from a reduced copy of it. Glass and marks of pens are not tissue.

Every rule looks at a pixel and its neighbours within some tens of um. What is tissue therefore does not depend on the
rest of the slide: the same tissue is found alone, on a larger slide and beside other tissue. The border of the image is
the exception, as nobody knows what lies behind it: glass that reaches it is never a hole in tissue, and a speck that it
cuts off may be left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes, label
from skimage.morphology import closing, dilation, disk

from mitobench.slides.overview import Copies
from mitobench.slides.reader import Image

STEP_UM = 8.0  # side of a cell of the mask
MIN_SATURATION = 0.07  # of tissue; glass has less
MAX_SATURATION = 0.85  # of tissue; pens have more
MIN_PEN_SATURATION = 0.3  # of green and blue pens
MIN_DARKNESS = 0.06  # share of the light that tissue takes away at least
MIN_BRIGHTNESS = 0.12  # of tissue; black pens and shadows have less
MIN_AREA_UM2 = 2_500.0  # specks up to this are dirt
MAX_HOLE_UM2 = 25_000.0  # holes up to this are part of the tissue that surrounds them
SMOOTH_UM = 16.0  # specks and gaps of this radius are closed and removed


@dataclass(frozen=True)
class Tissue:
    """Where tissue is.

    Attributes:
        mask: bool [rows, columns]; cell [i, j] covers [j * step_um, (j + 1) * step_um) x [i * step_um,
            (i + 1) * step_um) um from the slide's upper left corner.
        step_um: side of a cell, um.
        extent_um: width and height of the slide, um. Cells at its right and lower border are cut off there.
    """

    mask: NDArray[np.bool_]
    step_um: float
    extent_um: tuple[float, float] = (math.inf, math.inf)

    @property
    def area_mm2(self) -> float:
        """Area of the tissue, mm2."""
        widths, heights = (self._sides(axis) for axis in (0, 1))
        return float(heights @ self.mask @ widths) / 1e6

    def without(self, boxes: Sequence[tuple[int, int, int, int]], mpp: tuple[float, float]) -> Tissue:
        """Returns the tissue outside rectangles (x1, y1, x2, y2 px): without the cells whose centres they hold."""
        mask = self.mask.copy()
        for box in boxes:
            x1, y1, x2, y2 = (max(0, math.ceil(n * mpp[k % 2] / self.step_um - 0.5)) for k, n in enumerate(box))
            mask[y1:y2, x1:x2] = False
        return replace(self, mask=mask)

    def _sides(self, axis: int) -> NDArray[np.float64]:
        """How far each column (axis 0) or row (axis 1) of cells lies on the slide, um."""
        starts = np.arange(self.mask.shape[1 - axis]) * self.step_um
        sides: NDArray[np.float64] = np.clip(self.extent_um[axis] - starts, 0, self.step_um)
        return sides


def find(image: Image, mpp: tuple[float, float], copies: Copies | None = None) -> Tissue:
    """Returns the tissue on an image, as `find_with_unread`."""
    return find_with_unread(image, mpp, copies)[0]


def find_with_unread(
    image: Image, mpp: tuple[float, float], copies: Copies | None = None
) -> tuple[Tissue, NDArray[np.bool_]]:
    """Finds the tissue on an image. Returns it, and the cells that cannot be decoded, which are not tissue.

    Args:
        image: the image.
        mpp: um/px along x and y.
        copies: reduced copies of the image, which others need too.
    """
    extent = (image.size[0] * mpp[0], image.size[1] * mpp[1])
    shape = cells(extent)
    size = (min(shape[0], image.size[0]), min(shape[1], image.size[1]))
    pixels, decoded = (copies or Copies(image)).exactly(size)
    mask = _smoothed(is_tissue(pixels)) & decoded
    if size != shape:  # an image of a few pixels
        rows, columns = (np.arange(of) * stored // of for of, stored in ((shape[1], size[1]), (shape[0], size[0])))
        mask, decoded = mask[rows][:, columns], decoded[rows][:, columns]
    return Tissue(mask, STEP_UM, extent), ~decoded


def everywhere(image: Image, mpp: tuple[float, float]) -> Tissue:
    """Returns the whole image as tissue."""
    extent = (image.size[0] * mpp[0], image.size[1] * mpp[1])
    columns, rows = cells(extent)
    return Tissue(np.ones((rows, columns), dtype=bool), STEP_UM, extent)


def cells(extent_um: tuple[float, float]) -> tuple[int, int]:
    """Returns the columns and rows of the mask of a slide of this width and height, um."""
    return max(1, math.ceil(extent_um[0] / STEP_UM)), max(1, math.ceil(extent_um[1] / STEP_UM))


def is_tissue(pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which pixels have the colours of H&E, bool [h, w], of uint8 RGB [h, w, 3].

    Haematoxylin and eosin absorb green most: their colours are between pink and blue-purple. Glass is bright and grey,
    and pens are green, blue, black, or of a purer red than eosin.
    """
    red, green, blue = (pixels[..., k].astype(np.float32) / 255 for k in range(3))
    brightest = np.maximum(np.maximum(red, green), blue)
    darkest = np.minimum(np.minimum(red, green), blue)
    saturation = (brightest - darkest) / np.maximum(brightest, 1 / 255)
    stained = (saturation >= MIN_SATURATION) & (1 - (red + green + blue) / 3 >= MIN_DARKNESS)
    other = (green > red + 0.02) | (green > blue + 0.08)
    pen = (other & (saturation > MIN_PEN_SATURATION)) | (saturation > MAX_SATURATION) | (brightest < MIN_BRIGHTNESS)
    # At the rim of a pen's mark, its colour and that of glass mix to one that tissue may have.
    mask: NDArray[np.bool_] = stained & ~other & ~dilation(pen, disk(2))
    return mask


def _smoothed(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Removes specks and fills small holes."""
    cell = STEP_UM**2
    around = disk(round(SMOOTH_UM / STEP_UM))
    padded = np.pad(mask, 2 * around.shape[0], mode="edge")
    inner = slice(2 * around.shape[0], -2 * around.shape[0])
    closed = closing(padded, around)[inner, inner]
    holes = binary_fill_holes(closed) & ~closed  # glass that reaches the image's border is not a hole in tissue
    filled = closed | (holes & (_sizes(holes) <= MAX_HOLE_UM2 / cell))
    smoothed: NDArray[np.bool_] = filled & (_sizes(filled) > MIN_AREA_UM2 / cell)
    return smoothed


def _sizes(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Returns the number of cells of the connected area that each cell belongs to, int [h, w]."""
    areas, _ = label(mask)
    sizes: NDArray[np.int64] = np.bincount(areas.ravel())[areas]
    return sizes
