"""Options of a `PatchVerifier`. The defaults are those of the paper (Li et al. 2018), for every network."""

from __future__ import annotations

from typing import Literal

from mitobench.api import Field, Options


class PatchOptions(Options):
    """Options of every `PatchVerifier`; a verifier adds those of its network."""

    patch: int = Field(96, ge=32, le=8_192, description="Side of a patch, px at `mpp`.")
    mpp: float | None = Field(
        0.2456, ge=0.05, le=10, description="Resolution of the patches, um/px; null: that of the frame."
    )
    ensemble_size: int = Field(
        1, ge=1, le=64, description="Number of networks, each trained with its own seed; their logits are averaged."
    )
    iterations: int = Field(
        12_000,
        ge=0,
        le=10_000_000,
        description="Optimizer steps of each network; 0: the trained network that `pretrained` names, as it is.",
    )
    batch_size: int = Field(64, ge=2, le=4_096, description="Patches per step.")
    optimizer: Literal["sgd", "adamw"] = Field("sgd", description="Optimizer.")
    lr: float = Field(1e-2, gt=0, description="Learning rate.")
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum of SGD.")
    weight_decay: float = Field(1e-4, ge=0, description="Weight decay.")
    schedule: Literal["fixed", "cosine"] = Field(
        "fixed", description="Learning rate over time: fixed, or falling to 0 like a cosine."
    )
    ema: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Decay per step of the moving average of the weights; null: no average, the last weights are used.",
    )
    hard_negative_rounds: int = Field(
        0,
        ge=0,
        description="Rounds of hard-negative mining. N rounds divide the iterations into N + 1 parts; after each part, "
        "half of the negatives are drawn with a probability proportional to their score so far.",
    )
    positive_share: float | None = Field(
        None, gt=0, lt=1, description="Share of mitoses among the patches drawn; null: their share among all patches."
    )
    even_datasets: bool = Field(
        False, description="Draw all training data sets equally often, whatever their number of patches."
    )
    soft_targets: bool = Field(
        False,
        description="Learn the annotators' confidence in each figure, where the data set has one, in place of 1 for a "
        "mitosis and 0 for all else.",
    )
    train_rotations: Literal["none", "mitoses", "all"] = Field(
        "mitoses",
        description="Which training patches are rotated by a random multiple of 90 degrees. `mitoses` counts every "
        "mitosis four times, like the rotated copies of the paper.",
    )
    mirror: bool = Field(True, description="Mirror training patches at random.")
    shift: int = Field(
        0, ge=0, le=4_096, description="Greatest random shift of a training patch along x and y, px at `mpp`."
    )
    stain_jitter: float = Field(
        0.0, ge=0, description="Standard deviation of the random factor on the optical density."
    )
    hed_jitter: float = Field(
        0.0, ge=0, le=1, description="Greatest random change of the factor on a stain, in HED space."
    )
    blur: float = Field(
        0.0,
        ge=0,
        description="Standard deviation of a Gaussian blur of every patch, which removes traces of JPEG compression, "
        "px at `mpp`.",
    )
    jpeg: tuple[int, int] | None = Field(
        None,
        description="Lowest and highest JPEG quality at which training patches are compressed again; null: not at all.",
    )
    candidates_floor: float = Field(
        0.0, description="Candidates with this detector score or less are not used in training."
    )
    random_negatives: int = Field(
        0, ge=0, le=10_000, description="Random background patches per frame, away from mitoses."
    )
    tta_views: Literal[1, 4, 8] = Field(
        1,
        description="Test-time augmentation: number of views whose logits are averaged; 1, 4 (rotations) or 8 "
        "(mirrored too).",
    )
