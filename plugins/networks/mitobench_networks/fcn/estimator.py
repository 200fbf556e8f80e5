"""`fcn`: takes the box of the blob that a segmentation network finds at a centroid (DeepSeg in the paper)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import find_objects
from skimage.filters import threshold_otsu
from skimage.measure import label
from torch import Tensor
from torch.nn.functional import cross_entropy

from mitobench import api
from mitobench.api import Context, Field, Floats, Frame, Mitoses, Sample, clip_boxes, square_boxes
from mitobench.training import (
    Stream,
    copy_own_weights,
    copy_weights,
    find_weights,
    load_weights,
    resample,
    save_weights,
    scaled,
)
from mitobench_networks.fcn.mask_patches import AnywhereStream, MaskPatches, TileStream, tile_edges
from mitobench_networks.fcn.network import STRIDES, UNUSED, FCN8s, normalised


class FCNOptions(api.Options):
    """Options of `fcn`. The defaults are those of the paper, but it starts from ImageNet weights, not PASCAL's."""

    pretrained: str = Field(
        "auto",
        description="Weights to start from: a .safetensors or .npz FILE of VGG16 with torchvision's names, `none` for "
        "random weights, or `auto` for torchvision's ImageNet weights if they are available and fit.",
    )
    side: float = Field(30.0, gt=0, description="Side of the fixed box that is used if no blob covers a centroid, px.")
    max_side: float = Field(100.0, gt=0, description="Blobs wider or higher than this are not used, px.")
    mpp: float | None = Field(
        0.2456, ge=0.05, le=10, description="Resolution of the network's input, um/px; null: that of the frame."
    )
    tiles: int = Field(
        4, ge=1, le=64, description="A frame is divided into tiles x tiles pieces for segmentation and for training."
    )
    patch: int = Field(521, ge=32, le=8_192, description="Side of a training patch, px at `mpp`.")
    patches: Literal["tiles", "anywhere"] = Field(
        "tiles",
        description="Training patches: `tiles` begin at the corners of the pieces, and those with a mitosis are "
        "rotated and mirrored; `anywhere` begin at any position, and all are rotated and mirrored.",
    )
    positive_share: float | None = Field(
        None, ge=0, le=1, description="Share of training patches with a mitosis; null: their share among all patches."
    )
    stain_jitter: float = Field(
        0.0, ge=0, description="Standard deviation of the random factor on the optical density."
    )
    width: float = Field(1.0, gt=0, le=16, description="Factor on all channel counts of VGG16.")
    norm: Literal["none", "batch"] = Field("none", description="Normalisation after the convolutions of VGG16.")
    dropout: float = Field(0.5, ge=0, lt=1, description="Dropout after fc6 and fc7.")
    iterations: tuple[int, int, int] = Field(
        (100_000, 100_000, 100_000), description="Optimizer steps at stride 32, then 16, then 8."
    )
    lrs: tuple[float, float, float] = Field(
        (1e-10, 1e-13, 1e-14), description="Learning rates at stride 32, then 16, then 8."
    )
    batch_size: int = Field(1, ge=1, le=4_096, description="Patches per step.")
    optimizer: Literal["sgd", "adamw"] = Field("sgd", description="Optimizer.")
    momentum: float = Field(0.99, ge=0, lt=1, description="Momentum of SGD.")
    weight_decay: float = Field(5e-4, ge=0, description="Weight decay.")
    reduction: Literal["sum", "mean"] = Field(
        "sum", description="How the loss is combined over pixels; the learning rates of the paper are for `sum`."
    )


@dataclass(frozen=True)
class SegmentedBlobs:
    """The blobs that were segmented on one frame.

    Attributes:
        labels: number of the blob at each pixel, at the network's resolution, [H, W]; 0 without a blob.
        boxes: bounding box of each blob, [number of blobs + 1, 4] frame px; row 0 is unused.
        factors: factors (x, y) from frame pixels to pixels of `labels`.
    """

    labels: NDArray[np.int64]
    boxes: Floats
    factors: Floats

    def at(self, xy: Floats) -> NDArray[np.int64]:
        """Returns the number of the blob at each point, [N, 2] frame px; 0 without a blob."""
        height, width = self.labels.shape
        x, y = np.rint(scaled(xy, self.factors)).astype(np.int64).T
        numbers: NDArray[np.int64] = self.labels[y.clip(0, height - 1), x.clip(0, width - 1)]
        return numbers


