"""`resnet50`, the verifier of the paper (DeepVer), and the smaller `resnet18`."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from torch import Tensor

from mitobench.training import IMAGENET, PatchVerifier, copy_weights, find_weights, network_input
from mitobench_networks.verifiers.network import UNUSED, ScaledResNet
from mitobench_networks.verifiers.options import ResNetOptions


class ResNetVerifier(PatchVerifier):
    """Base class of both verifiers."""

    Options = ResNetOptions
    depth: ClassVar[int]

    @classmethod
    def pretrained(cls, options: ResNetOptions) -> Path | None:
        """Returns torchvision's ImageNet weights, which fit `width` 1 only."""
        return find_weights(options.pretrained, f"ResNet{cls.depth}_Weights.IMAGENET1K_V1", options.width == 1)

    def untrained(self) -> ScaledResNet:
        """Creates a ResNet for all fields of view at once."""
        return ScaledResNet(self.depth, self.options.width, len(self.options.fields_of_view))

    def start(self, network: ScaledResNet, weights: Path) -> None:
        """Copies all layers but the last."""
        copy_weights(weights, network.imagenet(), UNUSED)

    @property
    def side(self) -> int:
        """Side of the widest field of view, px at `mpp`."""
        return int(self.options.patch * max(self.options.fields_of_view))

    def prepare(self, patches: Tensor) -> Tensor:
        """Returns the F fields of view, concatenated along the channels: float [B, 3 F, patch, patch]."""
        moments = IMAGENET if self.options.normalise == "imagenet" else None
        return network_input(patches, self.options.patch, self.options.fields_of_view, moments, self.options.blur)


class ResNet50(ResNetVerifier):
    """ResNet-50, as in the paper."""

    name = "resnet50"
    depth = 50


class ResNet18(ResNetVerifier):
    """ResNet-18, for little data or training without a GPU."""

    name = "resnet18"
    depth = 18
