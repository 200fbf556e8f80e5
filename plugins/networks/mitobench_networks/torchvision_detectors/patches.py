"""Training patches of the `torchvision` family."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from mitobench.api import Sample
from mitobench.training import BoxPatchStream
from mitobench_networks.torchvision_detectors.options import TorchvisionOptions


@dataclass(frozen=True)
class Sampling:
    """The options of `BoxPatchStream`, with the side of a patch that the network takes."""

    patch: int
    patch_stride: int | None
    area_threshold: float
    positive_share: float
    rotation: int
    mirror: bool
    stain_jitter: float
    hed_jitter: float


def patch_stream(samples: Sequence[Sample], options: TorchvisionOptions) -> BoxPatchStream:
    """Returns the training patches. Raises PluginError if no frame has a mitosis."""
    sampling = Sampling(
        options.patch_side,
        options.patch_stride,
        options.area_threshold,
        options.positive_share,
        options.rotation,
        options.mirror,
        options.stain_jitter,
        options.hed_jitter,
    )
    return BoxPatchStream(samples, sampling, options.mpp, options.scale, options.jpeg, options.even_datasets)


def collate(items: list[dict[str, Any]]) -> dict[str, list[torch.Tensor]]:
    """Joins items to a batch: lists of patches, uint8 [H, W, 3], and of their boxes, float [N, 4]."""
    return {
        "inputs": [torch.tensor(item["inputs"]) for item in items],
        "targets": [torch.as_tensor(item["boxes"], dtype=torch.float32) for item in items],
    }
