"""Options of the networks: the defaults are the paper's, whichever the network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from mitobench.api import Field, Options


class PatchOptions(Options):
    """What all networks share."""

    renamed: ClassVar[Mapping[str, str]] = {
        "members": "ensemble_size",
        "mining": "hard_negative_rounds",
        "turns": "train_rotations",
        "test_turns": "tta_views",
    }

    patch: int = Field(96, ge=32, le=8_192, description="Side of a patch, px at `mpp`.")
    mpp: float | None = Field(
        0.2456, ge=0.05, le=10, description="Resolution of the patches, um/px; null: the frame's own."
    )
    ensemble_size: int = Field(
        1, ge=1, le=64, description="Number of networks, each trained with its own seed; their logits are averaged."
    )
    iterations: int = Field(12_000, ge=1, le=10_000_000, description="Optimizer steps of each network.")
    batch_size: int = Field(64, ge=2, le=4_096, description="Patches a step.")
    optimizer: Literal["sgd", "adamw"] = Field("sgd", description="Optimizer.")
    lr: float = Field(1e-2, gt=0, description="Learning rate.")
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum of SGD.")
    weight_decay: float = Field(1e-4, ge=0, description="Weight decay.")
    schedule: Literal["fixed", "cosine"] = Field("fixed", description="Course of the learning rate; cosine ends at 0.")
    ema: float | None = Field(
        None, gt=0, lt=1, description="Decay a step of the moving average of the weights that is used; null: the last."
    )
    hard_negative_rounds: int = Field(
        0,
        ge=0,
        description="Rounds of hard-negative mining: the steps are divided into one part more, and after each part "
        "half of the negatives are drawn in proportion to how much they look like mitoses so far.",
    )
    positive_share: float | None = Field(
        None, gt=0, lt=1, description="Share of mitoses among the patches drawn; null: as they come."
    )
    even_datasets: bool = Field(
        False, description="Whether every data set trained on is drawn equally often, however many patches it has."
    )
    train_rotations: Literal["none", "mitoses", "all"] = Field(
        "mitoses",
        description="Which patches are turned by quarters at random; `mitoses` counts each of them four times, as the "
        "paper's turned copies do.",
    )
    mirror: bool = Field(True, description="Whether patches are mirrored at random.")
    shift: int = Field(0, ge=0, le=4_096, description="Greatest random shift of a patch along x and y, px at `mpp`.")
    stain_jitter: float = Field(0.0, ge=0, description="Standard deviation of the factor on optical density.")
    hed_jitter: float = Field(0.0, ge=0, le=1, description="Greatest change of a stain's factor, in HED space.")
    blur: float = Field(
        0.0,
        ge=0,
        description="Deviation of a Gaussian blur of every patch, px at `mpp`, against traces of compression.",
    )
    jpeg: tuple[int, int] | None = Field(
        None, description="Least and greatest JPEG quality at which training patches are compressed anew, at random."
    )
    candidates_floor: float = Field(0.0, description="Candidates at or below this detector score are not learned from.")
    random_negatives: int = Field(
        0, ge=0, le=10_000, description="Random background patches a frame, away from mitoses."
    )
    tta_views: Literal[1, 4, 8] = Field(
        1, description="Views whose logits are averaged: 1, the 4 quarter turns, or all 8 symmetries of the square."
    )


class ResNetOptions(PatchOptions):
    """Of the residual networks."""

    renamed: ClassVar[Mapping[str, str]] = {**PatchOptions.renamed, "fields": "fields_of_view"}

    pretrained: str = Field(
        "auto",
        description="Weights to start from: a .safetensors or .npz FILE of the network's tensors as torchvision names "
        "them, `none` for random ones, or `auto`: torchvision's ImageNet weights where they can be had and fit.",
    )
    fields_of_view: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (1,),
        min_length=1,
        description="Fields of view that the network sees at once: each so many times as wide as `patch` and averaged "
        "down to it.",
    )
    normalise: Literal["imagenet", "patch"] = Field(
        "imagenet",
        description="What is taken out of a patch: the mean and deviation of ImageNet, or of the `patch` itself.",
    )
    width: float = Field(1.0, gt=0, le=16, description="Factor on all channel counts.")


class EfficientNetOptions(PatchOptions):
    """Of EfficientNet-Lite0."""

    pretrained: str = Field(
        "auto",
        description="Weights to start from: a .safetensors or .npz FILE of the network's tensors as timm names them, "
        "`none` for random ones, or `auto`: ImageNet's, which come with this plugin.",
    )
    enlarged: int | None = Field(
        None, ge=32, description="Side that a patch is brought to before the network sees it, px; null: as it is."
    )
    normalise: Literal["weights", "patch"] = Field(
        "weights",
        description="What is taken out of a patch: the mean and deviation that the weights expect, or its own.",
    )
    dropout: float = Field(0.2, ge=0, lt=1, description="Share of the last layer's inputs that are left out.")
