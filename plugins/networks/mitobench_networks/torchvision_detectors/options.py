"""Options of the `torchvision` family."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from mitobench.api import Field, MitobenchError, Options
from mitobench_networks.torchvision_detectors.names import FIXED_SIDE, check_backbone

SIDE = 256  # px of the enlarged patch, for networks that take any


class TorchvisionOptions(Options):
    """The defaults are for real frames and a GPU; profile `cpu` shortens the schedule."""

    model: str = Field("", description="Name of the detector in torchvision, for example fcos_resnet50_fpn.")
    backbone: str = Field(
        "",
        description="`timm:NAME` replaces the backbone with a network of timm and a feature pyramid; empty: the "
        "detector's own. The SSD detectors keep theirs.",
    )
    pretrained: str = Field(
        "auto",
        description="Weights to start from: a .safetensors or .npz FILE of the backbone or of the whole detector, "
        "`none` for random weights, or `auto`: ImageNet weights of the backbone where they can be had.",
    )
    channels: int = Field(
        256,
        ge=32,
        le=4_096,
        multiple_of=32,
        description="Channels of the feature pyramid and of the heads on it; other numbers than 256 need a `backbone`.",
    )
    mpp: float | None = Field(
        0.25, ge=0.05, le=10, description="um/px to which frames are resampled before `scale`; null: not resampled."
    )
    scale: float = Field(1.0, gt=0, le=16, description="Factor by which the resampled frame is enlarged.")
    anchor_um: float = Field(
        7.5, gt=0, le=1_000, description="Side of the smallest anchors, um; `fcos_resnet50_fpn` has none."
    )
    patch: int | None = Field(
        None,
        ge=64,
        le=8_192,
        description=f"Side of a training patch, px before `scale`; null: {SIDE} after `scale`, or the fixed size of an "
        "SSD detector.",
    )
    patch_stride: int | None = Field(
        None, ge=1, le=8_192, description="Distance between patches in the rotated frame, px; null: any position."
    )
    area_threshold: float = Field(
        100.0,
        ge=0,
        description="A patch is dropped if less than this remains of a mitosis that crosses its border, px^2 after "
        "`scale`.",
    )
    positive_share: float = Field(
        0.7, ge=0, le=1, description="Share of patches drawn around a mitosis; the others are drawn anywhere."
    )
    even_datasets: bool = Field(
        True, description="Draw all training data sets equally often, whatever their number of frames."
    )
    rotation: Literal[0, 45, 90] = Field(
        90, description="Degrees between the angles by which a frame is rotated; 0: no rotation."
    )
    mirror: bool = Field(True, description="Mirror half of the patches, at random.")
    stain_jitter: float = Field(
        0.0, ge=0, le=1, description="Standard deviation of the random factor on the optical density."
    )
    hed_jitter: float = Field(
        0.05, ge=0, le=1, description="Greatest random change of the factor on a stain, in HED space."
    )
    jpeg: tuple[int, int] | None = Field(
        (40, 95), description="Lowest and highest JPEG quality at which training patches are compressed again."
    )
    iterations: int = Field(
        6_000,
        ge=0,
        le=10_000_000,
        description="Optimizer steps; 0: the trained network that `pretrained` names, as it is.",
    )
    batch_size: int = Field(4, ge=1, le=4_096, description="Patches per step.")
    lr: float = Field(5e-4, gt=0, description="Learning rate of AdamW; it falls to 0 along a cosine.")
    warmup: int = Field(
        100, ge=0, le=10_000_000, description="Steps over which `lr` first rises from a hundredth of its value."
    )
    weight_decay: float = Field(1e-2, ge=0, description="Weight decay.")
    clip_norm: float | None = Field(10.0, gt=0, description="Greatest norm of the gradient; null: no clipping.")
    ema: float | None = Field(
        0.998,
        gt=0,
        lt=1,
        description="Decay per step of the moving average of the weights that is used; null: the last weights.",
    )
    hard_negative_rounds: int = Field(
        1,
        ge=0,
        le=100,
        description="Rounds of hard-negative mining: N rounds divide the iterations into N + 1 parts, each with its "
        "own schedule of `lr`; after each part, half of the patches that need no mitosis contain a false positive.",
    )
    score_floor: float = Field(0.02, ge=0, lt=1, description="Detections with this score or less are dropped.")
    nms: float = Field(0.3, gt=0, le=1, description="IoU with a better detection above which a detection is dropped.")
    distance_um: float = Field(
        5.0, ge=0, le=100, description="Distance from a better detection below which a detection is dropped, um."
    )
    detections_per_tile: int = Field(100, ge=1, le=100_000, description="Most detections in a tile.")
    max_per_mm2: float = Field(
        400.0, gt=0, description="Most detections per mm2 of the frame; those with the highest scores are kept."
    )
    tile: int = Field(
        512,
        ge=64,
        le=16_384,
        description="Side of a piece searched at once, without what is seen around it, px after `scale`. An SSD "
        "detector sees its fixed size at once.",
    )

    @model_validator(mode="after")
    def _fits(self) -> TorchvisionOptions:
        """Refuses what the network cannot have: another backbone, other channels, other patches."""
        try:
            check_backbone(self.model, self.backbone)
        except MitobenchError as reason:
            raise ValueError(str(reason)) from reason
        if self.channels != 256 and not self.backbone:
            raise ValueError(f"channels={self.channels} needs a backbone, for example backbone=timm:resnet18")
        if self.model.startswith("ssdlite320") and self.batch_size < 2:
            raise ValueError(
                f"batch_size={self.batch_size}: {self.model} normalises over a batch, so it needs 2 or more"
            )
        fixed = self.fixed_side
        if fixed and self.patch and round(self.patch * self.scale) != fixed:
            raise ValueError(
                f"patch={self.patch} with scale={self.scale:g} gives patches of {round(self.patch * self.scale)} px; "
                f"{self.model} takes {fixed} px. Leave patch out"
            )
        return self

    @property
    def fixed_side(self) -> int | None:
        """Side of the input for which the network is built, px; None: it takes any."""
        return FIXED_SIDE.get(self.model)

    @property
    def patch_side(self) -> int:
        """Side of a training patch, px before `scale`."""
        return self.patch or round((self.fixed_side or SIDE) / self.scale)
