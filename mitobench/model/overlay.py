"""Draws an image with rings around mitoses, and thin rings of another colour around near misses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mitobench.gallery.drawing import EDGE, MARK_UM
from mitobench.model.findings import Findings
from mitobench.model.model import Prediction
from mitobench.report.colours import COLOURS

MIN_RADIUS_PX = 8  # minimum radius of a ring
MITOSIS_COLOUR, NEAR_MISS_COLOUR = COLOURS[5], COLOURS[4]  # blue and orange, distinguishable with any colour vision
NEAR_MISS_SHARE = 0.5  # fraction of the threshold above which a candidate is a near miss


def near_misses(found: Prediction, threshold: float) -> NDArray[np.bool_]:
    """Which candidates have a score between the threshold and half of it, bool [N]."""
    near: NDArray[np.bool_] = ~found.is_mitosis & (found.score > NEAR_MISS_SHARE * threshold)
    return near


def overlay(pixels: NDArray[np.uint8], findings: Findings) -> NDArray[np.uint8]:
    """Returns an image, uint8 RGB [h, w, 3], with rings."""
    image = Image.fromarray(pixels)
    found = findings.found
    factor = np.array(image.size) / findings.size
    radius = np.maximum(MARK_UM / np.array(findings.mpp) * factor, MIN_RADIUS_PX)
    width = max(3, round(max(image.size) / 700))
    draw = ImageDraw.Draw(image)
    for which, colour, thick in (
        (near_misses(found, findings.threshold), NEAR_MISS_COLOUR, max(1, width // 2)),
        (found.is_mitosis, MITOSIS_COLOUR, width),
    ):
        centres = (found.detections.xy[which] + 0.5) * factor - 0.5
        _rings(draw, centres, radius, colour, thick)
    return np.array(image)


def _rings(
    draw: ImageDraw.ImageDraw, centres: NDArray[np.float64], radius: NDArray[np.float64], colour: str, thick: int
) -> None:
    """Draws rings between two dark edges, which are visible on pale stroma and on dark nuclei."""
    outer, inner = (
        np.concatenate([centres - radius - grown, centres + radius + grown], axis=1).tolist() for grown in (1, 0)
    )
    for edge, ring in zip(outer, inner, strict=True):
        draw.ellipse(edge, outline=EDGE, width=thick + 2)
        draw.ellipse(ring, outline=colour, width=thick)
