"""Options of the detectors: defaults are those of DeepDet (Li et al. 2018); px are of the enlarged image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from mitobench.api import Field, Options


class Image(Options):
    """How frames become inputs of the network."""

    mpp: float | None = Field(
        0.2456, ge=0.1, le=1.0, description="um/px to which frames are resampled before `scale`; null: as they are"
    )
    scale: float = Field(2.0, gt=0, le=16, description="factor by which the input is enlarged after that")


class Backbone(Options):
    """VGG_CNN_M."""

    width: float = Field(1.0, gt=0, le=2.0, description="factor on the channels of VGG_CNN_M")
    norm: Literal["lrn", "batch"] = Field(
        "lrn", description="`lrn`: local response normalisation, as published; `batch`: what random weights need"
    )
    stride: Literal[8, 16] = Field(16, description="px a cell of the feature map")
    pretrained: str = Field(
        "auto",
        description="weights to start from: a .safetensors or .npz FILE of VGG_CNN_M's tensors, `none` for random "
        "ones, or `auto`: the file vgg_cnn_m_1024 in the weights folder where there is one",
    )
    frozen_stages: int = Field(
        1, ge=0, le=5, description="convolutions, from the first, that keep the pretrained weights; random ones train"
    )


class Training(Options):
    """Optimisation."""

    renamed: ClassVar[Mapping[str, str]] = {"mining": "hard_negative_rounds"}

    iterations: int = Field(120_000, ge=1, le=10_000_000, description="optimizer steps")
    batch_size: int = Field(1, ge=1, le=4_096, description="patches a step")
    optimizer: Literal["sgd", "adamw"] = Field("sgd", description="`momentum` is SGD's alone")
    lr: float = Field(1e-3, gt=0, description="learning rate")
    lr_steps: tuple[int, ...] = Field((50_000, 100_000), description="iterations at which `lr` is divided by 10")
    momentum: float = Field(0.9, ge=0, lt=1, description="of SGD")
    weight_decay: float = Field(5e-4, ge=0, description="of every weight")
    warmup: int = Field(0, ge=0, le=10_000_000, description="iterations over which `lr` rises from a hundredth")
    clip_norm: float | None = Field(None, gt=0, description="greatest norm of the gradient; null: any")
    ema: float | None = Field(
        None, gt=0, lt=1, description="decay a step of the moving average of the weights that is used; null: the last"
    )
    hard_negative_rounds: int = Field(
        0,
        ge=0,
        description="rounds of hard-negative mining: the iterations are divided into one part more, each with its own "
        "course of `lr`; after each, half of the patches that need hold no mitosis hold a false positive",
    )
    workers: int | None = Field(
        None,
        ge=0,
        description="processes that draw patches, the same for any number; null: as many as keep a GPU busy (up to 8), "
        "none on the CPU",
    )


class PatchSampling(Options):
    """What a training patch is."""

    patch: int = Field(512, ge=64, le=8_192, description="side, px before `scale`; a smaller frame is taken whole")
    patch_stride: int | None = Field(
        32,
        ge=1,
        le=8_192,
        description="px before `scale` between positions of patches in the turned frame; null: any position",
    )
    area_threshold: float = Field(
        800.0,
        ge=0,
        description="AreaTh, px^2: a patch is dropped if a mitosis that crosses its border keeps less (of its mask, "
        "else of its box)",
    )
    positive_share: float = Field(
        1.0, ge=0, le=1, description="share of patches chosen to hold a mitosis; the others lie anywhere"
    )
    rotation: Literal[0, 45, 90] = Field(45, description="degrees between the angles to which a frame is turned")
    mirror: bool = Field(True, description="mirror every other patch")
    stain_jitter: float = Field(0.0, ge=0, le=1, description="standard deviation of the optical density's factor")
    hed_jitter: float = Field(0.0, ge=0, le=1, description="greatest change of a stain's factor, in HED space")


class Proposals(Options):
    """The region proposal network."""

    rpn_channels: int = Field(256, ge=1, le=8_192, description="channels of its 3 x 3 convolution")
    anchor_base: int = Field(16, ge=1, le=4_096, description="px; an anchor's side is this times its scale")
    anchor_scales: tuple[float, ...] = Field((4.0, 8.0, 16.0), min_length=1, description="scales of the anchors")
    anchor_ratios: tuple[float, ...] = Field((0.5, 1.0, 2.0), min_length=1, description="height / width of the anchors")
    rpn_batch: int = Field(256, ge=2, le=100_000, description="anchors sampled a patch")
    rpn_positive: float = Field(0.5, gt=0, le=1, description="greatest share of positive ones among them")
    rpn_positive_iou: float = Field(0.7, gt=0, le=1, description="an anchor with more is positive, and so is the best")
    rpn_negative_iou: float = Field(0.3, ge=0, le=1, description="an anchor with less is negative")
    proposal_nms: float = Field(0.7, gt=0, le=1, description="IoU above which a proposal gives way to a better one")
    min_side: float = Field(16.0, ge=0, description="px; narrower proposals are dropped")


class Search(Options):
    """How a whole frame is searched. Training reads none of these: changing one reuses the existing fit."""

    renamed: ClassVar[Mapping[str, str]] = {"test_turns": "tta_views"}

    tile: int | None = Field(
        None,
        ge=64,
        description="side, px of the enlarged frame, of the tiles in which the backbone sees it, where memory is "
        "short; the detections are those of one pass (null)",
    )
    proposals_before: int = Field(6000, ge=1, le=1_000_000, description="best anchors that enter suppression")
    proposals_after: int = Field(300, ge=1, le=100_000, description="proposals that leave it")
    score_floor: float = Field(0.05, ge=0, lt=1, description="candidates at or below are dropped")
    test_nms: float = Field(0.3, gt=0, le=1, description="IoU above which a candidate gives way to a better one")
    tta_views: Literal[1, 4, 8] = Field(
        1, description="views of the frame whose scores are averaged: 1, the 4 quarter turns, or all 8 symmetries"
    )
    max_per_image: int = Field(100, ge=1, le=100_000, description="greatest number of candidates a frame")


class RPNOptions(Search, Proposals, PatchSampling, Training, Backbone, Image):
    """Options of `rpn`."""

    renamed: ClassVar[Mapping[str, str]] = {**Search.renamed, **Training.renamed}

    score_floor: float = Field(0.0, ge=0, lt=1, description="candidates at or below are dropped")


class FasterRCNNOptions(Search, Proposals, PatchSampling, Training, Backbone, Image):
    """Options of `frcnn`."""

    renamed: ClassVar[Mapping[str, str]] = {**Search.renamed, **Training.renamed}

    train_proposals_before: int = Field(
        12_000, ge=1, le=1_000_000, description="best anchors that enter suppression, in training"
    )
    train_proposals_after: int = Field(2000, ge=1, le=100_000, description="proposals that leave it, in training")
    roi_pooling: Literal["pool", "align"] = Field("pool", description="RoI max pooling, or RoIAlign")
    roi_size: int = Field(6, ge=1, le=64, description="cells along each side of a pooled region")
    fc: tuple[Annotated[int, Field(ge=1, le=65_536)], ...] = Field(
        (4096, 1024), min_length=1, description="units of the fully connected layers"
    )
    dropout: float = Field(0.5, ge=0, lt=1, description="share of those units silenced in training")
    roi_batch: int = Field(128, ge=1, le=100_000, description="regions sampled a patch")
    roi_positive: float = Field(0.25, gt=0, le=1, description="greatest share of foreground among them")
    roi_iou: float = Field(0.5, gt=0, le=1, description="regions with at least this IoU are foreground")
    box_stds: tuple[float, float, float, float] = Field(
        (0.1, 0.1, 0.2, 0.2), description="by which the regression targets x, y, width, height are divided"
    )


class RPNExtractedOptions(Search):
    """Options of `rpn-extracted`; the network and its inputs are those of the `frcnn` it comes from."""

    score_floor: float = Field(0.0, ge=0, lt=1, description="candidates at or below are dropped")
