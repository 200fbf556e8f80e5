"""Checks a model that arrives as data, in a record or a packed model, before anything is built from it.

MMDetection imports whatever module a `type` with dots names, evaluates the `type` of a suppression as Python, and reads
files and addresses from several options. Such a model may come from a stranger, so only registered types, plain names
and numbers of reasonable size pass.
"""

from __future__ import annotations

import math
import re
from typing import Any

from mitobench.api import PluginError
from mitobench_mmdet.zoo.refusals import refusal

MAX_NODES = 20_000
MAX_DEPTH = 30
MAX_NUMBER = 1e9
MAX_CHANNELS = 65_536
MAX_REPEATS = 4_096
WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_ +-]{0,63}")
ARCHITECTURE = re.compile(r"[a-z0-9_]+_[0-9.]+[mg]f")  # regnetx_3.2gf
NAMED = re.compile(r"[A-Za-z0-9_]{1,100}(\.[A-Za-z0-9_]{1,100})?")  # timm's names: resnet18.a1_in1k
SUPPRESSION = ("nms", "soft_nms")  # functions of mmcv.ops
POOLING = ("RoIAlign", "RoIPool")  # layers of mmcv.ops
LAYERS = ("conv", "deconv", "dilation", "offset", "interpolation_conv", "last_conv")  # parts that a neck names itself
READ_FILES = ("checkpoint", "class_weight", "config", "pretrained", "teacher_ckpt", "weights")
FORBIDDEN = ("_scope_", "_delete_", "custom_imports")


def check(model: Any) -> dict[str, Any]:
    """Returns the model if it is safe to build.

    Raises PluginError, with the place of what is wrong: a type that is not registered by MMDetection or an installed
    plugin, a text that could be a path, an address or code, or a number or structure beyond the limits.
    """
    reason = refusal(model)
    if reason is not None:
        raise PluginError(f"The stored model cannot be built: {reason}.")
    left = [MAX_NODES]
    _check(model, "model", 0, left, _registered())
    _check_root(model)
    found: dict[str, Any] = model
    return found


def _registered() -> frozenset[str]:
    """Returns the names of all types that may be built, of MMDetection's registries and the ones that they extend."""
    from mmdet.registry import MODELS, TASK_UTILS
    from mmengine.registry import MODELS as BASE_MODELS
    from mmengine.registry import TASK_UTILS as BASE_TASK_UTILS
    from mmengine.registry import WEIGHT_INITIALIZERS

    from mitobench_mmdet.engine import build  # noqa: F401 - fills the registries

    registries = (MODELS, TASK_UTILS, BASE_MODELS, BASE_TASK_UTILS, WEIGHT_INITIALIZERS)
    return frozenset(name for registry in registries for name in registry.module_dict) - {"Pretrained", "TIMMBackbone"}


def _check_root(model: dict[str, Any]) -> None:
    from mmdet.models.detectors import BaseDetector
    from mmdet.registry import MODELS

    cls = MODELS.module_dict.get(model["type"])
    if not (isinstance(cls, type) and issubclass(cls, BaseDetector)):
        raise PluginError(f"model.type: {model['type']!r} is not a detector.")


def _check(value: Any, place: str, depth: int, left: list[int], registered: frozenset[str]) -> None:
    left[0] -= 1
    if left[0] < 0 or depth > MAX_DEPTH:
        raise PluginError(f"{place}: the model has more than {MAX_NODES:,} values, or {MAX_DEPTH} levels.")
    if isinstance(value, dict):
        for key, inner in value.items():
            _check_entry(key, inner, place, registered)
            _check(inner, f"{place}.{key}", depth + 1, left, registered)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            _check(inner, f"{place}[{number}]", depth + 1, left, registered)
    elif isinstance(value, str):
        _check_text(value, place)
    elif isinstance(value, int | float):
        _check_number(value, place)
    elif value is not None:
        raise PluginError(f"{place}: a {type(value).__name__} is not plain data.")


def _check_entry(key: Any, value: Any, place: str, registered: frozenset[str]) -> None:
    if not isinstance(key, str) or not re.fullmatch(r"[A-Za-z0-9_]{1,64}", key) or key.startswith("__"):
        raise PluginError(f"{place}: {str(key)[:80]!r} is not the name of an option.")
    if key in FORBIDDEN or (key in READ_FILES and isinstance(value, str | dict)) or key == "pretrained":
        raise PluginError(f"{place}.{key}: a stored model must not name files, addresses or modules.")
    if key == "type":
        allowed = registered | {*SUPPRESSION, *POOLING, *LAYERS}
        if not isinstance(value, str) or value not in allowed:
            raise PluginError(
                f"{place}.type: {str(value)[:80]!r} is not registered by MMDetection or an installed plugin."
            )


def _check_text(text: str, place: str) -> None:
    end = place.rpartition(".")[2]
    named = end == "timm" and NAMED.fullmatch(text)
    if not (WORD.fullmatch(text) or ARCHITECTURE.fullmatch(text) or named):
        raise PluginError(f"{place}: {text[:80]!r} is not the name of anything in MMDetection.")


def _check_number(value: float, place: str) -> None:
    if not math.isfinite(value) or abs(value) > MAX_NUMBER:
        raise PluginError(f"{place}: {value} is beyond the limit of {MAX_NUMBER:g}.")
    end = place.rpartition(".")[2]
    if "channels" in end and abs(value) > MAX_CHANNELS:
        raise PluginError(f"{place}: {value} is beyond the limit of {MAX_CHANNELS:,} channels.")
    if ("num_" in end or "stacked_" in end or end == "depth") and "num_classes" not in end and abs(value) > MAX_REPEATS:
        raise PluginError(f"{place}: {value} is beyond the limit of {MAX_REPEATS:,}.")
