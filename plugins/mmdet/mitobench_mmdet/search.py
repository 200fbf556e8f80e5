"""A trained network over a whole frame, in one pass or in tiles."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.model import BaseModel
from numpy.typing import NDArray
from PIL import Image as Pillow
from torch import Tensor
from torchvision.ops import nms

from mitobench.api import Detections, Frame
from mitobench.training import resample
from mitobench_mmdet.options import Image, Output


@torch.inference_mode()
def search(network: BaseModel, frame: Frame, image: Image, output: Output, device: str) -> Detections:
    """Candidates of a network in a frame.

    Args:
        network: of `mitobench_mmdet.models`, in evaluation mode on `device`.
        frame: the frame.
        image: the resolution the network was trained at, and the tiles.
        output: score floor, suppression and greatest number.
        device: `cpu` or `cuda`.
    """
    pixels, factors = resample(frame.read(), frame.mpp, image.mpp)
    found = []
    for left, right, keep_left, keep_right in spans(pixels.shape[1], image.tile, image.tile_overlap):
        for top, bottom, keep_top, keep_bottom in spans(pixels.shape[0], image.tile, image.tile_overlap):
            boxes, scores = _pass(network, pixels[top:bottom, left:right], image.scale, device)
            boxes = boxes + boxes.new_tensor([left, top, left, top])
            x, y = ((boxes[:, :2] + boxes[:, 2:]) / 2).T
            mine = (x >= keep_left) & (x < keep_right) & (y >= keep_top) & (y < keep_bottom)
            found.append((boxes[mine], scores[mine]))
    boxes, scores = (torch.cat(part) for part in zip(*found, strict=True))
    above = scores > output.score_floor
    boxes, scores = boxes[above], scores[above]
    best = nms(boxes, scores, output.test_nms)[: output.max_per_image]
    return _clipped(boxes[best].double().cpu().numpy() / np.tile(factors, 2), scores[best].cpu().numpy(), frame.size)


def spans(length: int, tile: int | None, overlap: int) -> list[tuple[int, int, float, float]]:
    """Tiles along one axis: first px, end, and between which positions a tile's candidates count.

    Neighbours share at least `overlap` px, and each owns its half of what is shared.
    """
    if tile is None or tile >= length:
        return [(0, length, -np.inf, np.inf)]
    number = 1 + -(-(length - tile) // max(tile - overlap, 1))
    starts = np.rint(np.linspace(0, length - tile, number)).astype(int).tolist()
    borders = [-np.inf, *((a + tile + b) / 2 for a, b in itertools.pairwise(starts)), np.inf]
    return [(a, a + tile, low, high) for a, low, high in zip(starts, borders, borders[1:], strict=False)]


def _pass(network: BaseModel, pixels: NDArray[np.uint8], scale: float, device: str) -> tuple[Tensor, Tensor]:
    """Boxes [N, 4], px of `pixels`, and scores [N]."""
    size = round(pixels.shape[1] * scale), round(pixels.shape[0] * scale)
    enlarged = np.asarray(Pillow.fromarray(pixels).resize(size, Pillow.Resampling.BILINEAR))
    tensor = torch.from_numpy(enlarged.transpose(2, 0, 1).copy()).to(device)
    sample = DetDataSample(metainfo={"img_shape": size[::-1], "scale_factor": (1.0, 1.0)})
    instances = network.test_step({"inputs": [tensor], "data_samples": [sample]})[0].pred_instances
    factors = instances.bboxes.new_tensor([pixels.shape[1] / size[0], pixels.shape[0] / size[1]]).repeat(2)
    return instances.bboxes * factors, instances.scores


def _clipped(boxes: NDArray[np.float64], scores: NDArray[np.float32], size: tuple[int, int]) -> Detections:
    boxes = boxes.clip(0, np.tile(size, 2))
    some = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    return Detections.from_boxes(boxes[some], scores[some])
