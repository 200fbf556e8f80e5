"""Trains a network of MMDetection on patches with boxes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from mmengine.model import BaseModel
from torchvision.ops import box_iou

from mitobench.api import Context, Detections, Floats, Frame, Sample
from mitobench.training import part_of, steps, train, warmup
from mitobench_mmdet.engine.options import PatchTraining, Training
from mitobench_mmdet.engine.patch_stream import PatchStream

Find = Callable[[Frame], Detections]
MAX_WORKERS = 8


def fit(network: BaseModel, samples: Sequence[Sample], o: PatchTraining, context: Context, find: Find) -> BaseModel:
    """Trains `network` in place on patches of `samples`.

    Args:
        network: the network; if it starts from other than random weights, it is initialised already.
        samples: frames with mitoses and boxes.
        o: options of patches and training.
        context: of the harness.
        find: finds candidates in a frame with the network as it is by then, for hard-negative mining.

    Returns the network in evaluation mode on the context's device.
    """
    stream = PatchStream(samples, o)
    if workers(o, context):
        stream.read_frames()
    rounds = o.hard_negative_rounds + 1
    part = shortened(o, rounds)
    for number in range(rounds):
        if number:
            stream.set_false_positives([false_positives(find(sample.frame), sample) for sample in samples])
        own = part_of(context, number * part.iterations, rounds * part.iterations)
        _train(network, stream, part, own, f"round-{number}")
    return network


def _train(network: BaseModel, stream: PatchStream, o: PatchTraining, context: Context, name: str) -> None:
    train(
        network,
        stream,
        context,
        iterations=o.iterations,
        batch_size=o.batch_size,
        optimizer=optimizer(o),
        schedule=schedule(o),
        clip_norm=o.clip_norm,
        ema=o.ema,
        collate=pseudo_collate,
        workers=workers(o, context),
        name=name,
    )


def shortened(o: PatchTraining, rounds: int) -> PatchTraining:
    """Returns the options of one of several equal rounds of training."""
    return o.model_copy(
        update={
            "iterations": max(1, o.iterations // rounds),
            "lr_steps": tuple(step // rounds for step in o.lr_steps),
            "warmup": o.warmup // rounds,
        }
    )


def false_positives(found: Detections, sample: Sample) -> Floats:
    """Returns the centres, [N, 2] px, of the detections whose boxes do not overlap that of any mitosis."""
    boxes = (
        torch.from_numpy(found.boxes),
        torch.from_numpy(sample.boxes if sample.boxes is not None else np.zeros((0, 4))),
    )
    centres: Floats = found.xy[(box_iou(*boxes).sum(dim=1) == 0).numpy()]
    return centres


def workers(o: Training, context: Context) -> int:
    """Returns the number of processes that draw patches."""
    if o.workers is not None:
        return o.workers
    return 0 if context.device == "cpu" else min(MAX_WORKERS, (os.cpu_count() or 1) // context.world_size)


def optimizer(o: Training) -> dict[str, Any]:
    """Returns mmengine's configuration of the optimizer."""
    if o.optimizer == "adamw":
        return {"type": "AdamW", "lr": o.lr, "weight_decay": o.weight_decay}
    return {"type": "SGD", "lr": o.lr, "momentum": o.momentum, "weight_decay": o.weight_decay}


def schedule(o: Training) -> list[dict[str, Any]]:
    """Returns mmengine's configuration of the learning rate: a linear warmup, then steps down to a tenth."""
    return [*warmup(o.warmup), *steps(o.lr_steps)]
