"""Networks with one logit, and the preparation of their input."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet
from torchvision.transforms.functional import gaussian_blur

Moments = tuple[Sequence[float], Sequence[float]]  # mean and standard deviation of R, G and B, scaled to 0-1

IMAGENET: Moments = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # the normalisation that torchvision's weights expect
UNUSED = ("fc.",)  # a ResNet's layer of ImageNet's thousand classes
BLOCKS = {18: (BasicBlock, (2, 2, 2, 2)), 50: (Bottleneck, (3, 4, 6, 3))}


class ScaledResNet(ResNet):
    """A ResNet with one logit and `width` times the usual channels. At width 1 its tensors are those of torchvision.

    Args:
        depth: 18 or 50.
        width: factor on all channel counts, including the stem's.
        fields_of_view: number of fields of view, of three channels each, in its input.
    """

    def __init__(self, depth: int, width: float = 1.0, fields_of_view: int = 1) -> None:
        block, layers = BLOCKS[depth]
        self._width = width
        super().__init__(block, list(layers), num_classes=1, zero_init_residual=True)
        self.conv1 = nn.Conv2d(3 * fields_of_view, self._scaled(64), kernel_size=7, stride=2, padding=3, bias=False)
        nn.init.kaiming_normal_(self.conv1.weight, mode="fan_out", nonlinearity="relu")
        self.bn1 = nn.BatchNorm2d(self._scaled(64))
        self.fc = nn.Linear(self._scaled(512) * block.expansion, 1)

    def imagenet(self) -> dict[str, Tensor]:
        """Returns the tensors that ImageNet weights can fill, by torchvision's names.

        With several fields of view, the weights of the stem fill the channels of the first.
        """
        tensors = {name: tensor for name, tensor in self.state_dict().items() if not name.startswith(UNUSED)}
        return {**tensors, "conv1.weight": tensors["conv1.weight"][:, :3]}

    def _scaled(self, channels: int) -> int:
        return max(1, round(channels * self._width))

    def _make_layer(self, block: Any, planes: int, *args: Any, **kwargs: Any) -> nn.Sequential:
        if planes == 64:  # the first stage follows the stem, whose channels are scaled too
            self.inplanes = self._scaled(64)
        stage: nn.Sequential = super()._make_layer(block, self._scaled(planes), *args, **kwargs)
        return stage


class Ensemble(nn.Module):
    """Several networks; their logits are averaged."""

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, images: Tensor) -> Tensor:
        """Returns the mean of the networks' logits, [B, 1]."""
        return torch.stack([network(images) for network in self.networks]).mean(dim=0)


def joined(networks: Sequence[nn.Module]) -> nn.Module:
    """Combines networks into one module; a single network is returned as it is."""
    return networks[0] if len(networks) == 1 else Ensemble(networks)


def network_input(
    patches: Tensor, side: int, fields_of_view: Sequence[int], moments: Moments | None, blur: float = 0.0
) -> Tensor:
    """Turns uint8 patches, [B, H, H, 3], into the input of a network: float [B, 3 F, side, side].

    Args:
        patches: at least as wide as the widest field of view.
        side: side of the network's input, px.
        fields_of_view: F factors. Each field of view is that many times as wide as `side`, and averaged down to it.
        moments: mean and standard deviation to normalise with; None: those of each channel of each patch.
        blur: standard deviation, px of the patch, of a Gaussian blur of the fields of view with factor 1.
    """
    images = patches.permute(0, 3, 1, 2).float()
    return torch.cat([_normalised(_field(images, side, field, blur), moments) for field in fields_of_view], dim=1)


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
