"""Options of the detectors. The defaults are those of DeepDet (Li et al. 2018). px are those of the enlarged image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from mitobench.api import Field, Options


class Image(Options):
    """Options of the network's input."""

    mpp: float | None = Field(
        0.2456, ge=0.1, le=1.0, description="um/px to which frames are resampled before `scale`; null: not resampled"
    )
    scale: float = Field(2.0, gt=0, le=16, description="factor by which the resampled frame is enlarged")


class Backbone(Options):
    """Options of the backbone, VGG_CNN_M."""

    width: float = Field(1.0, gt=0, le=2.0, description="factor on the channels of VGG_CNN_M")
    norm: Literal["lrn", "batch"] = Field(
        "lrn",
        description="`lrn`: local response normalisation, as published; `batch`: batch norm, for random weights",
    )
    stride: Literal[8, 16] = Field(16, description="px per cell of the feature map")
    pretrained: str = Field(
        "auto",
        description="weights to start from: a .safetensors or .npz FILE of VGG_CNN_M's tensors, `none` for random "
        "weights, or `auto` for the file vgg_cnn_m_1024 in the weights folder, if it exists",
    )
    frozen_stages: int = Field(
        1,
        ge=0,
        le=5,
        description="number of first convolutions whose pretrained weights stay fixed; random ones are trained",
    )


class Training(Options):
    """Options of the training."""

    renamed: ClassVar[Mapping[str, str]] = {"mining": "hard_negative_rounds"}

    iterations: int = Field(120_000, ge=1, le=10_000_000, description="optimizer steps")
    batch_size: int = Field(1, ge=1, le=4_096, description="patches per step")
    optimizer: Literal["sgd", "adamw"] = Field("sgd", description="optimizer; `momentum` applies to SGD only")
    lr: float = Field(1e-3, gt=0, description="learning rate")
    lr_steps: tuple[int, ...] = Field((50_000, 100_000), description="iterations at which `lr` is divided by 10")
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of SGD")
    weight_decay: float = Field(5e-4, ge=0, description="weight decay")
    warmup: int = Field(
        0, ge=0, le=10_000_000, description="iterations over which `lr` rises from a hundredth of its value"
    )
    clip_norm: float | None = Field(None, gt=0, description="greatest norm of the gradient; null: no clipping")
    ema: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="decay per step of the moving average of the weights; null: the last weights are used",
    )
    hard_negative_rounds: int = Field(
        0,
        ge=0,
        description="rounds of hard-negative mining: N rounds divide the iterations into N + 1 parts, each with its "
        "own schedule of `lr`; after each part, half of the patches that need no mitosis contain a false positive",
    )
    workers: int | None = Field(
        None,
        ge=0,
        description="processes that draw patches; the patches are the same for any number; null: up to 8 for a GPU, "
        "none for the CPU",
    )


class PatchSampling(Options):
    """Options of the training patches."""

    patch: int = Field(512, ge=64, le=8_192, description="side, px before `scale`; a smaller frame is used whole")
    patch_stride: int | None = Field(
        32,
        ge=1,
        le=8_192,
        description="distance between patches in the rotated frame, px before `scale`; null: any position",
    )
    area_threshold: float = Field(
        800.0,
        ge=0,
        description="AreaTh, px^2: a patch is dropped if less than this remains of a mitosis that crosses its border "
        "(of its mask, or of its box if it has no mask)",
    )
    positive_share: float = Field(
        1.0, ge=0, le=1, description="share of patches drawn around a mitosis; the others are drawn anywhere"
    )
    rotation: Literal[0, 45, 90] = Field(
        45, description="degrees between the angles by which a frame is rotated; 0: no rotation"
    )
    mirror: bool = Field(True, description="mirror half of the patches, at random")
    stain_jitter: float = Field(
        0.0, ge=0, le=1, description="standard deviation of the random factor on the optical density"
    )
    hed_jitter: float = Field(
        0.0, ge=0, le=1, description="greatest random change of the factor on a stain, in HED space"
    )


