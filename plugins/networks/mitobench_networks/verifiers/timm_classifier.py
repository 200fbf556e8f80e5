"""`timm:MODEL`: any classifier of timm, fine-tuned on patches."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import timm
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from mitobench.api import MitobenchError, PluginError
from mitobench.training import PatchVerifier, copy_weights, find_weights, network_input, without_memory
from mitobench.training.timm_models import check_model, config_of, moments
from mitobench_networks.verifiers.options import TimmOptions


class TimmVerifier(PatchVerifier):
    """A classifier of timm with one logit, instead of its own classes."""

    name = "timm"
    Options = TimmOptions
    argument = "model"
    example = "tf_efficientnet_lite0"

    @classmethod
    def resolve(cls, argument: str) -> str:
        """Returns the name. Raises MitobenchError if timm has no such network, or it is not a classifier."""
        check_model(argument)
        if config_of(argument).get("num_classes", 1) == 0:
            raise MitobenchError(
                f"timm's {argument} has no layer that classifies, so `timm:` cannot fine-tune it. probe:{argument} "
                "trains a logistic regression on its features instead."
            )
        return argument

    @classmethod
    def pretrained(cls, options: TimmOptions) -> Path | None:
        """Returns the network's weights, or those of the FILE."""
        return find_weights(options.pretrained, options.model)

    def untrained(self) -> nn.Module:
        """Creates the network for patches of `input_side`. Raises PluginError, with the reason, if it cannot be."""
        network = self._resized(self._created())
        self._moments = moments(network)
        self._check_input(network)
        return network

    def _created(self) -> Any:
        """Returns the network for its own input size, with one logit."""
        options = self.options
        more = {"drop_rate": options.dropout} if options.dropout else {}
        try:
            network: Any = timm.create_model(options.model, **more)
            network.reset_classifier(1)  # small random weights, whatever the network draws for a thousand classes
        except Exception as reason:  # networks of timm raise errors of many kinds
            raise PluginError(f"timm's {options.model} cannot be a verifier: {reason}.") from reason
        return network

    def _resized(self, network: Any) -> nn.Module:
        """Makes a network that takes only its own size take `input_side`, where timm can do that."""
        config, side = network.pretrained_cfg or {}, self.input_side
        if config.get("fixed_input_size") and side != config["input_size"][1]:
            try:
                network.set_input_size(img_size=side)
            except Exception as reason:
                raise PluginError(
                    f"timm's {self.options.model} takes {config['input_size'][1]} px, and cannot be changed to "
                    f"enlarged={side} ({reason}). Leave enlarged out: patches are then resized."
                ) from reason
        return cast(nn.Module, network)

    def _check_input(self, network: nn.Module) -> None:
        side = self.input_side
        try:
            with torch.inference_mode():
                logits = network.eval()(torch.zeros(1, 3, side, side))
        except Exception as reason:
            raise PluginError(
                f"timm's {self.options.model} cannot classify patches of {side} px ({reason}). Set enlarged to a side "
                "that it takes."
            ) from reason
        if not isinstance(logits, Tensor) or logits.shape != (1, 1):
            raise PluginError(f"timm's {self.options.model} cannot be a verifier: it does not give one logit a patch.")

    def start(self, network: nn.Module, weights: Path) -> None:
        """Copies all layers but the last, at the size for which they were trained."""
        own = self._created()
        tensors = own.state_dict()
        with without_memory():
            published = timm.create_model(self.options.model).state_dict()
        into = {name: tensors[name] for name, other in published.items() if _shape(tensors.get(name)) == other.shape}
        copy_weights(weights, into, [name for name in published if name not in into])
        copied = self._resized(own).state_dict()
        missing = {name: tensor for name, tensor in network.state_dict().items() if name not in into}
        network.load_state_dict({**copied, **missing})

    @property
    def input_side(self) -> int:
        """Side of the network's input, px: `enlarged`, or the network's own if it takes no other, or `patch`."""
        config = config_of(self.options.model)
        own = config["input_size"][1] if config.get("fixed_input_size") else None
        return int(self.options.enlarged or own or self.options.patch)

    def prepare(self, patches: Tensor) -> Tensor:
        """Returns float [B, 3, input_side, input_side]."""
        options, side = self.options, self.input_side
        weights = self._moments if options.normalise == "weights" else None
        images = network_input(patches, options.patch, (1,), weights, options.blur)
        if side == options.patch:
            return images
        return interpolate(images, (side, side), mode="bilinear", antialias=True)


def _shape(tensor: Tensor | None) -> torch.Size | None:
    return None if tensor is None else tensor.shape
