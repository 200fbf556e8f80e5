"""Scores a box estimator's boxes on frames with masks that it was not fitted on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

Floats = NDArray[np.float64]

IOU_DIGITS = 4  # IoUs are rounded before any score is computed from them, so that scores follow exactly from a record


class BoxScores(BaseModel):
    """Scores of boxes over all mitoses of some frames; the scores are None if there are no mitoses.

    Attributes:
        n: number of mitoses.
        mean_iou: mean intersection over union of the estimated box with the box of the mask.
        covered: fraction of centroids inside a blob that the estimator found; None if it does not look for blobs.
        fallback: fraction of mitoses that got the fixed box instead.
        iou, blob: IoU of each mitosis, and whether a blob covers it. The scores above are computed from them. None in
            a migrated record.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    n: int
    mean_iou: float | None = None
    covered: float | None = None
    fallback: float | None = None
    iou: list[float] | None = None
    blob: list[bool] | None = None

    @classmethod
    def of(cls, iou: list[float], blob: list[bool] | None) -> BoxScores:
        """Computes the scores from the values of each mitosis."""
        if not iou:
            return cls(n=0, iou=[], blob=blob)
        covered = None if blob is None else float(np.mean(blob))
        fallback = None if covered is None else 1 - covered
        return cls(n=len(iou), mean_iou=float(np.mean(iou)), covered=covered, fallback=fallback, iou=iou, blob=blob)


def score_boxes(estimated: Floats, truth: Floats, covered: NDArray[np.bool_] | None) -> BoxScores:
    """Compares aligned boxes, both [N, 4] px (x1, y1, x2, y2).

    `covered` [N]: whether a blob covers the centroid; None for an estimator that does not look for blobs.
    """
    rounded = np.round(iou(estimated, truth), IOU_DIGITS).tolist() if len(truth) else []
    return BoxScores.of(rounded, None if covered is None else covered.tolist())


def iou(a: Floats, b: Floats) -> Floats:
    """Intersection over union of aligned boxes: [N] from [N, 4] and [N, 4] px."""
    overlap = np.prod(np.clip(np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]), 0, None), axis=1)
    union = np.prod(a[:, 2:] - a[:, :2], axis=1) + np.prod(b[:, 2:] - b[:, :2], axis=1) - overlap
    ratio: Floats = np.divide(overlap, union, out=np.zeros(len(a)), where=union > 0)
    return ratio
