"""A network that computes its own losses is trained on their sum."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mitobench.api import Context
from mitobench.training import LossModule, as_lists, train

pytestmark = pytest.mark.slow


class Detector(nn.Module):
    """Takes lists of images and targets of any size; its losses have names without the word."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(2))

    def forward(self, images: list[Tensor], targets: list[Tensor] | None = None) -> Any:
        means = torch.stack([image.float().mean() for image in images])
        if targets is None:
            return means * self.scale.sum()
        wanted = torch.stack([target.sum() for target in targets])
        return {
            "classification": ((means * self.scale[0] - wanted) ** 2).mean(),
            "loss_box": (self.scale[1] - 3) ** 2,
        }


class Scenes:
    def draw(self, rng: np.random.Generator) -> dict[str, Tensor]:
        count = int(rng.integers(1, 4))
        image = torch.full((count, 2), float(count))
        return {"inputs": image, "targets": torch.full((count,), 2.0)}


def test_all_losses_are_minimised_on_batches_of_lists(tmp_path: Path) -> None:
    network = Detector()
    curves = []
    context = Context(seed=0, device="cpu", work=tmp_path, log_scalar=lambda name, value, step: curves.append(name))
    train(
        LossModule(network),
        Scenes(),
        context,
        iterations=40,
        batch_size=3,
        optimizer={"type": "AdamW", "lr": 0.2},
        collate=as_lists,
    )
    assert network.scale.tolist() == pytest.approx([2, 3], abs=0.3)
    assert {"loss", "loss_classification", "loss_box"} <= set(curves)
    assert not network.training


def test_in_mode_tensor_it_is_the_networks_output() -> None:
    output = LossModule(Detector())([torch.ones(2)], mode="tensor")
    assert output.shape == (1,)


def test_prepare_turns_a_batch_into_arguments() -> None:
    module = LossModule(Detector(), lambda inputs, targets: ([image * 0 for image in inputs], targets))
    assert module([torch.ones(2)], [torch.ones(1)])["loss_classification"] == 1
