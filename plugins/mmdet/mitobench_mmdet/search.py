"""Searches a whole frame with a trained network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.model import BaseModel
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate
from torchvision.ops import box_iou, nms

from mitobench.api import Detections, Floats, Frame, clip_boxes
from mitobench.training import dihedral, dihedral_boxes, resample, scaled
from mitobench_mmdet.models import MEAN, STD
from mitobench_mmdet.options import Image, Search
from mitobench_mmdet.view import EDGE


@torch.inference_mode()
def search(network: BaseModel, frame: Frame, image: Image, options: Search, device: str) -> Detections:
    """Returns the candidates that a network finds in a frame.

    Args:
        network: a network of `mitobench_mmdet.models`, in evaluation mode on `device`.
        frame: the frame.
        image: options of the input that the network was trained with.
        options: options of the search.
        device: `cpu` or `cuda`.
    """
    pixels, factors = resample(frame.read(), frame.mpp, image.mpp)
    views = [_view(network, pixels, k, image.scale, options, device) for k in range(options.tta_views)]
    boxes, scores = views[0] if len(views) == 1 else _merged(views, options)
    return _clipped(scaled(boxes, 1 / factors), scores, frame.size)


def _view(
    network: BaseModel, pixels: NDArray[np.uint8], k: int, scale: float, options: Search, device: str
) -> tuple[Floats, Floats]:
    """Searches the k-th symmetry of an image. Returns boxes, [N, 4] px of `pixels`, and scores, [N], best first."""
    turned = dihedral(pixels, k)
    inputs = prepare(np.ascontiguousarray(turned), scale, device)
    boxes, scores = forward(network, inputs)
    above = scores > options.score_floor
    boxes, scores = boxes[above], scores[above]
    best = nms(boxes, scores, options.test_nms)[: options.max_per_image]
    enlarged = np.array(inputs.shape[:1:-1]) / turned.shape[1::-1]
    there = boxes[best].double().cpu().numpy() / np.tile(enlarged, 2) - EDGE
    back = k if k & 4 else -k & 3  # the inverse of a mirrored symmetry is itself
    return dihedral_boxes(there, back, (turned.shape[1], turned.shape[0])), scores[best].double().cpu().numpy()


def _merged(views: Sequence[tuple[Floats, Floats]], options: Search) -> tuple[Floats, Floats]:
    """Merges the boxes of all views. The score of a box is the mean over views of the best overlapping score, or 0."""
    boxes, scores = (np.concatenate(of_all) for of_all in zip(*views, strict=True))
    kept = boxes[nms(torch.from_numpy(boxes), torch.from_numpy(scores), options.test_nms).numpy()]
    mean = np.mean([_best_score(kept, *view, options.test_nms) for view in views], axis=0)
    order = np.argsort(-mean, kind="stable")
    order = order[mean[order] > options.score_floor][: options.max_per_image]
    return kept[order], mean[order]


def _best_score(kept: Floats, boxes: Floats, scores: Floats, iou: float) -> Floats:
    overlapping = box_iou(torch.from_numpy(kept), torch.from_numpy(boxes)).numpy() > iou
    best: Floats = np.where(overlapping, scores, 0.0).max(axis=1, initial=0.0)
    return best


def prepare(pixels: NDArray[np.uint8], scale: float, device: str) -> Tensor:
    """Turns an image, [H, W, 3], into the network's input, [1, 3, H * scale, W * scale], on `device`.

    It does what the network's own preprocessor does, but enlarges on the device, as bytes, and normalises in place.
    """
    tensor = torch.tensor(pixels, device=device).permute(2, 0, 1)[None]
    size = tuple(round(side * scale) for side in pixels.shape[:2])
    if size != pixels.shape[:2]:
        tensor = interpolate(tensor, size, mode="bilinear")
    tensor = tensor.to(torch.float32, memory_format=torch.contiguous_format)
    mean, std = (tensor.new_tensor(values)[:, None, None] for values in (MEAN, STD))
    return tensor.sub_(mean).div_(std)


def forward(network: BaseModel, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Returns boxes, [N, 4] px of `inputs`, and scores, [N]."""
    sample = DetDataSample(metainfo={"img_shape": tuple(inputs.shape[2:]), "scale_factor": (1.0, 1.0)})
    found = network.predict(inputs, [sample])[0].pred_instances
    return found.bboxes, found.scores


def _clipped(boxes: Floats, scores: Floats, size: tuple[int, int]) -> Detections:
    boxes = clip_boxes(boxes, size)
    some = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    return Detections.from_boxes(boxes[some], scores[some])
