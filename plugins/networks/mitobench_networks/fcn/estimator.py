"""`fcn`: a segmentation network finds the blob that covers a centroid (paper: DeepSeg)."""

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
    """The defaults are the paper's, but for the weights to start from: ImageNet's, where the paper has PASCAL's."""

    pretrained: str = Field(
        "auto",
        description="Weights to start from: a .safetensors or .npz FILE of VGG16's tensors as torchvision names them, "
        "`none` for random ones, or `auto`: torchvision's ImageNet weights where they can be had and fit.",
    )
    side: float = Field(30.0, gt=0, description="Side of the fixed box where no blob covers a centroid, px.")
    max_side: float = Field(100.0, gt=0, description="A blob wider or higher than this is no mitosis, px.")
    mpp: float | None = Field(
        0.2456, ge=0.05, le=10, description="Resolution of the network, um/px; null: the frame's own."
    )
    tiles: int = Field(
        4, ge=1, le=64, description="A frame is segmented, and cut for training, in tiles x tiles pieces."
    )
    patch: int = Field(521, ge=32, le=8_192, description="Side of a training patch, px at `mpp`.")
    patches: Literal["tiles", "anywhere"] = Field(
        "tiles",
        description="Training patches: `tiles` begin at the corners of a frame's pieces, and those with a mitosis come "
        "in all eight rotations and mirrors; `anywhere`: at any position, all turned and mirrored.",
    )
    positive_share: float | None = Field(
        None, ge=0, le=1, description="Share of training patches that hold a mitosis; null: as they come."
    )
    stain_jitter: float = Field(0.0, ge=0, description="Standard deviation of the factor on optical density.")
    width: float = Field(1.0, gt=0, le=16, description="Factor on all channel counts of VGG16.")
    norm: Literal["none", "batch"] = Field("none", description="Normalisation after the convolutions of VGG16.")
    dropout: float = Field(0.5, ge=0, lt=1, description="Dropout after fc6 and fc7.")
    iterations: tuple[int, int, int] = Field(
        (100_000, 100_000, 100_000), description="Optimizer steps at stride 32, then 16, then 8."
    )
    lrs: tuple[float, float, float] = Field((1e-10, 1e-13, 1e-14), description="Learning rates of the same.")
    batch_size: int = Field(1, ge=1, le=4_096, description="Patches a step.")
    optimizer: Literal["sgd", "adamw"] = Field("sgd", description="Optimizer.")
    momentum: float = Field(0.99, ge=0, lt=1, description="Momentum of SGD.")
    weight_decay: float = Field(5e-4, ge=0, description="Weight decay.")
    reduction: Literal["sum", "mean"] = Field("sum", description="Of the loss over pixels; the paper's rates want sum.")


@dataclass(frozen=True)
class SegmentedBlobs:
    """The blobs of one frame.

    Attributes:
        labels: number of the blob at each pixel at the network's resolution, 0 where there is none, [H, W].
        boxes: their bounding boxes, [number of blobs + 1, 4] frame px; row 0 is no blob's.
        factors: (x, y) from frame pixels to those of `labels`.
    """

    labels: NDArray[np.int64]
    boxes: Floats
    factors: Floats

    def at(self, xy: Floats) -> NDArray[np.int64]:
        """Number of the blob at each point [N, 2] frame px; 0 where there is none."""
        height, width = self.labels.shape
        x, y = np.rint(scaled(xy, self.factors)).astype(np.int64).T
        numbers: NDArray[np.int64] = self.labels[y.clip(0, height - 1), x.clip(0, width - 1)]
        return numbers


class FCN(api.BoxEstimator):
    """FCN-8s on VGG16: the box of the blob under a centroid, else a fixed one."""

    name = "fcn"
    version = "1"
    Options = FCNOptions
    learns_from_masks = True
    schedule = ("iterations",)
    inference_options = ("side", "max_side")

    @classmethod
    def pretrained(cls, options: FCNOptions) -> Path | None:
        """VGG16's weights on ImageNet; a network of other channels or with batch normalisation has none of its own."""
        fits = options.width == 1 and options.norm == "none"
        return find_weights(options.pretrained, "VGG16_Weights.IMAGENET1K_V1", fits)

    def fit(self, train: Sequence[Sample], val: Sequence[Sample], context: Context) -> None:
        """Learn from the masks of the training frames: stride 32, then 16 from it, then 8 from it.

        Raises PluginError when a frame has no masks or none has a mitosis, or the weights to start from do not fit.
        """
        options = self.options
        stream = self._stream(train)
        torch.manual_seed(context.seed)
        self._use(self._new())
        if context.pretrained:
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

        half = context.amp and options.reduction == "mean"  # a sum over all pixels is beyond half precision
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
        """The box of the blob that covers each centroid, else a fixed one: [N, 4] px."""
        boxes = clip_boxes(square_boxes(mitoses.xy, self.options.side), frame.size)
        if len(mitoses):
            numbers, covered = self._under(frame, mitoses)
            boxes[covered] = self._blobs(frame).boxes[numbers[covered]]
        return boxes

    def covered(self, frame: Frame, mitoses: Mitoses) -> NDArray[np.bool_]:
        """Which mitoses have their box from a blob, bool [N]; the others have a fixed one."""
        return self._under(frame, mitoses)[1] if len(mitoses) else np.zeros(0, bool)

    def _under(self, frame: Frame, mitoses: Mitoses) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The blob at each centroid, and whether there is one of a mitosis's size."""
        blobs = self._blobs(frame)
        numbers = blobs.at(mitoses.xy)
        sides = (blobs.boxes[numbers, 2:] - blobs.boxes[numbers, :2]).max(axis=1)
        return numbers, (numbers > 0) & (sides <= self.options.max_side)

    def _blobs(self, frame: Frame) -> SegmentedBlobs:
        """The frame's blobs; those of the last frame are kept, for `boxes` and `covered` are asked one by one."""
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
        """Probability of mitosis at every pixel at the network's resolution, [H, W], and the factors (x, y) to it."""
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
        """Write the weights."""
        save_weights(self._network, folder)

    def load(self, folder: Path) -> None:
        """Read the weights."""
        network = self._new()
        load_weights(network, folder)
        self._use(network.to(self.device).eval())
