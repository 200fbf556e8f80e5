"""Outlines on the picture of a slide, as paths of SVG."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from skimage.measure import approximate_polygon, find_contours

from mitobench.slides.tissue import Tissue

Floats = NDArray[np.float64]

MAX_CELLS = 1024  # of a side of the mask whose outline is found; a picture on a page is not larger
MAX_PARTS = 400  # outlines that are drawn at most, the longest ones
TOLERANCE = 0.7  # px of the picture that an outline may differ from the mask's


def tissue_path(tissue: Tissue, factors: tuple[float, float]) -> str:
    """Returns the outline of the tissue.

    Args:
        tissue: the mask.
        factors: px of the picture per um, along x and y.
    """
    step = max(1, -(-max(tissue.mask.shape) // MAX_CELLS))
    mask = np.pad(tissue.mask[::step, ::step], 1).astype(float)
    parts = [part[:, ::-1] for part in find_contours(mask, 0.5)]
    longest = sorted(parts, key=len, reverse=True)[:MAX_PARTS]
    scale = np.asarray(factors) * tissue.step_um * step
    polygons = (approximate_polygon((part - 0.5) * scale, TOLERANCE) for part in longest)
    return path(polygon for polygon in polygons if len(polygon) > 3)


def path(polygons: Iterable[Floats]) -> str:
    """Returns closed polygons, each [N, 2] px, as the `d` of a path."""
    return "".join(f"M{' '.join(f'{x:.1f},{y:.1f}' for x, y in polygon.tolist())}Z" for polygon in polygons)


def dots(xy: Floats) -> str:
    """Returns points, [N, 2] px, as the `d` of a path that is drawn with round ends."""
    return "".join(f"M{x:.1f},{y:.1f}h0" for x, y in xy.tolist())
