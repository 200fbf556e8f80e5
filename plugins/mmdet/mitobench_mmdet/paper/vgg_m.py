"""VGG_CNN_M (Chatfield et al. 2014) up to its fifth convolution: the backbone of DeepDet."""

from __future__ import annotations

from typing import Any, Literal

from mmdet.registry import MODELS
from mmengine.model import BaseModule, kaiming_init
from torch import Tensor, nn

from mitobench_mmdet.paper.tiling import in_tiles

CHANNELS = (96, 256, 512, 512, 512)


@MODELS.register_module()
class VGGM(BaseModule):
    """Five convolutions, from RGB, [N, 3, H, W], to features, [N, 512 * width, H / stride, W / stride].

    Args:
        width: factor on the channels (96, 256, 512, 512, 512).
        norm: `lrn`, local response normalisation after the first two convolutions, as in the published network;
            `batch`, batch normalisation after each, which training from random weights needs.
        stride: input px per cell; 16 as published; 8 uses stride 1 in the second convolution.
        tile: side of the tiles in which images are processed in evaluation, px; None: one pass. The features are equal.
    """

    def __init__(
        self,
        width: float = 1.0,
        norm: Literal["lrn", "batch"] = "lrn",
        stride: Literal[8, 16] = 16,
        tile: int | None = None,
    ) -> None:
        super().__init__()
        c1, c2, c3, c4, c5 = (max(1, round(channels * width)) for channels in CHANNELS)
        self.out_channels = c5
        self.stages = nn.Sequential(
            nn.Sequential(*_convolution(3, c1, norm, True, kernel_size=7, stride=2), _pool()),
            nn.Sequential(
                *_convolution(c1, c2, norm, True, kernel_size=5, stride=stride // 8, padding=1),
                _pool(),
            ),
            nn.Sequential(*_convolution(c2, c3, norm, False, kernel_size=3, padding=1)),
            nn.Sequential(*_convolution(c3, c4, norm, False, kernel_size=3, padding=1)),
            nn.Sequential(*_convolution(c4, c5, norm, False, kernel_size=3, padding=1)),
        )
        self.tile = tile
        self.frozen_stages = 0

    def init_weights(self) -> None:
        """Initialises the convolutions as He et al."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                kaiming_init(module)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """Returns the features of images."""
        if self.tile is None or self.training:
            return (self.stages(x),)
        return (in_tiles(self.stages, x, self.tile),)

    def freeze(self, stages: int) -> None:
        """Excludes the first `stages` convolutions from training."""
        self.frozen_stages = stages
        self.stages[:stages].requires_grad_(False)

    def train(self, mode: bool = True) -> VGGM:
        """Sets training or evaluation mode; frozen stages, with their batch statistics, stay in evaluation mode."""
        super().train(mode)
        self.stages[: self.frozen_stages].eval()
        return self


def _pool() -> nn.MaxPool2d:
    return nn.MaxPool2d(3, stride=2, ceil_mode=True)  # Caffe rounds up


def _convolution(inputs: int, outputs: int, norm: str, normalised: bool, **shape: Any) -> list[nn.Module]:
    """A convolution with ReLU; batch normalisation comes before the ReLU, response normalisation after it."""
    if norm == "batch":
        return [nn.Conv2d(inputs, outputs, bias=False, **shape), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
    layers: list[nn.Module] = [nn.Conv2d(inputs, outputs, **shape), nn.ReLU(inplace=True)]
    return [*layers, nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)] if normalised else layers
