"""What the harness decides in a config's `model`: classes, preprocessing, weights to start from, what is trained.

Architecture and losses stay those of the config. The result is plain data (JSON), equal for all configs that build the
same model.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

from mitobench.api import MitobenchError

MODEL_KEYS = ("train_cfg", "test_cfg", "data_preprocessor")
DIVISOR = 32  # sides of an image are multiples of the last stride


def settled(model: dict[str, Any]) -> dict[str, Any]:
    """Returns a config's `model` under the harness's settings.

    - One class, at every depth.
    - No checkpoint, at every depth, so that building never contacts a server.
    - Nothing is frozen: random weights must learn, and batch statistics must be those of this data.
    - Batch normalisation within one process in place of that over several.
    - The preprocessor normalises as the config does, for images in R G B, and does not augment.

    Raises MitobenchError for a config that is not plain data, such as one with functions.
    """
    try:
        plain = json.loads(json.dumps(model, allow_nan=False))
    except (TypeError, ValueError) as reason:
        raise MitobenchError(f"The config's model is not plain data: {reason}. Write types as strings.") from reason
    backbone = _walked(plain.pop("backbone", None), _trained, _local)
    rest = _walked(plain, _trained, _local, _one_class)
    return {**rest, "backbone": backbone, "data_preprocessor": _preprocessor(plain.get("data_preprocessor") or {})}


def digest(model: dict[str, Any]) -> str:
    """Returns 16 hexadecimal digits that are equal for equal models."""
    return hashlib.sha256(json.dumps(model, sort_keys=True).encode()).hexdigest()[:16]


Change = Callable[[dict[str, Any]], dict[str, Any]]


def _walked(value: Any, *changes: Change) -> Any:
    """Returns plain data with each of its dicts changed, the inner ones first."""
    if isinstance(value, list):
        return [_walked(inner, *changes) for inner in value]
    if not isinstance(value, dict):
        return value
    value = {key: _walked(inner, *changes) for key, inner in value.items()}
    for change in changes:
        value = change(value)
    return value


def _trained(part: dict[str, Any]) -> dict[str, Any]:
    """Removes checkpoints, and trains what the config freezes."""
    part = {key: value for key, value in part.items() if key != "pretrained" and not _is_checkpoint(key, value)}
    if isinstance(part.get("init_cfg"), list):
        part["init_cfg"] = [one for one in part["init_cfg"] if not _is_checkpoint("init_cfg", one)] or None
    none_frozen = 0 if part.get("type") == "EfficientNet" else -1  # its stages count from 1
    changes = {"frozen_stages": none_frozen, "norm_eval": False, "requires_grad": True, "initial_epoch": 0}
    return {key: changes.get(key, value) for key, value in part.items()}


def _is_checkpoint(key: str, value: Any) -> bool:
    return (
        key == "init_cfg" and isinstance(value, dict) and ("checkpoint" in value or value.get("type") == "Pretrained")
    )


def _local(part: dict[str, Any]) -> dict[str, Any]:
    """Replaces what works across processes only, and removes the package's own prefix of types."""
    kind = part.get("type")
    if isinstance(kind, str):
        kind = kind.removeprefix("mmdet.").removeprefix("mmengine.").removeprefix("mmcv.")
        part["type"] = "BN" if kind in ("SyncBN", "MMSyncBN") else kind
    part.pop("_scope_", None)
    return part


def _one_class(part: dict[str, Any]) -> dict[str, Any]:
    if "num_classes" in part:
        part["num_classes"] = 1
    if isinstance(part.get("class_weight"), list | str):
        part.pop("class_weight")  # one factor a class, of other classes
    return part


def _preprocessor(theirs: dict[str, Any]) -> dict[str, Any]:
    """Returns a preprocessor of R G B that gives the network what the config's gives it of B G R."""
    ours: dict[str, Any] = {"type": "DetDataPreprocessor", "pad_size_divisor": DIVISOR}
    if theirs.get("mean") is not None and theirs.get("std") is not None:
        ours |= {"mean": theirs["mean"], "std": theirs["std"]}
    if not theirs.get("bgr_to_rgb", False):
        ours["rgb_to_bgr"] = True
    ours["pad_size_divisor"] = max(DIVISOR, int(theirs.get("pad_size_divisor", 1)))
    return ours
