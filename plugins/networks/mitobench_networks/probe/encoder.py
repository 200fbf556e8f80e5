"""Builds, writes and reads the frozen encoder, a network of timm that gives one vector for an image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import timm
import torch
from timm import layers
from timm.models import get_pretrained_cfg
from torch import Tensor, nn
from torch.nn.functional import interpolate

from mitobench.api import PluginError
from mitobench.training import copy_weights, load_weights, save_weights, without_memory
from mitobench_networks.probe.config import EncoderConfig

WEIGHTS = "model.safetensors"
MAX_BYTES = 16 << 30
SEED = 0  # of random weights: an encoder must be the same for all seeds of a run


class Encoder(nn.Module):
    """A frozen network of timm without its classifier."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.network = _network(config)
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(config.mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(config.std)[:, None, None], persistent=False)
        self.eval().requires_grad_(False)

    @torch.inference_mode()
    def forward(self, patches: Tensor, side: int) -> Tensor:
        """Embeds uint8 patches, [B, H, H, 3], resized to `side` px: float [B, D]."""
        images = (patches.permute(0, 3, 1, 2).float() / 255 - self.mean) / self.std
        if images.shape[-1] != side:
            images = interpolate(images, (side, side), mode="bilinear", antialias=True)
        embedded: Tensor = self.network(images)
        return embedded


def write(folder: Path, config: EncoderConfig, weights: Path | None) -> None:
    """Writes an encoder in the layout of a local folder of timm; without a file of weights, with random ones.

    Raises PluginError, with a list, for tensors that do not fit, and for a network without one vector for an image.
    """
    encoder = Encoder(config)
    if weights:
        unused = [f"{name.partition('.')[0]}." for name in config.classifier]
        copy_weights(weights, encoder.network.state_dict(), unused)
    config.model_copy(update={"width": _width(encoder)}).write(folder)
    save_weights(encoder.network, folder, WEIGHTS)


def read(folder: Path) -> Encoder:
    """Reads what `write` wrote. Raises PluginError for tensors that do not fit."""
    encoder = Encoder(EncoderConfig.of_folder(folder, {}))
    load_weights(encoder.network, folder, WEIGHTS)
    return encoder


def _network(config: EncoderConfig) -> nn.Module:
    """Returns the network with random weights, always the same. Contacts no hub, and reads no file."""
    expected = get_pretrained_cfg(config.architecture).to_dict()
    own = {"input_size": (3, config.side, config.side), "fixed_input_size": config.fixed}
    described = {**expected, **own, "mean": config.mean, "std": config.std, "classifier": config.classifier}
    arguments: dict[str, Any] = dict(config.arguments)
    if "mlp_layer" in arguments:
        arguments["mlp_layer"] = getattr(layers, arguments["mlp_layer"])

    def built() -> nn.Module:
        network: nn.Module = timm.create_model(
            config.architecture, pretrained=False, pretrained_cfg=described, num_classes=0, **arguments
        )
        return network

    given = ", ".join(f"{name}={value}" for name, value in config.arguments.items())
    if given:
        _check_size(built, f"{config.architecture} with {given}")
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        try:
            return built()
        except Exception as reason:  # constructors raise errors of many kinds
            raise PluginError(
                f"timm cannot build {config.architecture} with {given or 'no arguments'}: {type(reason).__name__}: "
                f"{reason}. Check model_args."
            ) from reason


def _check_size(build: Callable[[], nn.Module], what: str) -> None:
    """Raises PluginError for a network with more tensors than a file of weights may hold, before it takes memory.

    Also for a network whose size cannot be known before it is built.
    """
    try:
        with without_memory():
            size = sum(tensor.numel() * tensor.element_size() for tensor in build().state_dict().values())
    except Exception as reason:  # constructors raise errors of many kinds
        raise PluginError(
            f"The size of {what} cannot be known before it is built ({type(reason).__name__}: {reason}). Correct "
            "model_args, or update timm."
        ) from reason
    if size > MAX_BYTES:
        raise PluginError(f"{what} would have {size:,} bytes; an encoder has at most {MAX_BYTES:,}. Check model_args.")


def _width(encoder: Encoder) -> int:
    """Returns D, the numbers of an embedding. Raises PluginError if the network does not pool its features."""
    config = encoder.config
    try:
        embedded = encoder(torch.zeros(1, config.side, config.side, 3, dtype=torch.uint8), config.side)
    except Exception as reason:
        raise PluginError(
            f"{config.architecture} does not work on images of {config.side} px: {type(reason).__name__}: {reason}. "
            "Choose another encoder."
        ) from reason
    if not isinstance(embedded, Tensor) or embedded.ndim != 2:
        shape = tuple(embedded.shape[1:]) if isinstance(embedded, Tensor) else type(embedded).__name__
        raise PluginError(
            f"{config.architecture} does not pool its features: an image gives {shape}, not one vector. Set "
            '`model_args` to {"global_pool": "avg"} or {"global_pool": "token"} if it takes that, or choose another '
            "encoder."
        )
    return int(embedded.shape[1])
