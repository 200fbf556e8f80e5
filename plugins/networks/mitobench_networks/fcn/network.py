"""FCN-32s, 16s and 8s on VGG16 (Long, Shelhamer, Darrell: Fully convolutional networks, CVPR 2015)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad
from torchvision.models.vgg import cfgs, make_layers

STRIDES = (32, 16, 8)
UNUSED = ("classifier.6.",)  # VGG16's layer of ImageNet's thousand classes


class FCN8s(nn.Module):
    """A network of stride 32, of stride 16 with a skip from pool4, or of stride 8 with another from pool3.

    The score layers start at zero and the learned upsampling starts bilinear, so each stride starts with the scores of
    the one before. Inputs are padded to a multiple of 32 px, and the output is cut back to their size.

    Args:
        width: factor on all channel counts.
        batch_norm: whether batch normalisation follows the convolutions of VGG16.
        dropout: dropout after fc6 and fc7.
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
        """Returns the tensors that VGG16 has too, by torchvision's names; fc6 and fc7 are views of convolutions."""
        layers = [*self.pool3, *self.pool4, *self.pool5]
        named = {f"features.{i}.{name}": t for i, layer in enumerate(layers) for name, t in layer.state_dict().items()}
        for name, tensor in self.head.state_dict().items():
            named[f"classifier.{name}"] = tensor.flatten(1) if tensor.ndim == 4 else tensor
        return named

    def forward(self, images: Tensor) -> Tensor:
        """Returns the scores of background and mitosis, [B, 2, H, W], of images, [B, 3, H, W]."""
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
    """Turns uint8 images, [B, H, W, 3], into float, [B, 3, H, W], normalised with ImageNet's mean and deviation."""
    mean = torch.tensor([0.485, 0.456, 0.406], device=images.device)
    deviation = torch.tensor([0.229, 0.224, 0.225], device=images.device)
    return ((images / 255 - mean) / deviation).permute(0, 3, 1, 2)
