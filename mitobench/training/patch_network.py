"""The input of a patch verifier's network, and several networks as one."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

Moments = tuple[Sequence[float], Sequence[float]]  # mean and standard deviation of R, G and B, scaled to 0-1

IMAGENET: Moments = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # what torchvision's and most of timm's weights expect


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
    if not blur:
        return centre
    from torchvision.transforms.functional import gaussian_blur  # takes long to import

    blurred: Tensor = gaussian_blur(centre, 2 * math.ceil(3 * blur) + 1, blur)
    return blurred


def _normalised(images: Tensor, moments: Moments | None) -> Tensor:
    if moments:
        mean, deviation = (torch.tensor(values, device=images.device)[:, None, None] for values in moments)
        return (images / 255 - mean) / deviation
    own_deviation, own_mean = torch.std_mean(images, dim=(2, 3), keepdim=True)
    return (images - own_mean) / (own_deviation + 1)
