"""`resnet50` and `resnet18`: residual networks, the first the paper's (DeepVer)."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from torch import Tensor

from mitobench.training import copy_weights, find_weights
from mitobench_networks.verifiers.network import IMAGENET, UNUSED, ScaledResNet, seen
from mitobench_networks.verifiers.options import ResNetOptions
from mitobench_networks.verifiers.verifier import PatchVerifier


class ResNetVerifier(PatchVerifier):
    """What both depths share."""

    Options = ResNetOptions
    depth: ClassVar[int]

    @classmethod
    def pretrained(cls, options: ResNetOptions) -> Path | None:
        """The network's weights on ImageNet; one of other channels has none of its own."""
        return find_weights(options.pretrained, f"ResNet{cls.depth}_Weights.IMAGENET1K_V1", options.width == 1)

    def untrained(self) -> ScaledResNet:
        """A ResNet of the options' width, for all fields of view at once."""
        return ScaledResNet(self.depth, self.options.width, len(self.options.fields_of_view))

    def start(self, network: ScaledResNet, weights: Path) -> None:
        """Copy all but the last layer."""
        copy_weights(weights, network.imagenet(), UNUSED)

    @property
    def side(self) -> int:
        """Of the widest field of view, px at `mpp`."""
        return int(self.options.patch * max(self.options.fields_of_view))

    def seen(self, patches: Tensor) -> Tensor:
        """Every field of view, one after another: float [B, 3 F, patch, patch]."""
        moments = IMAGENET if self.options.normalise == "imagenet" else None
        return seen(patches, self.options.patch, self.options.fields_of_view, moments, self.options.blur)


class ResNet50(ResNetVerifier):
    """The paper's verifier: ResNet-50."""

    name = "resnet50"
    depth = 50


class ResNet18(ResNetVerifier):
    """A smaller network, for fewer data and no GPU: ResNet-18."""

    name = "resnet18"
    depth = 18
