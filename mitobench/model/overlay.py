"""Draws an image with rings around mitoses, and thin rings of another colour around near misses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mitobench.api import Frame
from mitobench.gallery.drawing import EDGE, MARK_UM
from mitobench.model.model import Prediction
from mitobench.report.colours import COLOURS

MAX_SIDE_PX = 4096  # maximum length of the longer side of an overlay
MIN_RADIUS_PX = 8  # minimum radius of a ring
MITOSIS_COLOUR, NEAR_MISS_COLOUR = COLOURS[5], COLOURS[4]  # blue and orange, distinguishable with any colour vision
NEAR_MISS_SHARE = 0.5  # fraction of the threshold above which a candidate is a near miss


def overlay(frame: Frame, found: Prediction, threshold: float) -> NDArray[np.uint8]:
    """Returns the image with rings, uint8 RGB, its longer side at most MAX_SIDE_PX."""
    image = _reduced(frame.read())
    factor = np.array(image.size) / frame.size
    radius = np.maximum(MARK_UM / np.array(frame.mpp) * factor, MIN_RADIUS_PX)
    width = max(3, round(max(image.size) / 700))
    draw = ImageDraw.Draw(image)
    close = ~found.is_mitosis & (found.score > NEAR_MISS_SHARE * threshold)
    for which, colour, thick in (
        (close, NEAR_MISS_COLOUR, max(1, width // 2)),
        (found.is_mitosis, MITOSIS_COLOUR, width),
    ):
        for centre in (found.detections.xy[which] + 0.5) * factor - 0.5:
            _ring(draw, centre, radius, colour, thick)
    return np.array(image)


def _ring(
    draw: ImageDraw.ImageDraw, centre: NDArray[np.float64], radius: NDArray[np.float64], colour: str, thick: int
) -> None:
    """Draws a ring between two dark edges, which is visible on pale stroma and on dark nuclei."""
    for grown, shade, wide in ((1, EDGE, thick + 2), (0, colour, thick)):
        box = [*(centre - radius - grown).tolist(), *(centre + radius + grown).tolist()]
        draw.ellipse(box, outline=shade, width=wide)


def _reduced(pixels: NDArray[np.uint8]) -> Image.Image:
    """A copy reduced to MAX_SIDE_PX. A very large image is subsampled first, so that it is not in memory twice."""
    step = max(1, max(pixels.shape) // (2 * MAX_SIDE_PX))
    image = Image.fromarray(np.array(pixels[::step, ::step]))
    height, width = pixels.shape[:2]
    factor = min(1.0, MAX_SIDE_PX / max(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return image if image.size == size else image.resize(size, Image.Resampling.BOX)