class Proposals(Options):
    """Options of the region proposal network."""

    rpn_channels: int = Field(256, ge=1, le=8_192, description="channels of its 3 x 3 convolution")
    anchor_base: int = Field(16, ge=1, le=4_096, description="side of an anchor of scale 1, px")
    anchor_scales: tuple[float, ...] = Field((4.0, 8.0, 16.0), min_length=1, description="scales of the anchors")
    anchor_ratios: tuple[float, ...] = Field((0.5, 1.0, 2.0), min_length=1, description="height / width of the anchors")
    rpn_batch: int = Field(256, ge=2, le=100_000, description="anchors sampled per patch")
    rpn_positive: float = Field(0.5, gt=0, le=1, description="greatest share of positive anchors among them")
    rpn_positive_iou: float = Field(
        0.7, gt=0, le=1, description="anchors with a higher IoU are positive, and so is the best anchor of each mitosis"
    )
    rpn_negative_iou: float = Field(0.3, ge=0, le=1, description="anchors with a lower IoU are negative")
    proposal_nms: float = Field(
        0.7, gt=0, le=1, description="IoU with a better proposal above which a proposal is dropped"
    )
    min_side: float = Field(16.0, ge=0, description="least side of a proposal, px")


class Search(Options):
    """Options of the search in a whole frame. Training does not read them: changing one reuses the existing fit."""

    renamed: ClassVar[Mapping[str, str]] = {"test_turns": "tta_views"}

    tile: int | None = Field(
        None,
        ge=64,
        description="side of the tiles in which the backbone processes a frame, to save memory, px of the enlarged "
        "frame; null: in one pass. The detections are the same",
    )
    proposals_before: int = Field(
        6000, ge=1, le=1_000_000, description="number of best anchors before non-maximum suppression"
    )
    proposals_after: int = Field(300, ge=1, le=100_000, description="greatest number of proposals after it")
    score_floor: float = Field(0.05, ge=0, lt=1, description="candidates with this score or less are dropped")
    test_nms: float = Field(
        0.3, gt=0, le=1, description="IoU with a better candidate above which a candidate is dropped"
    )
    tta_views: Literal[1, 4, 8] = Field(
        1, description="test-time augmentation: views whose scores are averaged; 1, 4 (rotations) or 8 (and mirrored)"
    )
    max_per_image: int = Field(100, ge=1, le=100_000, description="greatest number of candidates per frame")


class RPNOptions(Search, Proposals, PatchSampling, Training, Backbone, Image):
    """Options of `rpn`."""

    renamed: ClassVar[Mapping[str, str]] = {**Search.renamed, **Training.renamed}

    score_floor: float = Field(0.0, ge=0, lt=1, description="candidates with this score or less are dropped")


class FasterRCNNOptions(Search, Proposals, PatchSampling, Training, Backbone, Image):
    """Options of `frcnn`."""

    renamed: ClassVar[Mapping[str, str]] = {**Search.renamed, **Training.renamed}

    train_proposals_before: int = Field(
        12_000, ge=1, le=1_000_000, description="number of best anchors before suppression, in training"
    )
    train_proposals_after: int = Field(
        2000, ge=1, le=100_000, description="greatest number of proposals after it, in training"
    )
    roi_pooling: Literal["pool", "align"] = Field("pool", description="`pool`: RoI max pooling; `align`: RoIAlign")
    roi_size: int = Field(6, ge=1, le=64, description="cells along each side of a pooled region")
    fc: tuple[Annotated[int, Field(ge=1, le=65_536)], ...] = Field(
        (4096, 1024), min_length=1, description="units of the fully connected layers"
    )
    dropout: float = Field(0.5, ge=0, lt=1, description="dropout after each of these layers")
    roi_batch: int = Field(128, ge=1, le=100_000, description="regions sampled per patch")
    roi_positive: float = Field(0.25, gt=0, le=1, description="greatest share of foreground among them")
    roi_iou: float = Field(0.5, gt=0, le=1, description="regions with at least this IoU are foreground")
    box_stds: tuple[float, float, float, float] = Field(
        (0.1, 0.1, 0.2, 0.2), description="divisors of the regression targets x, y, width, height"
    )


class RPNExtractedOptions(Search):
    """Options of `rpn-extracted`. Its network and input are those of the fitted `frcnn`."""

    score_floor: float = Field(0.0, ge=0, lt=1, description="candidates with this score or less are dropped")
