"""Searches a whole frame with a network of `mitobench_mmdet.paper.models`, in one pass."""

from __future__ import annotations

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.model import BaseModel
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from mitobench.api import Detections, Floats, Frame
from mitobench_mmdet.engine import search as engine
from mitobench_mmdet.engine.options import Image
from mitobench_mmdet.paper.models import MEAN, STD
from mitobench_mmdet.paper.options import Search


def search(network: BaseModel, frame: Frame, image: Image, options: Search, device: str) -> Detections:
    """Returns the candidates that a network finds in a frame.

    Args:
        network: a network of `mitobench_mmdet.paper.models`, in evaluation mode on `device`.
        frame: the frame.
        image: options of the input that the network was trained with.
        options: options of the search.
        device: `cpu` or `cuda`.
    """

    def find(pixels: NDArray[np.uint8]) -> tuple[Tensor, Tensor, Floats]:
        inputs = prepare(pixels, image.scale, device)
        return *forward(network, inputs), np.array(inputs.shape[:1:-1]) / pixels.shape[1::-1]

    return engine.search(find, frame, image.mpp, options, options.max_per_image)


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
