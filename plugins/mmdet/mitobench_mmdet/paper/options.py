"""Options of the detectors. The defaults are those of DeepDet (Li et al. 2018). px are those of the enlarged image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from mitobench.api import Field, Options
from mitobench_mmdet.engine.options import PatchTraining, Training


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


class RPNOptions(Search, Proposals, Backbone, PatchTraining):
    """Options of `rpn`."""

    renamed: ClassVar[Mapping[str, str]] = {**Search.renamed, **Training.renamed}

    score_floor: float = Field(0.0, ge=0, lt=1, description="candidates with this score or less are dropped")


class FasterRCNNOptions(Search, Proposals, Backbone, PatchTraining):
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