class FCN(api.BoxEstimator):
    """FCN-8s on VGG16. Takes the box of the blob at a centroid, otherwise a fixed box."""

    name = "fcn"
    version = "1"
    Options = FCNOptions
    learns_from_masks = True
    schedule = ("iterations",)
    inference_options = ("side", "max_side")

    @classmethod
    def pretrained(cls, options: FCNOptions) -> Path | None:
        """Returns torchvision's ImageNet weights of VGG16, which fit `width` 1 and `norm` none only."""
        fits = options.width == 1 and options.norm == "none"
        return find_weights(options.pretrained, "VGG16_Weights.IMAGENET1K_V1", fits)

    def fit(self, train: Sequence[Sample], val: Sequence[Sample], context: Context) -> None:
        """Learns from the masks of the training frames: at stride 32, then at 16, then at 8, each from the one before.

        Raises PluginError if a frame has no masks, none has a mitosis, or the pretrained weights do not fit.
        """
        options = self.options
        stream = self._stream(train)
        torch.manual_seed(context.seed)
        self._use(self._new())
        if context.pretrained and not copy_own_weights(context.pretrained, self._network):
            copy_weights(context.pretrained, self._network.vgg16(), UNUSED)
        for stride, iterations, lr in zip(STRIDES, options.iterations, options.lrs, strict=True):
            self._network.stride = stride
            self._train(stream, context, iterations, lr, f"fcn{stride}s")

    def _stream(self, samples: Sequence[Sample]) -> Stream:
        options = self.options
        patches = MaskPatches(samples, options.patch, options.mpp, options.stain_jitter)
        if options.patches == "tiles":
            return TileStream(patches, options.tiles, options.positive_share)
        return AnywhereStream(patches, options.positive_share)

    def _new(self) -> FCN8s:
        return FCN8s(self.options.width, self.options.norm == "batch", self.options.dropout)

    def _use(self, network: FCN8s) -> None:
        self._network = network
        self._last: tuple[str, SegmentedBlobs] | None = None

    def _train(self, stream: Stream, context: Context, iterations: int, lr: float, name: str) -> None:
        from mitobench.training import Supervised, train

        options = self.options
        optimizer: dict[str, Any] = {"lr": lr, "weight_decay": options.weight_decay}
        if options.optimizer == "sgd":
            optimizer |= {"type": "SGD", "momentum": options.momentum}
        else:
            optimizer |= {"type": "AdamW"}

        def loss(scores: Tensor, labels: Tensor) -> Tensor:
            return cross_entropy(scores, labels, reduction=options.reduction)

        half = context.amp and options.reduction == "mean"  # a sum over all pixels exceeds the range of half precision
        train(
            Supervised(self._network, loss, normalised),
            stream,
            replace(context, amp=half),
            iterations=iterations,
            batch_size=options.batch_size,
            optimizer=optimizer,
            name=name,
        )

    def boxes(self, frame: Frame, mitoses: Mitoses) -> Floats:
        """Returns the box of the blob that covers each centroid, otherwise a fixed box: [N, 4] px."""
        boxes = clip_boxes(square_boxes(mitoses.xy, self.options.side), frame.size)
        if len(mitoses):
            numbers, covered = self._under(frame, mitoses)
            boxes[covered] = self._blobs(frame).boxes[numbers[covered]]
        return boxes

    def covered(self, frame: Frame, mitoses: Mitoses) -> NDArray[np.bool_]:
        """Returns which boxes are those of blobs, bool [N]; the others are fixed."""
        return self._under(frame, mitoses)[1] if len(mitoses) else np.zeros(0, bool)

    def _under(self, frame: Frame, mitoses: Mitoses) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Returns the number of the blob at each centroid, and whether there is one that is not too large."""
        blobs = self._blobs(frame)
        numbers = blobs.at(mitoses.xy)
        sides = (blobs.boxes[numbers, 2:] - blobs.boxes[numbers, :2]).max(axis=1)
        return numbers, (numbers > 0) & (sides <= self.options.max_side)

    def _blobs(self, frame: Frame) -> SegmentedBlobs:
        """Returns the blobs of a frame. The last result is cached, because `boxes` and `covered` both need it."""
        if self._last is None or self._last[0] != frame.key:
            probability, factors = self.probability(frame)
            labels = label(probability > threshold_otsu(probability))
            found = find_objects(labels)
            spans = [(0, 0, 0, 0)] + [(x.start, y.start, x.stop, y.stop) for y, x in found]
            boxes = scaled(np.array(spans) - 0.5, 1 / factors)
            self._last = frame.key, SegmentedBlobs(labels, clip_boxes(boxes, frame.size), factors)
        return self._last[1]

    @torch.inference_mode()
    def probability(self, frame: Frame) -> tuple[Floats, Floats]:
        """Returns the probability of mitosis at the network's resolution, [H, W], and the factors (x, y) to it."""
        image, factors = resample(frame.read(), frame.mpp, self.options.mpp)
        probability = np.zeros(image.shape[:2])
        rows, columns = (tile_edges(side, self.options.tiles) for side in image.shape[:2])
        for top, bottom in pairwise(rows):
            for left, right in pairwise(columns):
                tile = torch.tensor(image[None, top:bottom, left:right], device=self.device)
                scores = self._network(normalised(tile))
                probability[top:bottom, left:right] = scores.softmax(dim=1)[0, 1].cpu().numpy()
        return probability, factors

    def save(self, folder: Path) -> None:
        """Writes the weights."""
        save_weights(self._network, folder)

    def load(self, folder: Path) -> None:
        """Reads the weights."""
        network = self._new()
        load_weights(network, folder)
        self._use(network.to(self.device).eval())
