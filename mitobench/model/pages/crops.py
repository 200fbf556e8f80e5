"""Pictures of single candidates, cut from a slide of any size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mitobench.errors import DataError
from mitobench.gallery.drawing import CROP_UM
from mitobench.model.findings import Findings
from mitobench.model.pages.templates import data_uri
from mitobench.slides.hotspot import HotSpot
from mitobench.slides.reader import Image

CROP_PX = 224


@dataclass(frozen=True)
class Crop:
    """A picture of a candidate.

    Attributes:
        number: its place among all candidates by score, from 1 on.
        picture: address of the picture; empty if this part of the slide cannot be decoded.
        score, detector, verifier: its scores; `verifier` is None for a model without a verifier.
        xy_um: its centre, um from the image's upper left corner.
        xy_px: its centre, px of the image file; the first pixel is 0, 0.
        spots: numbers of the hot spots that it lies in, from 1 on.
    """

    number: int
    picture: str
    score: float
    detector: float
    verifier: float | None
    xy_um: tuple[float, float]
    xy_px: tuple[float, float]
    spots: tuple[int, ...]


def crops_of(image: Image, findings: Findings, chosen: Sequence[int], spots: Sequence[HotSpot]) -> list[Crop]:
    """Cuts a square of CROP_UM around each of the chosen candidates.

    Args:
        image: the slide.
        findings: what was found on it.
        chosen: indices of the candidates, which are sorted by score.
        spots: its hot spots; none if the only one is the whole image.
    """
    return [_crop(image, findings, index, spots) for index in chosen]


def _crop(image: Image, findings: Findings, index: int, spots: Sequence[HotSpot]) -> Crop:
    found, mpp = findings.found, np.asarray(findings.mpp)
    centre = found.detections.xy[index] + 0.5  # from the corner of the first pixel
    x, y = (centre * mpp).tolist()
    inside = [number for number, spot in enumerate(spots, 1) if _holds(spot, x, y)]
    return Crop(
        index + 1,
        _picture(image, centre, mpp),
        float(found.score[index]),
        float(found.detections.score[index]),
        None if found.verifier is None else float(found.verifier[index]),
        (x, y),
        (float(found.detections.xy[index, 0]), float(found.detections.xy[index, 1])),
        tuple(inside),
    )


def _holds(spot: HotSpot, x: float, y: float) -> bool:
    offset = np.array([spot.centre_um[0] - x]), np.array([spot.centre_um[1] - y])
    return bool(spot.area.holds(*offset)[0])


def _picture(image: Image, centre: np.ndarray, mpp: np.ndarray) -> str:
    size = np.maximum(np.rint(CROP_UM / mpp), 1).astype(int)
    left, top = np.rint(centre - size / 2).astype(int).tolist()
    try:
        return data_uri(image.reduced((left, top, int(size[0]), int(size[1])), (CROP_PX, CROP_PX)))
    except DataError:
        return ""
