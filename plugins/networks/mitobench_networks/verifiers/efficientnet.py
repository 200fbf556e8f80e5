"""`efficientnet-lite0`: a small network that starts from ImageNet, whose weights come with this plugin."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import timm
from torch import Tensor, nn
from torch.nn.functional import interpolate

from mitobench.training import copy_weights, find_weights
from mitobench_networks.verifiers import published
from mitobench_networks.verifiers.network import Moments, seen
from mitobench_networks.verifiers.options import EfficientNetOptions
from mitobench_networks.verifiers.published import ARCHITECTURE
from mitobench_networks.verifiers.verifier import PatchVerifier

MOMENTS: Moments = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)  # what its weights expect
UNUSED = ("classifier.",)  # ImageNet's thousand classes


class EfficientNetLite0(PatchVerifier):
    """EfficientNet (Tan, Le: ICML 2019) for small devices: no squeeze-and-excitation, ReLU6."""

    name = "efficientnet-lite0"
    Options = EfficientNetOptions

    @classmethod
    def pretrained(cls, options: EfficientNetOptions) -> Path | None:
        """ImageNet's weights, which are installed with this plugin and kept in the weights folder."""
        return find_weights(options.pretrained, ARCHITECTURE, source=published.weights)

    def untrained(self) -> nn.Module:
        """timm's network."""
        network: Any = timm.create_model(ARCHITECTURE, drop_rate=self.options.dropout)
        network.reset_classifier(1)  # small weights: made with one class, timm draws them from -1 to 1
        return cast(nn.Module, network)

    def start(self, network: nn.Module, weights: Path) -> None:
        """Copy all but the last layer."""
        into = {name: tensor for name, tensor in network.state_dict().items() if not name.startswith(UNUSED)}
        copy_weights(weights, into, UNUSED)

    def seen(self, patches: Tensor) -> Tensor:
        """Float [B, 3, side, side] of side `enlarged`, or where that is null `patch`."""
        options = self.options
        images = seen(patches, options.patch, (1,), MOMENTS if options.normalise == "weights" else None, options.blur)
        if options.enlarged is None:
            return images
        return interpolate(images, (options.enlarged, options.enlarged), mode="bilinear", antialias=True)
