"""Networks that compute their own losses, as an mmengine model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mmengine.model import BaseModel
from torch import nn


class LossModule(BaseModel):
    """Wraps a network that returns its losses in training mode, as torchvision's detectors do.

    `Supervised` is for a network and a loss apart: its loss takes the output of the network and stacked targets. With
    `LossModule`, the network takes the targets too: `network(inputs, targets)` returns a mapping of losses by name, and
    their sum is minimised. Use it with `collate=as_lists` where targets have different sizes.

    Args:
        network: the network; in evaluation mode it is called with the inputs alone.
        prepare: turns the batch's inputs and targets into the network's arguments, on the training device.
    """

    def __init__(
        self,
        network: nn.Module,
        prepare: Callable[[Any, Any], tuple[Any, Any]] = lambda inputs, targets: (inputs, targets),
    ) -> None:
        super().__init__()
        self.network, self.prepare = network, prepare

    def forward(self, inputs: Any, targets: Any = None, mode: str = "loss") -> Any:
        """Returns the losses, under names with `loss`, which are added up; in mode `tensor` the network's output."""
        inputs, targets = self.prepare(inputs, targets)
        if mode != "loss":
            return self.network(inputs)
        losses: Mapping[str, Any] = self.network(inputs, targets)
        return {name if "loss" in name else f"loss_{name}": value for name, value in losses.items()}


def as_lists(items: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Combines items into a batch of lists, for items whose arrays differ in size. Items are dicts of tensors."""
    return {name: [item[name] for item in items] for name in items[0]}
