"""Looks up timm's networks by name: which exist, which feature maps they give, and which input they expect.

timm is imported on first use: mitobench itself does not require it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mitobench.errors import MitobenchError, PluginError, nearest
from mitobench.training.patch_network import IMAGENET, Moments
from mitobench.training.without_memory import without_memory

if TYPE_CHECKING:
    from torch import Tensor, nn

CONVOLUTIONAL = "Choose a convolutional network, such as resnet18 or tf_efficientnet_lite0."


def check_model(name: str, where: str = "", error: type[MitobenchError] = MitobenchError) -> None:
    """Checks that timm has a network.

    Args:
        name: its name, perhaps with a tag of weights: `resnet18` or `resnet18.a1_in1k`.
        where: what names it, for the message; may be empty.
        error: what is raised.

    Raises `error`, with similar names, where timm has no such network, or none with that tag of weights.
    """
    import timm

    start = f"{where}: " if where else ""
    architecture, dot, _ = name.partition(".")
    if architecture not in timm.list_models():
        raise error(f"{start}timm has no network {name!r}. {nearest(architecture, timm.list_models())}")
    tagged = timm.list_models(f"{architecture}.*", pretrained=True) if dot else []
    if dot and name not in tagged:
        raise error(f"{start}timm has no weights {name!r}. {nearest(name, [architecture, *tagged])}")


def config_of(name: str) -> dict[str, Any]:
    """Returns what timm knows of a network and its published weights, without building it; empty if it knows nothing.

    For example `input_size`, `num_classes`, `mean`, `std`, `license`, `hf_hub_id`.
    """
    from timm.models import get_pretrained_cfg

    found = get_pretrained_cfg(name)
    return found.to_dict() if found else {}


def moments(network: nn.Module) -> Moments:
    """Returns the mean and the standard deviation that the weights of a network of timm expect."""
    config = getattr(network, "pretrained_cfg", None) or {}
    return config.get("mean", IMAGENET[0]), config.get("std", IMAGENET[1])


def features(name: str, out_indices: Sequence[int] | None = None, where: str = "") -> Any:
    """Creates a network of timm, with random weights, that returns its feature maps.

    Args:
        name: its name in timm.
        out_indices: which of its feature maps it returns; None: all.
        where: what names it, for the message; may be empty.

    Raises MitobenchError, with similar names, where timm has no such network, or it gives no feature maps.
    """
    import timm

    check_model(name, where)
    chosen = {} if out_indices is None else {"out_indices": tuple(out_indices)}
    try:
        return timm.create_model(name, pretrained=False, features_only=True, **chosen)
    except Exception as reason:  # timm raises many kinds for networks without feature maps
        start = f"{where}: " if where else ""
        raise MitobenchError(f"{start}timm's {name} gives no feature maps ({reason}). {CONVOLUTIONAL}") from reason


def features_at(name: str, strides: Sequence[int]) -> nn.Module:
    """Creates a network of timm, with random weights, that returns the feature maps at these strides.

    Raises MitobenchError as `features` does, and PluginError if it gives no feature map at one of the strides.
    """
    found = features(name).feature_info.reduction()
    missing = [stride for stride in strides if stride not in found]
    if missing:
        raise PluginError(
            f"timm's {name} cannot be a backbone: it has feature maps at strides {', '.join(map(str, found))}, and "
            f"the detector needs {', '.join(map(str, strides))}. {CONVOLUTIONAL}"
        )
    network: nn.Module = features(name, [len(found) - 1 - found[::-1].index(stride) for stride in strides])
    return network


def check_built(build: Callable[[], object]) -> None:
    """Builds a network without memory, to find out when a run is planned whether that is possible.

    Raises MitobenchError, with the reason, where `build` raises PluginError: the user chose what cannot be built.
    """
    try:
        with without_memory():
            build()
    except PluginError as reason:
        raise MitobenchError(str(reason)) from reason


def whole_names(name: str, features: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Maps the tensors of a network that returns feature maps to their names in timm's whole network.

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
