"""Trains a box detector with mitobench's training loop."""

from __future__ import annotations

from typing import Any

from mitobench.api import Context
from mitobench.training import BoxPatchStream, LossModule, cosine, train, warmup
from mitobench_networks.torchvision_detectors.networks import BoxNetwork
from mitobench_networks.torchvision_detectors.options import TorchvisionOptions
from mitobench_networks.torchvision_detectors.patches import collate


def fit(
    network: BoxNetwork,
    stream: BoxPatchStream,
    options: TorchvisionOptions,
    iterations: int,
    context: Context,
    name: str,
) -> None:
    """Trains a network in place; afterwards it is in evaluation mode on the context's device."""
    train(
        LossModule(network.network, network.prepare),
        stream,
        context,
        iterations=iterations,
        batch_size=options.batch_size,
        optimizer={"type": "AdamW", "lr": options.lr, "weight_decay": options.weight_decay},
        schedule=schedule(iterations, options.warmup),
        clip_norm=options.clip_norm,
        ema=options.ema,
        collate=collate,
        name=name,
    )
    network.eval()


def schedule(iterations: int, longest_rise: int) -> list[dict[str, Any]]:
    """Returns mmengine's configuration: a linear rise over at most half of the iterations, then a cosine down to 0."""
    rise = min(longest_rise, iterations // 2)
    return [*warmup(rise), *cosine(iterations - rise, begin=rise)]
