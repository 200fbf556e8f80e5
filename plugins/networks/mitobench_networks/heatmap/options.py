"""Options of the `heatmap` family."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from mitobench.api import Field, Options


class HeatmapOptions(Options):
    """The defaults are for real frames and a GPU; profile `cpu` shortens the schedule."""

    encoder: str = Field("", description="Name of the encoder in timm, for example tf_efficientnet_lite0.")
    pretrained: str = Field(
        "auto",
        description="Weights that the encoder starts from: a .safetensors or .npz FILE of its tensors as timm names "
        "them, `none` for random ones, or `auto`: ImageNet weights where they can be had.",
    )
    mpp: float = Field(0.5, ge=0.05, le=10, description="Resolution of the network, um/px.")
    stride: Literal[1, 2, 4] = Field(2, description="Pixels of the image per pixel of the map, along each side.")
    decoder_channels: tuple[int, int, int, int, int] = Field(
        (256, 128, 64, 48, 32), description="Channels of the decoder's blocks, at strides 16, 8, 4, 2 and 1."
    )
    sigma_um: float = Field(
        2.0, gt=0, le=50, description="Standard deviation of the Gaussian around each mitosis in the target map, um."
    )
    patch: int = Field(192, ge=64, le=4_096, multiple_of=32, description="Side of a training patch, px at `mpp`.")
    batch_size: int = Field(8, ge=1, le=4_096, description="Patches per optimizer step.")
    iterations: int = Field(
        6_000,
        ge=0,
        le=10_000_000,
        description="Optimizer steps; 0: the trained network that `pretrained` names, as it is.",
    )
    lr: float = Field(1e-3, gt=0, description="Learning rate of AdamW; it falls to 0 along a cosine.")
    weight_decay: float = Field(1e-2, ge=0, description="Weight decay.")
    ema: float | None = Field(
        0.998,
        gt=0,
        lt=1,
        description="Decay per step of the moving average of the weights that is used; null: the last weights.",
    )
    evaluate_every: int | None = Field(
        None,
        ge=1,
        description="Optimizer steps between two evaluations on validation frames; each round ends with its weights "
        "of the best F1. null: no evaluation, the last weights are used.",
    )
    patience: int | None = Field(
        None,
        ge=1,
        description="Evaluations without a better F1 after which a round stops early; null: it never does.",
    )
    clip_norm: float = Field(5.0, gt=0, description="Greatest norm of the gradient.")
    positive_share: float = Field(0.5, ge=0, le=1, description="Share of patches that are drawn to hold a mitosis.")
    hard_share: float = Field(
        0.25, ge=0, le=1, description="Share of patches drawn around hard negatives, once there are any."
    )
    hard_negative_rounds: int = Field(
        2,
        ge=0,
        le=100,
        description="Rounds of hard-negative mining. The schedule is divided into one part more; after each part the "
        "training frames are searched, and peaks away from every mitosis become hard negatives.",
    )
    hed_jitter: float = Field(0.05, ge=0, le=1, description="Greatest change of a stain's factor, in HED space.")
    stain_jitter: float = Field(0.0, ge=0, description="Standard deviation of the factor on optical density.")
    jpeg: tuple[int, int] | None = Field(
        (40, 95), description="Lowest and highest JPEG quality at which training patches are compressed again."
    )
    tta_views: Literal[1, 4, 8] = Field(
        1, description="Views whose maps are averaged: 1, the 4 quarter turns, or all 8 symmetries of the square."
    )
    score_floor: float = Field(0.02, ge=0, lt=1, description="Peaks at or below this score are not reported.")
    distance_um: float = Field(5.0, gt=0, le=100, description="Least distance between two detections, um.")
    max_per_mm2: float = Field(
        400.0, gt=0, description="Most detections per mm2 of the frame; those with the highest scores are kept."
    )
    tile: int = Field(1_152, ge=128, le=16_384, multiple_of=32, description="Side of a piece searched at once, px.")
    box_um: float = Field(7.5, gt=0, le=100, description="Side of the box that is reported around each peak, um.")

    @model_validator(mode="after")
    def _patience_has_an_effect(self) -> HeatmapOptions:
        if self.patience is not None and self.evaluate_every is None:
            raise ValueError(
                f"patience={self.patience} counts evaluations, and evaluate_every is not set, so nothing is evaluated. "
                "Set evaluate_every too, or leave patience out"
            )
        return self
