"""Options of the verifiers. The defaults are those of the paper, for every network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from mitobench.api import Field
from mitobench.training import PatchOptions


class ResNetOptions(PatchOptions):
    """Options of `resnet50` and `resnet18`."""

    renamed: ClassVar[Mapping[str, str]] = {**PatchOptions.renamed, "fields": "fields_of_view"}

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
