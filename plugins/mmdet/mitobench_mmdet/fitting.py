"""How a network of `mitobench_mmdet.models` is trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.dataset import pseudo_collate
from mmengine.model import BaseModel

from mitobench.api import Context, Sample
from mitobench.training import train
from mitobench_mmdet.options import FasterRCNNOptions, RPNOptions, Training
from mitobench_mmdet.patches import PatchStream


def fit(
    network: BaseModel, samples: Sequence[Sample], o: FasterRCNNOptions | RPNOptions, context: Context
) -> BaseModel:
    """Train `network` in place on patches of `samples`; returns it in evaluation mode on the context's device."""
    train(
        network,
        PatchStream(samples, o),
        context,
        iterations=o.iterations,
        batch_size=o.batch_size,
        optimizer=optimizer(o),
        schedule=schedule(o),
        clip_norm=o.clip_norm,
        collate=pseudo_collate,
        workers=o.workers,
    )
    return network


def optimizer(o: Training) -> dict[str, Any]:
    """The optimizer as mmengine configures it."""
    if o.optimizer == "adamw":
        return {"type": "AdamW", "lr": o.lr, "weight_decay": o.weight_decay}
    return {"type": "SGD", "lr": o.lr, "momentum": o.momentum, "weight_decay": o.weight_decay}


def schedule(o: Training) -> list[dict[str, Any]]:
    """The course of the learning rate as mmengine configures it: a linear rise, then falls to a tenth."""
    rise = {"type": "LinearLR", "start_factor": 0.01, "by_epoch": False, "begin": 0, "end": o.warmup}
    falls = {"type": "MultiStepLR", "milestones": list(o.lr_steps), "gamma": 0.1, "by_epoch": False}
    return [*([rise] if o.warmup else []), *([falls] if o.lr_steps else [])]
