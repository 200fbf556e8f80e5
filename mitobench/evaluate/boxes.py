"""How good a box estimator's boxes are, on frames with masks that it was not fitted on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

Floats = NDArray[np.float64]


class BoxScores(BaseModel):
    """Scores over all mitoses of some frames; None where there are none.

    Attributes:
        n: mitoses.
        mean_iou: mean intersection over union of the estimated box with the box of the mask.
        covered: share of centroids under a blob that the estimator found.
        fallback: share that got the fixed box instead.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    n: int
    mean_iou: float | None = None
    covered: float | None = None
    fallback: float | None = None


def score_boxes(estimated: Floats, truth: Floats, fallback: NDArray[np.bool_]) -> BoxScores:
    """Compare aligned boxes, both [N, 4] px (x1, y1, x2, y2); `fallback` [N]: no blob covered the centroid."""
    if not len(truth):
        return BoxScores(n=0)
    share = float(np.mean(fallback))
    return BoxScores(n=len(truth), mean_iou=float(iou(estimated, truth).mean()), covered=1 - share, fallback=share)


def iou(a: Floats, b: Floats) -> Floats:
    """Intersection over union of aligned boxes: [N] from [N, 4] and [N, 4] px."""
    overlap = np.prod(np.clip(np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]), 0, None), axis=1)
    union = np.prod(a[:, 2:] - a[:, :2], axis=1) + np.prod(b[:, 2:] - b[:, :2], axis=1) - overlap
    ratio: Floats = np.divide(overlap, union, out=np.zeros(len(a)), where=union > 0)
    return ratio
