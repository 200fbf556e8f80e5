"""Trains a network in rounds. After each round, the negatives that it mistakes for mitoses are drawn more often."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from mitobench.api import Context, Floats
from mitobench.training.candidate_patches import CandidatePatchStream
from mitobench.training.patch_options import PatchOptions
from mitobench.training.schedules import cosine
from mitobench.training.stream import part_of

SCORING_BATCH = 64

Prepare = Callable[[Tensor], Tensor]


def fit(
    network: nn.Module, stream: CandidatePatchStream, options: PatchOptions, prepare: Prepare, context: Context
) -> None:
    """Trains `network` in place; afterwards it is in evaluation mode on the context's device.

    Args:
        network: a network with one logit.
        stream: source of the training patches.
        options: options of the training; `hard_negative_rounds` is the number of rounds after the first.
        prepare: turns uint8 patches, [B, H, H, 3], into the network's input.
        context: context of the fit.
    """
    from mitobench.training import Supervised, train

    ends = np.linspace(0, options.iterations, options.hard_negative_rounds + 2).round().astype(int)
    for number, (before, end) in enumerate(itertools.pairwise(ends)):
        train(
            Supervised(network, _loss, prepare),
            stream.harder(_scores(network, stream, prepare)) if number else stream,
            part_of(context, int(before), options.iterations),
            iterations=int(end - before),
            batch_size=options.batch_size,
            optimizer=_optimizer(options),
            schedule=_schedule(options, int(end - before)),
            ema=options.ema,
            name=f"round-{number}",
        )


def _optimizer(options: PatchOptions) -> dict[str, Any]:
    common = {"lr": options.lr, "weight_decay": options.weight_decay}
    if options.optimizer == "adamw":
        return {"type": "AdamW", **common}
    return {"type": "SGD", "momentum": options.momentum, **common}


def _schedule(options: PatchOptions, iterations: int) -> list[dict[str, Any]]:
    return cosine(iterations) if options.schedule == "cosine" else []


@torch.inference_mode()
def _scores(network: nn.Module, stream: CandidatePatchStream, prepare: Prepare) -> Floats:
    """Returns the probability of mitosis of each negative of a stream, [N]."""
    device = next(network.parameters()).device
    patches = torch.from_numpy(stream.negatives)
    batches = (network(prepare(batch.to(device)))[:, 0] for batch in patches.split(SCORING_BATCH))
    scores: Floats = torch.cat(list(batches)).double().sigmoid().cpu().numpy()
    return scores


def _loss(logits: Tensor, targets: Tensor) -> Tensor:
    return binary_cross_entropy_with_logits(logits[:, 0], targets)
