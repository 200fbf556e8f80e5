"""Builds networks of MMDetection.

All other modules import the networks of `mmdet.models` from here, because the operators must be there first.
"""

# ruff: noqa: E402
from __future__ import annotations

from typing import Any

from mitobench_mmdet.engine import ops

ops.install()

import mmdet.models  # noqa: F401 - fills the registry
from mmdet.models.dense_heads import SSDHead
from mmdet.models.roi_heads.bbox_heads import BBoxHead
from mmdet.registry import MODELS
from mmengine.config import ConfigDict
from mmengine.logging import MMLogger
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope

__all__ = ["MODELS", "BBoxHead", "SSDHead", "build", "initialise"]


def build(config: dict[str, Any]) -> BaseModel:
    """Builds the network that a configuration of MMDetection's `model` describes, untrained."""
    with DefaultScope.overwrite_default_scope("mmdet"):
        return MODELS.build(ConfigDict(config))


def initialise(network: BaseModel) -> None:
    """Draws random weights, with the initialisation of each layer. A training that follows does not draw them again."""
    MMLogger.get_instance("mitobench_mmdet").setLevel("ERROR")  # otherwise mmengine prints every parameter
    network.init_weights()
