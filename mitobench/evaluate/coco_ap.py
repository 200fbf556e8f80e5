"""Average precision at one IoU by COCO's rule, as pycocotools and torchmetrics compute it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats32 = NDArray[np.float32]
Floats = NDArray[np.float64]

IOU = 0.5
_RECALLS = np.arange(0, 1.01, 0.01)


def average_precision(images: Sequence[tuple[Floats32, Floats32, Floats32]]) -> float | None:
    """Returns the mean precision at the recalls 0, .01 ... 1 of one class; None without a box of the annotation.

    In each image, detections by descending score take the annotated box with the highest IoU that is not taken yet, if
    that IoU is at least .5. The precision at a recall is the highest at that recall or above. Equal scores keep the
    order of images and detections.

    Args:
        images: for each image the boxes of detections [M, 4] (x1, y1, x2, y2), their scores [M], and the annotated
            boxes [N, 4]. All are float32, as torchmetrics has them: ties are those of float32.
    """
    n_truth = sum(len(truth) for _, _, truth in images)
    if not n_truth:
        return None
    scores, hits = [], []
    for boxes, score, truth in images:
        order = np.argsort(-score, kind="stable")
        scores.append(score[order])
        hits.append(_hits(_iou(boxes[order], truth)))
    order = np.argsort(-np.concatenate(scores), kind="stable")
    hit = np.concatenate(hits)[order]
    tp, fp = np.cumsum(hit, dtype=np.float64), np.cumsum(~hit, dtype=np.float64)
    precision = tp / (tp + fp + np.spacing(1))
    envelope = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    at = np.searchsorted(tp / n_truth, _RECALLS, side="left")
    return float(np.float32(envelope[at].mean()))


def _hits(iou: Floats) -> NDArray[np.bool_]:
    """Which detections take a box, bool [M]; of boxes with equal IoU the last one is taken, as in pycocotools."""
    free = np.ones(iou.shape[1], dtype=bool)
    hit = np.zeros(len(iou), dtype=bool)
    for row, values in enumerate(iou):
        open_to_it = np.flatnonzero(free & (values >= IOU))
        if len(open_to_it):
            best = open_to_it[values[open_to_it] == values[open_to_it].max()][-1]
            hit[row], free[best] = True, False
    return hit


def _iou(boxes: Floats32, truth: Floats32) -> Floats:
    """IoU [M, N]; sizes are rounded to float32 first, as in torchmetrics."""
    (a1, a_size), (b1, b_size) = _corner_and_size(boxes), _corner_and_size(truth)
    overlap = np.minimum((a1 + a_size)[:, None], (b1 + b_size)[None]) - np.maximum(a1[:, None], b1[None])
    inside = np.where((overlap > 0).all(axis=-1), overlap.prod(axis=-1), 0.0)
    union = a_size.prod(axis=1)[:, None] + b_size.prod(axis=1)[None] - inside
    found: Floats = np.divide(inside, union, out=np.zeros_like(inside), where=union > 0)
    return found


def _corner_and_size(boxes: Floats32) -> tuple[Floats, Floats]:
    boxes = boxes.reshape(-1, 4)
    return boxes[:, :2].astype(np.float64), (boxes[:, 2:] - boxes[:, :2]).astype(np.float64)
