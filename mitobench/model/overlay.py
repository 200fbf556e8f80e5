"""An image with its mitoses ringed, and, thinner and in another colour, the candidates that came close."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mitobench.api import Frame
from mitobench.gallery.drawing import EDGE, MARK_UM
from mitobench.model.model import Prediction
from mitobench.report.colours import COLOURS

MAX_SIDE_PX = 4096  # px, the longer side of an overlay at most
MIN_RADIUS_PX = 8  # px, radius of a ring at least
MITOSIS_COLOUR, NEAR_MISS_COLOUR = COLOURS[5], COLOURS[4]  # blue and orange, which every colour vision tells apart
NEAR_MISS_SHARE = 0.5  # of the threshold, above which a candidate came close


def overlay(frame: Frame, found: Prediction, threshold: float) -> NDArray[np.uint8]:
    """The pixels with rings, uint8 RGB, their longer side at most MAX_SIDE_PX px."""
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
    """A ring between two dark edges, which reads on pale stroma as on dark nuclei."""
    for grown, shade, wide in ((1, EDGE, thick + 2), (0, colour, thick)):
        box = [*(centre - radius - grown).tolist(), *(centre + radius + grown).tolist()]
        draw.ellipse(box, outline=shade, width=wide)


def _reduced(pixels: NDArray[np.uint8]) -> Image.Image:
    """A copy within MAX_SIDE_PX; of a very large one first every n-th pixel, so that it is not held twice."""
    step = max(1, max(pixels.shape) // (2 * MAX_SIDE_PX))
    image = Image.fromarray(np.array(pixels[::step, ::step]))
    height, width = pixels.shape[:2]
    factor = min(1.0, MAX_SIDE_PX / max(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return image if image.size == size else image.resize(size, Image.Resampling.BOX)
