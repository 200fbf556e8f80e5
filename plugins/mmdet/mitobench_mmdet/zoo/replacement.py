"""Puts a timm network in place of a config's backbone. Plain data: imports neither mmdet nor mmengine."""

from __future__ import annotations

from typing import Any

from mitobench.api import MitobenchError
from mitobench.training import IMAGENET, without_memory
from mitobench.training.timm_models import CONVOLUTIONAL, config_of, features

FEATURES = "TimmFeatures"  # name of the backbone in MMDetection's registry
STRIDES = (4, 8, 16, 32)


def with_backbone(model: dict[str, Any], name: str) -> dict[str, Any]:
    """Returns a settled model with timm's network in place of its backbone; the neck takes that network's channels.

    The neck gets as many maps as before, of the same strides: the last ones up to 32.

    Raises MitobenchError if the model has no neck that takes channels, or its backbone is dilated.
    """
    backbone, neck = model["backbone"] or {}, model.get("neck")
    first = neck[0] if isinstance(neck, list) else neck
    if not isinstance(first, dict) or "in_channels" not in first:
        raise MitobenchError(
            f"backbone=timm:{name}: this config has no neck with `in_channels` that could take other features: its "
            f"{model['type']} reads the backbone directly. Choose a config with a neck such as FPN."
        )
    if any(dilation != 1 for dilation in backbone.get("dilations", ())):
        raise MitobenchError(f"backbone=timm:{name}: this config's backbone is dilated, which timm's is not.")
    theirs = first["in_channels"]
    number = len(theirs) if isinstance(theirs, list) else 1
    with without_memory():
        info = features(name, where=f"backbone=timm:{name}").feature_info
    chosen = [(i, stride) for i, stride in enumerate(info.reduction()) if stride in STRIDES][-number:]
    if len(chosen) < number or chosen[-1][1] != STRIDES[-1]:
        raise MitobenchError(
            f"backbone=timm:{name}: has feature maps of strides {info.reduction()}, but the config's neck takes "
            f"{number} of strides up to {STRIDES[-1]}. {CONVOLUTIONAL}"
        )
    channels = [info.channels()[i] for i, _ in chosen]
    if isinstance(theirs, list) and theirs[0] > theirs[-1]:
        channels = channels[::-1]
    changed = {**first, "in_channels": channels if isinstance(theirs, list) else channels[0]}
    return {
        **model,
        "backbone": {"type": FEATURES, "timm": name, "out_indices": [i for i, _ in chosen]},
        "neck": [changed, *neck[1:]] if isinstance(neck, list) else changed,
        "data_preprocessor": _preprocessor(model["data_preprocessor"], name),
    }


def _preprocessor(theirs: dict[str, Any], name: str) -> dict[str, Any]:
    config = config_of(name)
    mean, std = config.get("mean", IMAGENET[0]), config.get("std", IMAGENET[1])
    return {
        "type": theirs["type"],
        "pad_size_divisor": theirs["pad_size_divisor"],
        "mean": [255 * value for value in mean],
        "std": [255 * value for value in std],
    }
