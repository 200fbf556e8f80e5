"""Networks of one logit, and what they see of a patch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet
from torchvision.transforms.functional import gaussian_blur

Moments = tuple[Sequence[float], Sequence[float]]  # mean and deviation of R, G and B, of 1

IMAGENET: Moments = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # what torchvision's weights expect
UNUSED = ("fc.",)  # ImageNet's thousand classes in a ResNet
BLOCKS = {18: (BasicBlock, (2, 2, 2, 2)), 50: (Bottleneck, (3, 4, 6, 3))}


class ScaledResNet(ResNet):
    """A ResNet with `width` times the usual channels and one logit; at width 1 its tensors are torchvision's.

    Args:
        depth: 18 or 50.
        width: factor on all channel counts, the stem's too.
        fields: number of fields of view, three channels each, that it sees at once.
    """

    def __init__(self, depth: int, width: float = 1.0, fields: int = 1) -> None:
        block, layers = BLOCKS[depth]
        self._width = width
        super().__init__(block, list(layers), num_classes=1, zero_init_residual=True)
        self.conv1 = nn.Conv2d(3 * fields, self._scaled(64), kernel_size=7, stride=2, padding=3, bias=False)
        nn.init.kaiming_normal_(self.conv1.weight, mode="fan_out", nonlinearity="relu")
        self.bn1 = nn.BatchNorm2d(self._scaled(64))
        self.fc = nn.Linear(self._scaled(512) * block.expansion, 1)

    def imagenet(self) -> dict[str, Tensor]:
        """The tensors that a network of ImageNet's classes has as well, by torchvision's names.

        Of several fields of view, ImageNet knows the first.
        """
        tensors = {name: tensor for name, tensor in self.state_dict().items() if not name.startswith(UNUSED)}
        return {**tensors, "conv1.weight": tensors["conv1.weight"][:, :3]}

    def _scaled(self, channels: int) -> int:
        return max(1, round(channels * self._width))

    def _make_layer(self, block: Any, planes: int, *args: Any, **kwargs: Any) -> nn.Sequential:
        if planes == 64:  # the first stage follows the stem, which is scaled too
            self.inplanes = self._scaled(64)
        stage: nn.Sequential = super()._make_layer(block, self._scaled(planes), *args, **kwargs)
        return stage


class Ensemble(nn.Module):
    """Networks whose logits are averaged."""

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, images: Tensor) -> Tensor:
        """The mean of the networks' logits, [B, 1]."""
        return torch.stack([network(images) for network in self.networks]).mean(dim=0)


def joined(networks: Sequence[nn.Module]) -> nn.Module:
    """The networks as one: itself where there is one."""
    return networks[0] if len(networks) == 1 else Ensemble(networks)


def seen(patches: Tensor, side: int, fields: Sequence[int], moments: Moments | None, blur: float = 0.0) -> Tensor:
    """What a network sees of uint8 patches [B, H, H, 3]: float [B, 3 F, side, side].

    Args:
        patches: as they are cut, at least as wide as the widest field of view.
        side: of what the network sees, px.
        fields: each field of view is so many times as wide as `side`, and averaged down to it; F of them.
        moments: mean and deviation that are taken out; None: each channel's own of each patch.
        blur: deviation, px of the patch, of a Gaussian that goes over the fields that are not averaged down.
    """
    images = patches.permute(0, 3, 1, 2).float()
    return torch.cat([_normalised(_field(images, side, field, blur), moments) for field in fields], dim=1)


def _field(images: Tensor, side: int, field: int, blur: float) -> Tensor:
    margin = (images.shape[2] - side * field) // 2
    centre = images[:, :, margin : margin + side * field, margin : margin + side * field]
    if field > 1:
        return avg_pool2d(centre, field)
    return gaussian_blur(centre, 2 * math.ceil(3 * blur) + 1, blur) if blur else centre


def _normalised(images: Tensor, moments: Moments | None) -> Tensor:
    if moments:
        mean, deviation = (torch.tensor(values, device=images.device)[:, None, None] for values in moments)
        return (images / 255 - mean) / deviation
    own_deviation, own_mean = torch.std_mean(images, dim=(2, 3), keepdim=True)
    return (images - own_mean) / (own_deviation + 1)
