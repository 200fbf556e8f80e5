"""Weights on disk: safetensors, never a pickle; a mismatch lists every tensor that differs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from mitobench.errors import PluginError
from mitobench.foreign import check_regular
from mitobench.foreign.limits import MAX_WEIGHTS_BYTES

FILE = "weights.safetensors"


def save_weights(module: nn.Module, folder: Path, name: str = FILE) -> None:
    """Write all parameters and buffers of `module` to `folder/name`.

    Tied weights are written under each of their names; read into a module that ties them, they are tied again.
    """
    (folder / name).write_bytes(packed(module.state_dict()))  # save_file would leave it readable for its owner alone


def packed(tensors: Mapping[str, Tensor]) -> bytes:
    """A safetensors file of these tensors, by name; of those that share memory, which it refuses, it has copies."""
    apart: dict[str, Tensor] = {}
    taken: set[int] = set()
    for name, tensor in tensors.items():
        tensor = tensor.detach().cpu().contiguous()
        memory = tensor.untyped_storage().data_ptr()
        apart[name] = tensor.clone() if memory in taken else tensor
        taken.add(memory)
    return save(apart)


def load_weights(module: nn.Module, folder: Path, name: str = FILE) -> None:
    """Read `folder/name` into `module`.

    Raises PluginError where it is no safetensors file, or listing the tensors that are missing, unexpected, mis-shaped
    or hold NaN or infinity.
    """
    wanted = module.state_dict()
    check_regular(folder / name, MAX_WEIGHTS_BYTES, "file of weights", PluginError)
    try:
        found = load_file(folder / name)
    except (OSError, SafetensorError) as reason:
        raise PluginError(f"{folder / name} cannot be read: {reason}. Fit the plugin again.") from reason
    problems = mismatches(wanted, found) + [f"{key} holds NaN or infinity" for key in _not_finite(found)]
    if problems:
        raise PluginError(f"{folder / name} does not fit the model: {'; '.join(problems)}.")
    module.load_state_dict(found)


def _not_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    return [key for key, tensor in tensors.items() if tensor.is_floating_point() and not tensor.isfinite().all()]


def mismatches(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> list[str]:
    """Every tensor that is missing, unexpected or mis-shaped, in words."""
    problems = [f"missing {key}" for key in sorted(wanted.keys() - found.keys())]
    problems += [f"unexpected {key}" for key in sorted(found.keys() - wanted.keys())]
    return problems + [
        f"{key} is {tuple(found[key].shape)}, must be {tuple(wanted[key].shape)}"
        for key in sorted(wanted.keys() & found.keys())
        if found[key].shape != wanted[key].shape
    ]
