"""Options of the verifiers. The defaults are those of the paper, for every network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from mitobench.api import Field
from mitobench.training import PatchOptions

RENAMED = {
    "members": "ensemble_size",
    "mining": "hard_negative_rounds",
    "turns": "train_rotations",
    "test_turns": "tta_views",
}


class ResNetOptions(PatchOptions):
    """Options of `resnet50` and `resnet18`."""

    renamed: ClassVar[Mapping[str, str]] = {**RENAMED, "fields": "fields_of_view"}

    pretrained: str = Field(
        "auto",
        description="Weights to start from: a .safetensors or .npz FILE with torchvision's names, `none` for random "
        "weights, or `auto` for torchvision's ImageNet weights if they are available and fit.",
    )
    fields_of_view: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (1,),
        min_length=1,
        description="Fields of view in the network's input: each is this many times as wide as `patch` and averaged "
        "down to it.",
    )
    normalise: Literal["imagenet", "patch"] = Field(
        "imagenet",
        description="Normalise with the mean and standard deviation of ImageNet, or of each `patch`.",
    )
    width: float = Field(1.0, gt=0, le=16, description="Factor on all channel counts.")


class EfficientNetOptions(PatchOptions):
    """Options of `efficientnet-lite0`."""

    renamed: ClassVar[Mapping[str, str]] = RENAMED

    pretrained: str = Field(
        "auto",
        description="Weights to start from: a .safetensors or .npz FILE with timm's names, `none` for random weights, "
        "or `auto` for the ImageNet weights that are installed with this plugin.",
    )
    enlarged: int | None = Field(
        None, ge=32, description="Side to which a patch is resized for the network, px; null: not resized."
    )
    normalise: Literal["weights", "patch"] = Field(
        "weights",
        description="Normalise with the mean and standard deviation that the weights expect, or those of each `patch`.",
    )
    dropout: float = Field(0.2, ge=0, lt=1, description="Dropout before the last layer.")


class TimmOptions(PatchOptions):
    """Options of `timm:MODEL`. The defaults are for fine-tuning."""

    model: str = Field("", description="Name of the network in timm, for example tf_efficientnet_lite0.")
    pretrained: str = Field(
        "auto",
        description="Weights to start from: a .safetensors or .npz FILE with timm's names, `none` for random weights, "
        "or `auto`: those of the network where they can be had.",
    )
    enlarged: int | None = Field(
        None,
        ge=32,
        le=4_096,
        description="Side to which a patch is resized for the network, px; null: not resized, or to the network's own "
        "size if it takes no other.",
    )
    normalise: Literal["weights", "patch"] = Field(
        "weights",
        description="Normalise with the mean and standard deviation that the weights expect, or those of each `patch`.",
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout before the last layer.")
    iterations: int = Field(
        3_000,
        ge=0,
        le=10_000_000,
        description="Optimizer steps of each network; 0: the trained network that `pretrained` names, as it is.",
    )
    optimizer: Literal["sgd", "adamw"] = Field("adamw", description="Optimizer.")
    lr: float = Field(3e-4, gt=0, description="Learning rate.")
    weight_decay: float = Field(0.05, ge=0, description="Weight decay.")
    schedule: Literal["fixed", "cosine"] = Field(
        "cosine", description="Learning rate over time: fixed, or falling to 0 like a cosine."
    )
    train_rotations: Literal["none", "mitoses", "all"] = Field(
        "all", description="Which training patches are rotated by a random multiple of 90 degrees."
    )
