"""A trained network over a whole frame."""

from __future__ import annotations

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.model import BaseModel
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate
from torchvision.ops import nms

from mitobench.api import Detections, Frame
from mitobench.training import resample
from mitobench_mmdet.models import MEAN, STD
from mitobench_mmdet.options import Image, Search


@torch.inference_mode()
def search(network: BaseModel, frame: Frame, image: Image, options: Search, device: str) -> Detections:
    """Candidates of a network in a frame.

    Args:
        network: of `mitobench_mmdet.models`, in evaluation mode on `device`.
        frame: the frame.
        image: the resolution the network was trained at.
        options: score floor, suppression and greatest number.
        device: `cpu` or `cuda`.
    """
    pixels, factors = resample(frame.read(), frame.mpp, image.mpp)
    inputs = prepare(pixels, image.scale, device)
    boxes, scores = forward(network, inputs)
    above = scores > options.score_floor
    boxes, scores = boxes[above], scores[above]
    best = nms(boxes, scores, options.test_nms)[: options.max_per_image]
    enlarged = factors * np.array(inputs.shape[:1:-1]) / pixels.shape[1::-1]
    return _clipped(boxes[best].double().cpu().numpy() / np.tile(enlarged, 2), scores[best].cpu().numpy(), frame.size)


def prepare(pixels: NDArray[np.uint8], scale: float, device: str) -> Tensor:
    """An image [H, W, 3] as the network takes it, [1, 3, H * scale, W * scale], on `device`.

    What the network's own preprocessor does, but enlarged on the device, as bytes, and normalised in place.
    """
    tensor = torch.tensor(pixels, device=device).permute(2, 0, 1)[None]
    size = tuple(round(side * scale) for side in pixels.shape[:2])
    if size != pixels.shape[:2]:
        tensor = interpolate(tensor, size, mode="bilinear")
    tensor = tensor.to(torch.float32, memory_format=torch.contiguous_format)
    mean, std = (tensor.new_tensor(values)[:, None, None] for values in (MEAN, STD))
    return tensor.sub_(mean).div_(std)


def forward(network: BaseModel, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Boxes [N, 4], px of `inputs`, and scores [N]."""
    sample = DetDataSample(metainfo={"img_shape": tuple(inputs.shape[2:]), "scale_factor": (1.0, 1.0)})
    found = network.predict(inputs, [sample])[0].pred_instances
    return found.bboxes, found.scores


def _clipped(boxes: NDArray[np.float64], scores: NDArray[np.float32], size: tuple[int, int]) -> Detections:
    boxes = boxes.clip(0, np.tile(size, 2))
    some = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    return Detections.from_boxes(boxes[some], scores[some])
