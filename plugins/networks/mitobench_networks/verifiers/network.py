"""The residual networks, with one logit."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

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
