"""Builds torchvision's box detectors for one class, with random weights and without any download.

Frames come at the resolution that the harness sets, so the networks never resize them; they are normalised as the
weights of the backbone expect.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from torchvision.models import detection
from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator
from torchvision.models.detection.faster_rcnn import FasterRCNN, FastRCNNConvFCHead, RPNHead
from torchvision.models.detection.fcos import FCOS
from torchvision.models.detection.retinanet import RetinaNet, RetinaNetHead
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import ExtraFPNBlock, LastLevelMaxPool, LastLevelP6P7

from mitobench.training.timm_models import features_at, moments
from mitobench_networks.torchvision_detectors.options import TorchvisionOptions

RATIOS = (0.5, 1.0, 2.0)  # height / width of anchors
SIZE_DIVISOR = 32  # sides of a batch are padded to multiples of it


class UnscaledTransform(GeneralizedRCNNTransform):
    """Normalises images and joins them to a batch, without resizing them."""

    def resize(self, image: Tensor, target: Any = None) -> tuple[Tensor, Any]:
        """Returns both unchanged."""
        return image, target


class BoxNetwork(nn.Module):
    """One of torchvision's detectors, for images as the harness has them.

    Attributes:
        network: the detector; its tensors have torchvision's names.
        label: number of the class of mitoses.
        side: side of the images that it takes, px; smaller ones are padded. None: it takes any.
    """

    def __init__(self, options: TorchvisionOptions) -> None:
        super().__init__()
        self.network, mean, deviation = _built(options)
        has_background = not isinstance(self.network, FCOS | RetinaNet)  # class 0, where there is one
        self.label, self.side = int(has_background), options.fixed_side
        self.network.transform = UnscaledTransform(
            1, 1, list(mean), list(deviation), size_divisible=1 if self.side else SIZE_DIVISOR
        )
        self._limit(options)

    def _limit(self, options: TorchvisionOptions) -> None:
        """Sets which detections of an image are kept."""
        holder: Any = self.network.roi_heads if isinstance(self.network, FasterRCNN) else self.network
        holder.score_thresh, holder.nms_thresh = options.score_floor, options.nms
        holder.detections_per_img = options.detections_per_tile

    def losses(self, images: Sequence[Tensor], boxes: Sequence[Tensor]) -> dict[str, Tensor]:
        """Returns the detector's losses, scalars by name.

        Args:
            images: uint8 [H, W, 3] each.
            boxes: [N, 4] px from the upper left corner of each image.
        """
        losses: dict[str, Tensor] = self.network(*self.prepare(images, boxes))
        return losses

    def prepare(
        self, images: Sequence[Tensor], boxes: Sequence[Tensor]
    ) -> tuple[list[Tensor], list[dict[str, Tensor]]]:
        """Returns the images and targets that torchvision's detector takes, from those of `losses`."""
        targets = [
            {"boxes": of, "labels": torch.full((len(of),), self.label, dtype=torch.int64, device=of.device)}
            for of in boxes
        ]
        return [self._prepared(image) for image in images], targets

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Returns boxes, [N, 4] px from the upper left corner, and scores, [N], of one image, uint8 [H, W, 3]."""
        (found,) = self.several([image])
        return found

    def several(self, images: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
        """Returns what `forward` does for each of several images of one size."""
        answers = []
        for found in self.network([self._prepared(image) for image in images]):
            kept = found["labels"] == self.label
            answers.append((found["boxes"][kept], found["scores"][kept]))
        return answers

    def _prepared(self, image: Tensor) -> Tensor:
        pixels = image.permute(2, 0, 1).float() / 255
        if self.side is None:
            return pixels
        height, width = pixels.shape[1:]
        return pad(pixels, (0, max(0, self.side - width), 0, max(0, self.side - height)), mode="replicate")


class Pyramid(nn.Module):
    """A network of timm with a feature pyramid.

    Args:
        name: name of the network in timm.
        strides: of the feature maps that the pyramid is built on.
        channels: of the pyramid.
        extra: makes further levels from (channels of the last feature map, channels of the pyramid).
    """

    def __init__(
        self, name: str, strides: Sequence[int], channels: int, extra: Callable[[int, int], ExtraFPNBlock]
    ) -> None:
        super().__init__()
        self.body = features_at(name, strides)
        widths = cast(Any, self.body).feature_info.channels()
        self.fpn = FeaturePyramidNetwork(widths, channels, extra(widths[-1], channels))
        self.out_channels = channels

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Returns the levels, [B, channels, H / stride, W / stride], by name, the finest first."""
        maps = OrderedDict((str(number), level) for number, level in enumerate(self.body(images)))
        levels: dict[str, Tensor] = self.fpn(maps)
        return levels


