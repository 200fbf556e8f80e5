"""Searches a frame: resamples it, finds boxes in each of its views, and merges them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.ops import box_iou, nms

from mitobench.api import Detections, Floats, Frame, clip_boxes
from mitobench.training import EDGE, dihedral, dihedral_boxes, resample, scaled
from mitobench_mmdet.engine.options import SearchOptions

Find = Callable[[NDArray[np.uint8]], tuple[Tensor, Tensor, Floats]]
"""Finds boxes in an image, uint8 [H, W, 3]. Returns boxes, [N, 4] px of the enlarged image, from the upper left corner
of its first pixel, their scores, [N], and the factors (x, y) by which the image was enlarged."""


@torch.inference_mode()
def search(find: Find, frame: Frame, mpp: float | None, options: SearchOptions, limit: int) -> Detections:
    """Returns the candidates that a network finds in a frame.

    Args:
        find: calls the network.
        frame: the frame.
        mpp: resolution that the network was trained at, um/px; None: the frame's own.
        options: options of the search.
        limit: greatest number of candidates.
    """
    pixels, factors = resample(frame.read(), frame.mpp, mpp)
    views = [_view(find, pixels, k, options, limit) for k in range(options.tta_views)]
    boxes, scores = views[0] if len(views) == 1 else _merged(views, options, limit)
    return _clipped(scaled(boxes, 1 / factors), scores, frame.size)


def _view(find: Find, pixels: NDArray[np.uint8], k: int, options: SearchOptions, limit: int) -> tuple[Floats, Floats]:
    """Searches the k-th symmetry of an image. Returns boxes, [N, 4] px of `pixels`, and scores, [N], best first."""
    turned = np.ascontiguousarray(dihedral(pixels, k))
    boxes, scores, enlarged = find(turned)
    above = scores > options.score_floor
    boxes, scores = boxes[above], scores[above]
    best = nms(boxes, scores, options.test_nms)[:limit]
    there = boxes[best].double().cpu().numpy() / np.tile(enlarged, 2) - EDGE
    back = k if k & 4 else -k & 3  # the inverse of a mirrored symmetry is itself
    return dihedral_boxes(there, back, (turned.shape[1], turned.shape[0])), scores[best].double().cpu().numpy()


def _merged(views: Sequence[tuple[Floats, Floats]], options: SearchOptions, limit: int) -> tuple[Floats, Floats]:
    """Merges the boxes of all views. The score of a box is the mean over views of the best overlapping score, or 0."""
    boxes, scores = (np.concatenate(of_all) for of_all in zip(*views, strict=True))
    kept = boxes[nms(torch.from_numpy(boxes), torch.from_numpy(scores), options.test_nms).numpy()]
    mean = np.mean([_best_score(kept, *view, options.test_nms) for view in views], axis=0)
    order = np.argsort(-mean, kind="stable")
    order = order[mean[order] > options.score_floor][:limit]
    return kept[order], mean[order]


def _best_score(kept: Floats, boxes: Floats, scores: Floats, iou: float) -> Floats:
    overlapping = box_iou(torch.from_numpy(kept), torch.from_numpy(boxes)).numpy() > iou
    best: Floats = np.where(overlapping, scores, 0.0).max(axis=1, initial=0.0)
    return best


def _clipped(boxes: Floats, scores: Floats, size: tuple[int, int]) -> Detections:
    boxes = clip_boxes(boxes, size)
    some = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    return Detections.from_boxes(boxes[some], scores[some])
