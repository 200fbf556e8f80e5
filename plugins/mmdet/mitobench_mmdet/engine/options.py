"""Options of the input, the training patches and the training. px are those of the enlarged image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, Protocol

from mitobench.api import Field, Options


class Image(Options):
    """Options of the network's input."""

    mpp: float | None = Field(
        0.2456, ge=0.1, le=1.0, description="um/px to which frames are resampled before `scale`; null: not resampled"
    )
    scale: float = Field(2.0, gt=0, le=16, description="factor by which the resampled frame is enlarged")


class Training(Options):
    """Options of the training."""

    renamed: ClassVar[Mapping[str, str]] = {"mining": "hard_negative_rounds"}

    iterations: int = Field(
        120_000,
        ge=0,
        le=10_000_000,
        description="optimizer steps; 0: the trained network that `pretrained` names, as it is",
    )
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


class PatchTraining(PatchSampling, Training, Image):
    """Everything that training on patches reads."""

    renamed: ClassVar[Mapping[str, str]] = Training.renamed


class SearchOptions(Protocol):
    """What `search` reads of a detector's options."""

    @property
    def score_floor(self) -> float:
        """Candidates with this score or less are dropped."""

    @property
    def test_nms(self) -> float:
        """IoU with a better candidate above which a candidate is dropped."""

    @property
    def tta_views(self) -> int:
        """Views whose scores are averaged."""