def _built(options: TorchvisionOptions) -> tuple[nn.Module, Sequence[float], Sequence[float]]:
    """Builds the detector. Returns it with the mean and the standard deviation that its input is normalised with."""
    if options.backbone:
        build = _ON_TIMM[options.model.removesuffix("_v2")]
        network = build(options.backbone.partition(":")[2], options.channels, options.model.endswith("_v2"))
        mean, deviation = moments(network.backbone.body)
    else:
        classes = 1 if options.model.startswith(("fcos", "retinanet")) else 2
        network = getattr(detection, options.model)(weights=None, weights_backbone=None, num_classes=classes)
        mean, deviation = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's
    _size_anchors(network, options)
    return network, mean, deviation


def _faster_rcnn(backbone: str, channels: int, v2: bool) -> Any:
    pyramid = Pyramid(backbone, (4, 8, 16, 32), channels, lambda *_: LastLevelMaxPool())
    anchors = AnchorGenerator(tuple((size,) for size in (32, 64, 128, 256, 512)), (RATIOS,) * 5)
    heads: dict[str, nn.Module] = {}
    if v2:
        heads = {
            "rpn_head": RPNHead(channels, anchors.num_anchors_per_location()[0], conv_depth=2),
            "box_head": FastRCNNConvFCHead((channels, 7, 7), [channels] * 4, [1024], norm_layer=nn.BatchNorm2d),
        }
    return FasterRCNN(pyramid, 2, rpn_anchor_generator=anchors, **heads)


def _faster_rcnn_coarse(backbone: str, channels: int, v2: bool) -> Any:
    pyramid = Pyramid(backbone, (16, 32), channels, lambda *_: LastLevelMaxPool())
    anchors = AnchorGenerator(((32, 64, 128, 256, 512),) * 3, (RATIOS,) * 3)
    return FasterRCNN(pyramid, 2, rpn_anchor_generator=anchors)


def _fcos(backbone: str, channels: int, v2: bool) -> Any:
    return FCOS(Pyramid(backbone, (8, 16, 32), channels, lambda _, own: LastLevelP6P7(own, own)), 1)


def _retinanet(backbone: str, channels: int, v2: bool) -> Any:
    if not v2:
        return RetinaNet(Pyramid(backbone, (8, 16, 32), channels, lambda _, own: LastLevelP6P7(own, own)), 1)
    pyramid = Pyramid(backbone, (8, 16, 32), channels, LastLevelP6P7)
    head = RetinaNetHead(channels, 9, 1, norm_layer=partial(nn.GroupNorm, 32))
    head.regression_head._loss_type = "giou"
    return RetinaNet(pyramid, 1, head=head)


_ON_TIMM: dict[str, Callable[[str, int, bool], Any]] = {
    "fasterrcnn_resnet50_fpn": _faster_rcnn,
    "fasterrcnn_mobilenet_v3_large_fpn": _faster_rcnn_coarse,
    "fasterrcnn_mobilenet_v3_large_320_fpn": _faster_rcnn_coarse,
    "fcos_resnet50_fpn": _fcos,
    "retinanet_resnet50_fpn": _retinanet,
}


def _size_anchors(network: Any, options: TorchvisionOptions) -> None:
    """Resizes all anchors so that the smallest have the side `anchor_um`. Their number stays that of torchvision."""
    if isinstance(network, FCOS):
        return
    smallest = options.anchor_um / (options.mpp or 0.25) * options.scale  # px
    holder = network.rpn if isinstance(network, FasterRCNN) else network
    generator = holder.anchor_generator
    if isinstance(generator, DefaultBoxGenerator):
        assert options.fixed_side
        generator.scales = _ssd_scales(smallest / options.fixed_side, generator.scales)
        generator._wh_pairs = generator._generate_wh_pairs(len(generator.aspect_ratios))
        return
    factor = smallest / min(min(sizes) for sizes in generator.sizes)
    sizes = tuple(tuple(size * factor for size in of_level) for of_level in generator.sizes)
    holder.anchor_generator = AnchorGenerator(sizes, generator.aspect_ratios)


def _ssd_scales(smallest: float, scales: Sequence[float]) -> list[float]:
    """Returns the sides of an SSD's boxes, as shares of its input: rising evenly from `smallest` to the last."""
    last = max(scales[-1], smallest)
    ratio = (last / smallest) ** (1 / (len(scales) - 1))
    return [smallest * ratio**number for number in range(len(scales))]
