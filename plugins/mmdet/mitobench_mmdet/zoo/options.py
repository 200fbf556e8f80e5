"""Options of the family `mmdet`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import ValidationInfo, field_validator, model_validator

from mitobench.api import Field, File
from mitobench_mmdet.engine.options import PatchTraining

SEARCH = ("tile", "overlap", "score_floor", "test_nms", "distance_um", "tta_views", "max_per_mm2")


class MMDetOptions(PatchTraining):
    """The defaults are for real frames and a GPU; profile `cpu` shortens the schedule."""

    renamed: ClassVar[Mapping[str, str]] = {}  # no profile has its options under older names

    config: str = Field("", description="name of a config that MMDetection ships, or a config file")
    resolved: File | None = Field(
        None,
        validate_default=True,
        description="the model that a config FILE of yours resolved to, JSON; set by mmdet:FILE, and checked",
    )
    backbone: str = Field(
        "config",
        pattern=r"config|timm:[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)?",
        description="`config`, or `timm:NAME`: a network of timm in place of the config's backbone",
    )
    pretrained: str = Field(
        "auto",
        description="weights to start from: a .safetensors or .npz FILE of the backbone's or of all tensors, `none` "
        "for random weights, or `auto`: the backbone's ImageNet weights where they can be had",
    )
    mpp: float | None = Field(
        0.25, ge=0.1, le=1.0, description="um/px to which frames are resampled before `scale`; null: not resampled"
    )
    scale: float = Field(1.0, gt=0, le=16, description="factor by which the resampled frame is enlarged")
    patch: int = Field(512, ge=64, le=8_192, description="side, px before `scale`; a smaller frame is used whole")
    patch_stride: int | None = Field(
        None,
        ge=1,
        le=8_192,
        description="distance between patches in the rotated frame, px before `scale`; null: any position",
    )
    area_threshold: float = Field(
        200.0,
        ge=0,
        description="px^2: a patch is dropped if less than this remains of a mitosis that crosses its border (of its "
        "mask, or of its box if it has no mask)",
    )
    positive_share: float = Field(
        0.7, ge=0, le=1, description="share of patches drawn around a mitosis; the others are drawn anywhere"
    )
    rotation: Literal[0, 45, 90] = Field(
        90, description="degrees between the angles by which a frame is rotated; 0: no rotation"
    )
    stain_jitter: float = Field(
        0.1, ge=0, le=1, description="standard deviation of the random factor on the optical density"
    )
    iterations: int = Field(
        12_000,
        ge=0,
        le=10_000_000,
        description="optimizer steps; 0: the trained network that `pretrained` names, as it is",
    )
    batch_size: int = Field(4, ge=1, le=4_096, description="patches per step")
    optimizer: Literal["sgd", "adamw"] = Field("adamw", description="optimizer; `momentum` applies to SGD only")
    lr: float = Field(2e-4, gt=0, description="learning rate")
    lr_steps: tuple[int, ...] = Field((8_000, 11_000), description="iterations at which `lr` is divided by 10")
    weight_decay: float = Field(0.05, ge=0, description="weight decay")
    warmup: int = Field(
        500, ge=0, le=10_000_000, description="iterations over which `lr` rises from a hundredth of its value"
    )
    clip_norm: float | None = Field(10.0, gt=0, description="greatest norm of the gradient; null: no clipping")
    tile: int | None = Field(
        None,
        ge=64,
        le=8_192,
        description="side of the tiles in which a frame is searched, px before `scale`; null: that of a training patch",
    )
    overlap: int = Field(64, ge=0, le=4_096, description="px before `scale` that neighbouring tiles share")
    score_floor: float = Field(0.05, ge=0, lt=1, description="candidates with this score or less are dropped")
    test_nms: float = Field(
        0.3, gt=0, le=1, description="IoU with a better candidate above which a candidate is dropped"
    )
    distance_um: float = Field(
        5.0, ge=0, le=100, description="distance from a better candidate below which a candidate is dropped, um"
    )
    tta_views: Literal[1, 4, 8] = Field(
        1, description="test-time augmentation: views whose scores are averaged; 1, 4 (rotations) or 8 (and mirrored)"
    )
    max_per_mm2: float = Field(400.0, gt=0, le=1e6, description="greatest number of candidates per mm^2; 20 are kept")

    @field_validator("resolved", mode="after")
    @classmethod
    def _stored_model(cls, given: File | None, info: ValidationInfo) -> File | None:
        """Returns the stored model of the user's config file, NAME@DIGEST, if no other is given."""
        name = info.data.get("config", "")
        if given is not None or "@" not in name:
            return given
        from mitobench_mmdet.zoo.configs import stored

        path = stored(name)
        return File(path) if path.is_file() else None

    @model_validator(mode="after")
    def _tile_exceeds_overlap(self) -> MMDetOptions:
        if self.overlap >= (self.tile or self.patch):
            raise ValueError(f"overlap={self.overlap} must be smaller than a tile, {self.tile or self.patch} px")
        return self
