"""Small frames, options and helpers for the tests of `mmdet:CONFIG`."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmdet_scene import make_sample

from mitobench import discovery
from mitobench.api import Sample

SIDE = 128
STEPS: dict[str, Any] = {
    "pretrained": "none",
    "iterations": 2,
    "batch_size": 2,
    "patch": SIDE,
    "positive_share": 0.5,
    "lr_steps": (),
    "warmup": 0,
    "score_floor": 0.0,
}


def zoo_samples() -> list[Sample]:
    """A frame with two squares, and one without."""
    empty = make_sample([], size=SIDE, name="empty")
    return [make_sample([(60, 60), (30, 100)], size=SIDE), Sample(empty.frame, empty.mitoses, np.zeros((0, 4)))]


def zoo_detector(spec: str, **changes: Any) -> Any:
    cls: Any = discovery.load("detector", spec)
    return cls(cls.Options(**{**STEPS, **changes}))
