"""A timm network as a backbone of MMDetection."""

from __future__ import annotations

from collections.abc import Sequence

from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor

from mitobench.training.timm_models import features
from mitobench_mmdet.zoo.replacement import FEATURES


@MODELS.register_module(name=FEATURES)
class TimmFeatures(BaseModule):
    """Feature maps of a timm network, with random weights.

    Args:
        timm: the network's name in timm.
        out_indices: which of its feature maps the neck gets.
    """

    def __init__(self, timm: str, out_indices: Sequence[int]) -> None:
        super().__init__()
        self.network = features(timm, out_indices)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Returns feature maps, each [N, C, H / stride, W / stride]."""
        maps: tuple[Tensor, ...] = tuple(self.network(images))
        return maps
