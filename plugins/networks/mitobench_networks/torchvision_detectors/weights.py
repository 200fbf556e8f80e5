"""Starts a detector from weights of its backbone, or of a whole detector of torchvision."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from mitobench.api import PluginError
from mitobench.training import copy_own_weights, copy_weights
from mitobench.training.pretrained import read_tensors
from mitobench.training.timm_models import whole_names
from mitobench_networks.torchvision_detectors.networks import BoxNetwork
from mitobench_networks.torchvision_detectors.options import TorchvisionOptions

# the layers that depend on the number of classes
CLASS_LAYERS = ("roi_heads.box_predictor.", "head.classification_head.cls_logits.")
RESNET, MOBILENET, VGG = "resnet50", "mobilenet_v3_large", "vgg16"
UNUSED = ["fc.", "classifier.", "pre_logits.", "head."]  # the classifier's last layers
SHARED = 13  # ssdlite320 has the first 13 layers of the classifier, unchanged
VGG_POOL = 23  # number of VGG16's fourth pooling, where ssd300 divides its layers


def backbone_name(options: TorchvisionOptions) -> str:
    """Returns the name of the weights of the detector's backbone."""
    if options.backbone:
        return options.backbone.partition(":")[2]
    return next(name for name in (RESNET, MOBILENET, VGG) if name in options.model)


def start_from(path: Path, network: BoxNetwork, options: TorchvisionOptions) -> None:
    """Copies a file's tensors: of the backbone alone, of the whole detector but its last layers, or of another fit.

    Raises PluginError, with a list, if some do not fit.
    """
    if copy_own_weights(path, network):
        return
    ours = network.network.state_dict()
    if any(name.startswith("backbone.") for name in read_tensors(path)):
        _start_whole(path, ours, options)
    elif options.backbone:
        body: nn.Module = network.network.backbone.body  # type: ignore[assignment, union-attr]
        copy_weights(path, *whole_names(backbone_name(options), body.state_dict()))
    else:
        copy_weights(path, *_of_torchvision(ours, options))


def _start_whole(path: Path, ours: Mapping[str, Tensor], options: TorchvisionOptions) -> None:
    if options.fixed_side or options.backbone:
        raise PluginError(
            f"{path}: has the weights of a whole detector, and "
            + (
                "the detector has another backbone. "
                if options.backbone
                else f"those of {options.model} belong to another normalisation of its input and other boxes. "
            )
            + "Give a file of the backbone's weights."
        )
    copy_weights(path, {name: of for name, of in ours.items() if not name.startswith(CLASS_LAYERS)}, CLASS_LAYERS)


def _of_torchvision(ours: Mapping[str, Tensor], options: TorchvisionOptions) -> tuple[dict[str, Tensor], list[str]]:
    """Returns the backbone's tensors by their names in the classifier, and the names of others that its file has."""
    if options.model.startswith("ssdlite320"):
        # the layers behind have half the channels of the classifier's
        into = {name: of for name, of in _moved(ours, "backbone.features.0.", "features.") if _number(name) < SHARED}
        return into, ["classifier.", *(f"features.{number}." for number in range(SHARED, 17))]
    if options.model == "ssd300_vgg16":
        convolutions = _moved(ours, "backbone.features.", "features.")
        last = [(name, of) for name, of in _moved(ours, "backbone.extra.0.", "") if _number(f".{name}") < 7]
        return {**dict(convolutions), **{_shifted(name): of for name, of in last}}, UNUSED
    return dict(_moved(ours, "backbone.body.", "features." if MOBILENET in options.model else "")), UNUSED


def _moved(tensors: Mapping[str, Tensor], old: str, new: str) -> list[tuple[str, Tensor]]:
    """Returns the tensors whose names begin with `old`, which is replaced by `new`."""
    return [(new + name.removeprefix(old), of) for name, of in tensors.items() if name.startswith(old)]


def _number(name: str) -> int:
    """Returns the number of a layer: 12 of `features.12.weight`."""
    return int(name.split(".")[1])


def _shifted(name: str) -> str:
    """Returns the name in VGG16 of a layer behind its fourth pooling: `features.24.bias` of `1.bias`."""
    number, _, rest = name.partition(".")
    return f"features.{VGG_POOL + int(number)}.{rest}"
