"""`efficientnet-lite0`: a small network that starts from ImageNet weights, which are installed with this plugin."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import timm
from torch import Tensor, nn
from torch.nn.functional import interpolate

from mitobench.training import Moments, PatchVerifier, copy_weights, find_weights, network_input
from mitobench_networks.verifiers.options import EfficientNetOptions

ARCHITECTURE = "tf_efficientnet_lite0"  # timm's name of the variant with TensorFlow's padding
MOMENTS: Moments = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)  # the normalisation that its weights expect
UNUSED = ("classifier.",)  # the layer of ImageNet's thousand classes


class EfficientNetLite0(PatchVerifier):
    """EfficientNet (Tan, Le: ICML 2019) for small devices: without squeeze-and-excitation, with ReLU6."""

    name = "efficientnet-lite0"
    Options = EfficientNetOptions

    @classmethod
    def pretrained(cls, options: EfficientNetOptions) -> Path | None:
        """Returns the ImageNet weights, which are installed with this plugin and stored in the weights folder."""
        return find_weights(options.pretrained, ARCHITECTURE)

    def untrained(self) -> nn.Module:
        """Creates timm's network."""
        network: Any = timm.create_model(ARCHITECTURE, drop_rate=self.options.dropout)
        network.reset_classifier(1)  # small random weights; created with one class, timm would draw them from -1 to 1
        return cast(nn.Module, network)

    def start(self, network: nn.Module, weights: Path) -> None:
        """Copies all layers but the last."""
        into = {name: tensor for name, tensor in network.state_dict().items() if not name.startswith(UNUSED)}
        copy_weights(weights, into, UNUSED)

    def prepare(self, patches: Tensor) -> Tensor:
        """Returns float [B, 3, side, side]; the side is `enlarged`, or `patch` if that is null."""
        options = self.options
        images = network_input(
            patches, options.patch, (1,), MOMENTS if options.normalise == "weights" else None, options.blur
        )
        if options.enlarged is None:
            return images
        return interpolate(images, (options.enlarged, options.enlarged), mode="bilinear", antialias=True)
