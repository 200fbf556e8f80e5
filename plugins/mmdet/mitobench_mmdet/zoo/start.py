"""Copies pretrained weights into a network of MMDetection."""

from __future__ import annotations

from pathlib import Path

import torch
from mmengine.model import BaseModel
from safetensors.torch import load_file
from torch import Tensor

from mitobench.api import Context, PluginError
from mitobench.training import copy_weights
from mitobench.training.timm_models import whole_names
from mitobench_mmdet.zoo.backbone import TimmFeatures

CLASSIFIER = ("fc.", "head.", "classifier.")


def start_from(network: BaseModel, path: Path, timm: str, context: Context) -> None:
    """Copies a file's tensors into an initialised network.

    Args:
        network: its tensors are overwritten.
        path: a .safetensors or .npz file of the backbone's tensors, or of a whole detector's by MMDetection's names.
        timm: timm's name of the backbone, if it is one of timm's.
        context: the record notes how many tensors of a whole detector fit.

    Raises PluginError, and copies nothing, if the tensors do not fit the backbone; of a whole detector's, layers that
    depend on the number of classes may differ.
    """
    backbone = network.backbone
    if path.suffix == ".safetensors" and _is_whole(path):
        _copy_whole(network, path, context)
    elif isinstance(backbone, TimmFeatures):
        into, others = whole_names(timm, backbone.network.state_dict())
        copy_weights(path, into, unused=others)
    else:
        copy_weights(path, backbone.state_dict(), unused=CLASSIFIER)


def _is_whole(path: Path) -> bool:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return any(name.startswith("backbone.") for name in file.keys())  # noqa: SIM118 - not a dict


def _copy_whole(network: BaseModel, path: Path, context: Context) -> None:
    """Copies the tensors that have the same name and shape. Raises PluginError if one of the backbone's has not."""
    found, into = load_file(path), network.state_dict()
    fitting: dict[str, Tensor] = {
        name: tensor for name, tensor in found.items() if name in into and into[name].shape == tensor.shape
    }
    missing = [name for name in into if name.startswith("backbone.") and name not in fitting]
    if missing:
        raise PluginError(
            f"{path}: does not fit the model: of another shape or missing: "
            f"{', '.join(missing[:10])}. Choose weights of this config, or `none`."
        )
    broken = [name for name, tensor in fitting.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
    if broken:
        raise PluginError(f"{path}: contains values that are not finite numbers: {', '.join(broken[:10])}.")
    with torch.no_grad():
        for name, tensor in fitting.items():
            into[name].copy_(tensor)
    context.training_info["tensors copied"] = f"{len(fitting)} of {len(into)}"
