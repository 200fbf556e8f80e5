"""Trains a network of `mitobench_mmdet.models`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from mmengine.model import BaseModel
from torchvision.ops import box_iou

from mitobench.api import Context, Floats, Sample
from mitobench.training import copy_own_weights, part_of, train
from mitobench_mmdet.models import initialise
from mitobench_mmdet.options import FasterRCNNOptions, RPNOptions, Training
from mitobench_mmdet.patch_stream import PatchStream
from mitobench_mmdet.pretrained import start_from
from mitobench_mmdet.search import search

MAX_WORKERS = 8


def fit(
    network: BaseModel, samples: Sequence[Sample], o: FasterRCNNOptions | RPNOptions, context: Context
) -> BaseModel:
    """Trains `network` in place on patches of `samples`. Returns it in evaluation mode on the context's device."""
    if context.pretrained is not None:
        initialise(network)  # training would do it later, and overwrite the copied weights
        if not copy_own_weights(context.pretrained, network):
            start_from(network, context.pretrained)
        network.backbone.freeze(o.frozen_stages)
    stream = PatchStream(samples, o)
    if workers(o, context):
        stream.read_frames()
    rounds = o.hard_negative_rounds + 1
    part = shortened(o, rounds)
    for number in range(rounds):
        if number:
            stream.set_false_positives([false_positives(network, sample, o, context) for sample in samples])
        own = part_of(context, number * part.iterations, rounds * part.iterations)
        _train(network, stream, part, own, f"round-{number}")
    return network


def _train(
    network: BaseModel, stream: PatchStream, o: FasterRCNNOptions | RPNOptions, context: Context, name: str
) -> None:
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


def shortened(o: FasterRCNNOptions | RPNOptions, rounds: int) -> FasterRCNNOptions | RPNOptions:
    """Returns the options of one of several equal rounds of training."""
    return o.model_copy(
        update={
            "iterations": max(1, o.iterations // rounds),
            "lr_steps": tuple(step // rounds for step in o.lr_steps),
            "warmup": o.warmup // rounds,
        }
    )


def false_positives(network: BaseModel, sample: Sample, o: FasterRCNNOptions | RPNOptions, context: Context) -> Floats:
    """Returns the centres, [N, 2] px, of the network's detections whose boxes do not overlap that of any mitosis."""
    found = search(network, sample.frame, o, o, context.device)
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
    rise = {"type": "LinearLR", "start_factor": 0.01, "by_epoch": False, "begin": 0, "end": o.warmup}
    falls = {"type": "MultiStepLR", "milestones": list(o.lr_steps), "gamma": 0.1, "by_epoch": False}
    return [*([rise] if o.warmup else []), *([falls] if o.lr_steps else [])]
