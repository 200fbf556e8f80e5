"""Loads weights of VGG_CNN_M from Caffe into a network with another normalisation of its input."""

from __future__ import annotations

from pathlib import Path

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

from mitobench.training import copy_weights
from mitobench_mmdet.paper.models import MEAN, STD

CAFFE_MEAN = (122.7717, 115.9465, 102.9801)  # R G B: PIXEL_MEANS of py-faster-rcnn, which lists them B G R


def start_from(network: BaseModel, path: Path) -> None:
    """Copies conv1 to conv5, and for Faster R-CNN fc6 and fc7, into an initialised network of `paper.models`.

    Args:
        network: the network; its tensors are overwritten.
        path: a .safetensors or .npz file with `conv1.weight`, `conv1.bias`, ... of Caffe, for B G R from 0 to 255.

    Raises PluginError, and copies nothing, if the tensors of the file do not fit the network.
    """
    classifies = hasattr(network, "roi_head")
    copy_weights(path, _by_published_name(network), unused=("fc8.",) if classifies else ("fc6.", "fc7.", "fc8."))
    _absorb(network.backbone.stages[0][0])


def _by_published_name(network: BaseModel) -> dict[str, Tensor]:
    layers = {f"conv{number}": stage[0] for number, stage in enumerate(network.backbone.stages, start=1)}
    if hasattr(network, "roi_head"):
        linear = (layer for layer in network.roi_head.bbox_head.trunk if isinstance(layer, nn.Linear))
        layers |= {f"fc{number}": layer for number, layer in enumerate(linear, start=6)}
    return {f"{name}.{kind}": tensor for name, layer in layers.items() for kind, tensor in layer.named_parameters()}


@torch.no_grad()
def _absorb(conv: nn.Conv2d) -> None:
    """Converts filters for (B, G, R) - CAFFE_MEAN to filters for ((R, G, B) - MEAN) / STD; exact without padding."""
    mean, std, caffe = (torch.tensor(values, dtype=torch.float64)[:, None, None] for values in (MEAN, STD, CAFFE_MEAN))
    weight = conv.weight.double().flip(1)
    if conv.bias is not None:  # otherwise batch normalisation follows, which removes constants
        conv.bias += (weight * (mean - caffe)).sum(dim=(1, 2, 3))
    conv.weight.copy_(weight * std)
