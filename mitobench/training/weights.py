"""Saves and loads weights as safetensors, never as pickles. Errors list every tensor that does not fit."""

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


def number_of_parameters(module: nn.Module) -> int:
    """Returns how many numbers a network learns."""
    return sum(tensor.numel() for tensor in module.parameters())


def save_weights(module: nn.Module, folder: Path, name: str = FILE) -> None:
    """Writes all parameters and buffers of `module` to `folder/name`.

    Tied weights are written once per name; loading them into a module that ties them ties them again.
    """
    (folder / name).write_bytes(
        packed(module.state_dict())
    )  # save_file would create a file that only its owner can read


def packed(tensors: Mapping[str, Tensor]) -> bytes:
    """Returns the bytes of a safetensors file. Tensors that share memory, which it does not allow, are copied."""
    apart: dict[str, Tensor] = {}
    taken: set[int] = set()
    for name, tensor in tensors.items():
        tensor = tensor.detach().cpu().contiguous()
        memory = tensor.untyped_storage().data_ptr()
        apart[name] = tensor.clone() if memory in taken else tensor
        taken.add(memory)
    return save(apart)


def load_weights(module: nn.Module, folder: Path, name: str = FILE) -> None:
    """Reads `folder/name` into `module`.

    Raises:
        PluginError: if it is not a safetensors file, or with a list of the tensors that are missing, unexpected, of
            another shape, or not finite.
    """
    wanted = module.state_dict()
    check_regular(folder / name, MAX_WEIGHTS_BYTES, "file of weights", PluginError)
    try:
        found = load_file(folder / name)
    except (OSError, SafetensorError) as reason:
        raise PluginError(f"{folder / name} cannot be read: {reason}. Fit the plugin again.") from reason
    problems = mismatches(wanted, found) + [f"{key} contains NaN or infinity" for key in _not_finite(found)]
    if problems:
        raise PluginError(
            f"{folder / name} does not fit the model: {'; '.join(problems)}. Fit again with these options."
        )
    module.load_state_dict(found)


def _not_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    return [key for key, tensor in tensors.items() if tensor.is_floating_point() and not tensor.isfinite().all()]


def mismatches(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> list[str]:
    """Returns a line for every tensor that is missing, unexpected or of another shape."""
    problems = [f"missing {key}" for key in sorted(wanted.keys() - found.keys())]
    problems += [f"unexpected {key}" for key in sorted(found.keys() - wanted.keys())]
    return problems + [
        f"{key} is {tuple(found[key].shape)}, must be {tuple(wanted[key].shape)}"
        for key in sorted(wanted.keys() & found.keys())
        if found[key].shape != wanted[key].shape
    ]
