"""A timm network in place of a config's backbone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import timm
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor

from mitobench.api import MitobenchError, nearest
from mitobench.training import without_memory

STRIDES = (4, 8, 16, 32)


@MODELS.register_module()
class TimmFeatures(BaseModule):
    """Feature maps of a timm network, with random weights.

    Args:
        timm: the network's name in timm.
        out_indices: which of its feature maps the neck gets.
    """

    def __init__(self, timm: str, out_indices: Sequence[int]) -> None:
        super().__init__()
        self.network = features(timm, out_indices)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Returns feature maps, each [N, C, H / stride, W / stride]."""
        maps: tuple[Tensor, ...] = tuple(self.network(images))
        return maps


def features(name: str, out_indices: Sequence[int] | None = None) -> Any:
    """Returns timm's network with feature maps as outputs.

    Raises MitobenchError, with similar names, if timm does not have it, or it has no feature maps.
    """
    architecture = name.partition(".")[0]
    if architecture not in timm.list_models():
        raise MitobenchError(f"backbone: timm has no network {name!r}. {nearest(architecture, timm.list_models())}")
    chosen = {} if out_indices is None else {"out_indices": tuple(out_indices)}
    try:
        return timm.create_model(name, pretrained=False, features_only=True, **chosen)
    except Exception as reason:  # timm raises many kinds for networks without feature maps
        raise MitobenchError(f"backbone: timm's {name} has no feature maps for a detector: {reason}.") from reason


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
        info = features(name).feature_info
    chosen = [(i, stride) for i, stride in enumerate(info.reduction()) if stride in STRIDES][-number:]
    if len(chosen) < number or chosen[-1][1] != STRIDES[-1]:
        raise MitobenchError(
            f"backbone=timm:{name}: has feature maps of strides {info.reduction()}, but the config's neck takes "
            f"{number} of strides up to {STRIDES[-1]}."
        )
    channels = [info.channels()[i] for i, _ in chosen]
    if isinstance(theirs, list) and theirs[0] > theirs[-1]:
        channels = channels[::-1]
    changed = {**first, "in_channels": channels if isinstance(theirs, list) else channels[0]}
    return {
        **model,
        "backbone": {"type": TimmFeatures.__name__, "timm": name, "out_indices": [i for i, _ in chosen]},
        "neck": [changed, *neck[1:]] if isinstance(neck, list) else changed,
        "data_preprocessor": _preprocessor(model["data_preprocessor"], name),
    }


def _preprocessor(theirs: dict[str, Any], name: str) -> dict[str, Any]:
    config = timm.get_pretrained_cfg(name)
    mean, std = (config.mean, config.std) if config else ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    return {
        "type": theirs["type"],
        "pad_size_divisor": theirs["pad_size_divisor"],
        "mean": [255 * value for value in mean],
        "std": [255 * value for value in std],
    }


def by_published_name(backbone: TimmFeatures, name: str) -> tuple[dict[str, Tensor], list[str]]:
    """Returns the backbone's tensors by their names in timm's whole network, and the names of that network's others.

    timm renames `stages.0.` to `stages_0.` in some networks that give feature maps.
    """
    with without_memory():
        whole = set(timm.create_model(name.partition(".")[0], pretrained=False).state_dict())
    ours = {}
    for key, tensor in backbone.network.state_dict().items():
        dotted = re.sub(r"^([a-z]+)_(\d+)\.", r"\1.\2.", key)
        ours[key if key in whole or dotted not in whole else dotted] = tensor
    return ours, sorted(whole - ours.keys())
