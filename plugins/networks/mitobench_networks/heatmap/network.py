"""The network: a U-Net on an encoder of timm, one logit per pixel of the map."""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, pad

from mitobench.api import PluginError
from mitobench.training.timm_models import CONVOLUTIONAL, check_built, check_model, moments

PRIOR = 0.01  # probability of a mitosis that an untrained map gives everywhere (Lin et al. 2017, section 4.1)
STEPS = 32  # sides of an image are multiples of the encoder's last stride


class HeatmapNet(nn.Module):
    """Turns images [B, 3, H, W] into logits [B, H / stride, W / stride].

    Args:
        encoder: name of the network in timm.
        decoder_channels: of the blocks at strides 16, 8, 4, 2 and 1; blocks below `stride` are left out.
        stride: 1, 2 or 4.

    Raises PluginError for an encoder that timm does not have, or that gives no feature maps.
    """

    def __init__(self, encoder: str, decoder_channels: tuple[int, ...], stride: int) -> None:
        from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder
        from segmentation_models_pytorch.encoders import get_encoder

        super().__init__()
        check_model(encoder)
        try:
            self.encoder = get_encoder(f"tu-{encoder}", in_channels=3, depth=5, weights=None)
        except Exception as reason:  # timm raises many kinds for networks without feature maps
            why = str(reason).rstrip(".")
            raise PluginError(
                f"timm's {encoder} cannot be an encoder of a U-Net, which needs feature maps: {why}. {CONVOLUTIONAL}"
            ) from reason
        _fix_padding(self.encoder)
        self.decoder = UnetDecoder(self.encoder.out_channels, decoder_channels, n_blocks=5)
        used = 5 - int(math.log2(stride))
        del self.decoder.blocks[used:]
        self.head = nn.Conv2d(decoder_channels[used - 1], 1, kernel_size=1)
        assert self.head.bias is not None
        nn.init.constant_(self.head.bias, -math.log(1 / PRIOR - 1))
        mean, deviation = moments(self.encoder.model)
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(deviation)[:, None, None], persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of uint8 images [B, H, W, 3] with sides that are multiples of 32."""
        pixels = images.permute(0, 3, 1, 2).float() / 255
        features = self.encoder((pixels - self.mean) / self.deviation)
        logits: Tensor = self.head(self.decoder(features))[:, 0]
        return logits


@functools.cache
def check_network(encoder: str, decoder_channels: tuple[int, ...], stride: int) -> None:
    """Raises MitobenchError, with the reason, if the network of these arguments cannot be built."""
    check_built(lambda: HeatmapNet(encoder, decoder_channels, stride))


class _PaddedConv(nn.Conv2d):
    """A convolution with TensorFlow's padding for images whose sides are multiples of its stride."""

    def forward(self, images: Tensor) -> Tensor:
        """Pads one px more at the right and at the bottom, if the padding is odd."""
        sides = [max(k - step, 0) for k, step in zip(self.kernel_size, self.stride, strict=True)][::-1]
        return super().forward(pad(images, [n for side in sides for n in (side // 2, side - side // 2)]))


def _fix_padding(network: nn.Module) -> None:
    """Replaces timm's convolutions that compute their padding from the size of each image: it is always the same.

    An export for images of any size takes minutes otherwise.
    """
    from timm.layers import Conv2dSame

    for name, module in network.named_children():
        if isinstance(module, Conv2dSame) and module.dilation == (1, 1):
            same = (module.in_channels, module.out_channels, module.kernel_size, module.stride)
            fixed = _PaddedConv(*same, groups=module.groups, bias=module.bias is not None)
            fixed.weight, fixed.bias = module.weight, module.bias
            setattr(network, name, fixed)
        else:
            _fix_padding(module)


def focal_loss(logits: Tensor, targets: Tensor, alpha: float = 2.0, beta: float = 4.0) -> Tensor:
    """The penalty-reduced focal loss (Law, Deng: CornerNet, ECCV 2018, equation 1), divided by the number of peaks.

    Args:
        logits: [B, H, W].
        targets: [B, H, W], 1 at the peaks, a Gaussian around each, 0 elsewhere.
    """
    peaks = targets >= 1
    probability = logits.sigmoid()
    found = (1 - probability) ** alpha * logsigmoid(logits) * peaks
    missed = (1 - targets) ** beta * probability**alpha * logsigmoid(-logits) * ~peaks
    return -(found.sum() + missed.sum()) / peaks.sum().clamp(min=1)
