"""FCN-32s, 16s and 8s on VGG16 (Long, Shelhamer, Darrell: Fully convolutional networks, CVPR 2015)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad
from torchvision.models.vgg import cfgs, make_layers

STRIDES = (32, 16, 8)
UNUSED = ("classifier.6.",)  # VGG16's thousand classes


class FCN8s(nn.Module):
    """A network of three strides: 32 alone, or with a skip from pool4 (16), or from pool3 as well (8).

    All score layers start at zero and the learned upsampling as bilinear, so that each stride starts as the one
    before left it. Inputs are padded to a multiple of 32 px, and what was added is cut off the output.

    Args:
        width: factor on all channel counts.
        batch_norm: whether convolutions of VGG16 are followed by batch normalisation.
        dropout: after fc6 and fc7.
    """

    def __init__(self, width: float = 1.0, batch_norm: bool = False, dropout: float = 0.5) -> None:
        super().__init__()
        third, fourth, fc = (_scaled(channels, width) for channels in (256, 512, 4096))
        blocks = [c if isinstance(c, str) else _scaled(c, width) for c in cfgs["D"]]
        layers = list(make_layers(blocks, batch_norm))
        pools = [i + 1 for i, layer in enumerate(layers) if isinstance(layer, nn.MaxPool2d)]
        self.pool3 = nn.Sequential(*layers[: pools[2]])
        self.pool4 = nn.Sequential(*layers[pools[2] : pools[3]])
        self.pool5 = nn.Sequential(*layers[pools[3] :])
        self.head = nn.Sequential(
            nn.Conv2d(fourth, fc, 7, padding=3),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Conv2d(fc, fc, 1),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
        )
        self.score = nn.Conv2d(fc, 2, 1)
        self.score_pool4 = nn.Conv2d(fourth, 2, 1)
        self.score_pool3 = nn.Conv2d(third, 2, 1)
        self.up_to_16 = nn.ConvTranspose2d(2, 2, 4, stride=2, padding=1, bias=False)
        self.up_to_8 = nn.ConvTranspose2d(2, 2, 4, stride=2, padding=1, bias=False)
        self.stride = STRIDES[-1]
        self._initialise()

    def _initialise(self) -> None:
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        for score in (self.score, self.score_pool4, self.score_pool3):
            for parameter in score.parameters():
                nn.init.zeros_(parameter)
        tent = torch.tensor([0.25, 0.75, 0.75, 0.25])
        for up in (self.up_to_16, self.up_to_8):
            with torch.no_grad():
                up.weight.copy_(torch.eye(2)[:, :, None, None] * tent[:, None] * tent)

    def vgg16(self) -> dict[str, Tensor]:
        """What VGG16 has as well, by torchvision's names: views, for fc6 and fc7 are convolutions here."""
        layers = [*self.pool3, *self.pool4, *self.pool5]
        named = {f"features.{i}.{name}": t for i, layer in enumerate(layers) for name, t in layer.state_dict().items()}
        for name, tensor in self.head.state_dict().items():
            named[f"classifier.{name}"] = tensor.flatten(1) if tensor.ndim == 4 else tensor
        return named

    def forward(self, images: Tensor) -> Tensor:
        """Scores of background and mitosis, [B, 2, H, W], of images [B, 3, H, W]."""
        height, width = images.shape[2:]
        pool3 = self.pool3(pad(images, (0, -width % 32, 0, -height % 32), mode="replicate"))
        pool4 = self.pool4(pool3)
        scores = self.score(self.head(self.pool5(pool4)))
        if self.stride <= 16:
            scores = self.up_to_16(scores) + self.score_pool4(pool4)
        if self.stride <= 8:
            scores = self.up_to_8(scores) + self.score_pool3(pool3)
        scores = interpolate(scores, scale_factor=self.stride, mode="bilinear", align_corners=False)
        return scores[:, :, :height, :width]


def _scaled(channels: int, width: float) -> int:
    return max(1, round(channels * width))


def normalised(images: Tensor) -> Tensor:
    """uint8 images [B, H, W, 3] as float [B, 3, H, W], with ImageNet's mean and deviation taken out."""
    mean = torch.tensor([0.485, 0.456, 0.406], device=images.device)
    deviation = torch.tensor([0.229, 0.224, 0.225], device=images.device)
    return ((images / 255 - mean) / deviation).permute(0, 3, 1, 2)
