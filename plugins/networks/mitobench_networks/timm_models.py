"""Looks up timm's networks by name: which exist, which feature maps they give, and which input they expect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from torch import Tensor, nn

from mitobench.api import MitobenchError, PluginError, nearest
from mitobench.training import without_memory

Moments = tuple[tuple[float, ...], tuple[float, ...]]  # mean and standard deviation of R, G and B, scaled to 0-1


def check_model(name: str) -> None:
    """Raises MitobenchError, with similar names, where timm has no such network, or none with that tag of weights."""
    import timm

    architecture, dot, _ = name.partition(".")
    if architecture not in timm.list_models():
        raise MitobenchError(f"timm has no network {name!r}. {nearest(architecture, timm.list_models())}")
    tagged = timm.list_models(f"{architecture}.*", pretrained=True) if dot else []
    if dot and name not in tagged:
        raise MitobenchError(f"timm has no weights {name!r}. {nearest(name, [architecture, *tagged])}")


def moments(network: nn.Module) -> Moments:
    """Returns the mean and the standard deviation that the weights of a network of timm expect."""
    config = getattr(network, "pretrained_cfg", None) or {}
    return config.get("mean", (0.485, 0.456, 0.406)), config.get("std", (0.229, 0.224, 0.225))


def feature_maps(name: str, strides: Sequence[int]) -> nn.Module:
    """Creates a network of timm, with random weights, that gives the feature maps at these strides.

    Raises PluginError if it gives no feature maps, or none at one of the strides.
    """
    import timm

    check_model(name)
    try:
        found = timm.create_model(name, features_only=True).feature_info.reduction()
    except Exception as reason:  # timm raises many kinds for networks without feature maps
        raise PluginError(f"timm's {name} cannot be a backbone: it gives no feature maps ({reason}).") from reason
    missing = [stride for stride in strides if stride not in found]
    if missing:
        raise PluginError(
            f"timm's {name} cannot be a backbone: it has feature maps at strides {', '.join(map(str, found))}, and "
            f"the detector needs {', '.join(map(str, strides))}. Choose a convolutional network."
        )
    indices = [len(found) - 1 - found[::-1].index(stride) for stride in strides]
    return cast(nn.Module, timm.create_model(name, features_only=True, out_indices=indices))


def whole_names(name: str, features: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Maps the tensors of a network that gives feature maps to their names in timm's whole network.

    timm renames some of them: `stages.0.blocks` becomes `stages_0.blocks`, for example.

    Returns the tensors by those names, and the names of the whole network's other tensors.
    """
    import timm

    with without_memory():
        whole = list(timm.create_model(name).state_dict())
    ours = {_flat(key.removeprefix("model.")): tensor for key, tensor in features.items()}
    into = {key: ours[_flat(key)] for key in whole if _flat(key) in ours}
    return into, [key for key in whole if key not in into]


def _flat(name: str) -> str:
    return name.replace(".", "_")


def config_of(name: str) -> dict[str, Any]:
    """Returns what timm knows of a network, without building it: `input_size`, `num_classes`, `mean`, `std`, ..."""
    from timm.models import get_pretrained_cfg

    found = get_pretrained_cfg(name)
    return found.to_dict() if found else {}
