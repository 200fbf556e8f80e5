"""Draws an image with rings around mitoses, thin rings of another colour around near misses, and a legend."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from mitobench.gallery.drawing import EDGE, INK, MARK_UM, PAPER
from mitobench.gallery.outcomes import short
from mitobench.model.findings import Findings
from mitobench.model.model import Prediction
from mitobench.report.colours import OUTCOMES, UNLABELLED

MIN_RADIUS_PX = 8  # minimum radius of a ring
MITOSIS_COLOUR, NEAR_MISS_COLOUR = OUTCOMES["tp"].colour, UNLABELLED.colour  # green, as in the report, and white
NEAR_MISS_SHARE = 0.5  # fraction of the threshold above which a candidate is a near miss
MIN_FONT_PX = 13  # of the legend; an image of which it would take more than half of a side has none

Floats = NDArray[np.float64]
Group = tuple[NDArray[np.bool_], str, int, str]  # which candidates, their colour, thickness in px, and what they are


def near_misses(found: Prediction, threshold: float) -> NDArray[np.bool_]:
    """Which candidates have a score between the threshold and half of it, bool [N]."""
    near: NDArray[np.bool_] = ~found.is_mitosis & (found.score > NEAR_MISS_SHARE * threshold)
    return near


def overlay(pixels: NDArray[np.uint8], findings: Findings) -> NDArray[np.uint8]:
    """Returns an image, uint8 RGB [h, w, 3], with rings, and a legend in the corner with the fewest of them."""
    image = Image.fromarray(pixels)
    factor = np.array(image.size) / findings.size
    radius = np.maximum(MARK_UM / np.array(findings.mpp) * factor, MIN_RADIUS_PX)
    groups = [group for group in _groups(findings, image.size) if group[0].any()]
    draw = ImageDraw.Draw(image)
    centres = (findings.found.detections.xy + 0.5) * factor - 0.5
    for which, colour, thick, _ in groups:
        _rings(draw, centres[which], radius, colour, thick)
    if groups:
        _legend(draw, image.size, centres[np.any([which for which, *_ in groups], axis=0)], groups)
    return np.array(image)


def _groups(findings: Findings, size: tuple[int, int]) -> list[Group]:
    """What has rings; mitoses are drawn last."""
    thick = max(4, round(max(size) / 700))
    threshold = findings.threshold
    near = near_misses(findings.found, threshold)
    return [
        (near, NEAR_MISS_COLOUR, thick // 2, f"not counted: score above {short(NEAR_MISS_SHARE * threshold)}"),
        (findings.found.is_mitosis, MITOSIS_COLOUR, thick, f"mitosis: score {short(threshold)} or more"),
    ]


def _rings(draw: ImageDraw.ImageDraw, centres: Floats, radius: Floats, colour: str, thick: int) -> None:
    """Draws rings between two dark edges, which are visible on pale stroma and on dark nuclei."""
    outer, inner = (
        np.concatenate([centres - radius - grown, centres + radius + grown], axis=1).tolist() for grown in (1, 0)
    )
    for edge, ring in zip(outer, inner, strict=True):
        draw.ellipse(edge, outline=EDGE, width=thick + 2)
        draw.ellipse(ring, outline=colour, width=thick)


def _legend(draw: ImageDraw.ImageDraw, size: tuple[int, int], centres: Floats, groups: list[Group]) -> None:
    """Explains the rings in the corner with the fewest of them; draws nothing on an image without space for it."""
    text = max(MIN_FONT_PX, max(size) // 80)
    font = ImageFont.load_default(text)
    line = round(1.6 * text)
    box = np.array([max(font.getlength(what) for *_, what in groups) + 2.2 * line, (len(groups) + 0.4) * line])
    if (box > np.array(size) / 2).any():
        return
    corners: list[tuple[float, float]] = [(x, y) for y in (size[1] - box[1], 0.0) for x in (0.0, size[0] - box[0])]
    hidden = [
        np.all((centres > corner - box / 4) & (centres < corner + 1.25 * box), axis=1).sum() for corner in corners
    ]
    left, top = corners[int(np.argmin(hidden))]
    draw.rectangle((left, top, *(np.array([left, top]) + box).tolist()), fill=PAPER, outline=EDGE)
    for row, (_, colour, thick, what) in enumerate(reversed(groups)):
        middle = np.array([[left + line, top + (row + 0.7) * line]])
        _rings(draw, middle, np.full(2, 0.55 * text), colour, max(2, round(thick * text / 20)))
        draw.text((left + 1.9 * line, middle[0, 1]), what, INK, font, anchor="lm")
