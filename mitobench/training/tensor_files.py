"""Reads and writes files of tensors: safetensors, npz, and pickled state dicts of which only tensors are read."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from mitobench.atomic import write_atomic
from mitobench.errors import PluginError
from mitobench.foreign import check_regular, read_bytes
from mitobench.foreign.limits import MAX_WEIGHTS_BYTES
from mitobench.training.weights import packed

WHAT = "file of weights"
PICKLES = (".pth", ".pt", ".bin", ".ckpt")  # endings of state dicts that torch pickled
NESTED = ("state_dict", "model_state_dict", "model", "state_dict_ema", "model_ema", "teacher", "module")


def write_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Writes tensors by name to a .safetensors file, atomically. Raises MitobenchError if that fails."""
    write_atomic(path, packed(tensors))


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Reads all tensors of a .safetensors or .npz file by name. Raises PluginError if that fails."""
    check_regular(path, MAX_WEIGHTS_BYTES, WHAT, PluginError)
    try:
        return _read_npz(path) if path.suffix == ".npz" else load_file(path)
    except Exception as reason:  # damaged archives raise errors of a dozen kinds
        raise PluginError(
            f"{path}: cannot be read as {path.suffix}: {reason}. Copy it again, or remove it where `auto` made it."
        ) from reason


def _read_npz(path: Path) -> dict[str, Tensor]:
    if not zipfile.is_zipfile(path):
        raise ValueError("it is not a zip archive")
    _check_unpacked(path)
    with np.load(path, allow_pickle=False) as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def _check_unpacked(archive: Any) -> None:
    """Raises ValueError for a zip archive that unpacks to more bytes than a file of weights may have."""
    with zipfile.ZipFile(archive) as opened:  # readers read at most the declared size
        if sum(part.file_size for part in opened.infolist()) > MAX_WEIGHTS_BYTES:
            raise ValueError(f"it has more than {MAX_WEIGHTS_BYTES:,} bytes unpacked")


def read_state_dict(path: Path, key: str | None = None) -> dict[str, Tensor]:
    """Reads the tensors of a state dict that `torch.save` pickled.

    The unpickler creates tensors, numbers, texts and containers only; any other object is an error.

    Args:
        path: the file. Its ending is not looked at.
        key: the entry that holds the state dict, for checkpoints with several; None: the file itself, or the first of
            `state_dict`, `model_state_dict`, `model`, `state_dict_ema`, `model_ema`, `teacher` and `module` that holds
            tensors.

    Raises:
        PluginError: if the file cannot be read, holds other objects, or has no tensors there.
    """
    loaded = _unpickled(path)
    found = _tensors(loaded.get(key)) if key else _first(loaded)
    if not found:
        there = ", ".join(f"{name}" for name, value in loaded.items() if _tensors(value)) or "none"
        raise PluginError(
            f"{path}: {f'{key!r} holds no tensors' if key else 'holds no state dict at a known place'}. "
            f"Entries with tensors: {there}. Name one with --key."
        )
    if sum(tensor.numel() * tensor.element_size() for tensor in found.values()) > MAX_WEIGHTS_BYTES:
        raise PluginError(f"{path}: its tensors have more than {MAX_WEIGHTS_BYTES:,} bytes.")
    return found


def _unpickled(path: Path) -> Mapping[str, Any]:
    content = io.BytesIO(read_bytes(path, MAX_WEIGHTS_BYTES, WHAT, PluginError))
    try:
        if zipfile.is_zipfile(content):
            _check_unpacked(content)
        content.seek(0)
        loaded = torch.load(content, map_location="cpu", weights_only=True)
    except Exception as reason:  # damaged pickles raise errors of many kinds
        raise PluginError(
            f"{path}: cannot be read as a state dict of tensors: {_short(reason)}. Objects are never unpickled. Where "
            "you trust the file, load it in Python and save `model.state_dict()` by torch.save or safetensors."
        ) from reason
    if not isinstance(loaded, Mapping):
        raise PluginError(f"{path}: holds a {type(loaded).__name__}, not a state dict. Save `model.state_dict()`.")
    return {str(name): value for name, value in loaded.items()}


def _short(reason: Exception) -> str:
    """Returns what torch says about the object it refused, without its advice to unpickle everything."""
    text = str(reason)
    for start in ("Unsupported global: ", "Unsupported class ", "Unsupported operand "):
        if start in text:
            return text[text.index(start) :].splitlines()[0].partition(" was not an allowed")[0]
    lines = [line.strip() for line in text.splitlines() if line.strip() and "weights_only" not in line]
    return lines[0].rstrip(". ") if lines else type(reason).__name__


def _first(loaded: Mapping[str, Any]) -> dict[str, Tensor]:
    places = (loaded, *(loaded[name] for name in NESTED if name in loaded))
    return next((found for found in map(_tensors, places) if found), {})


def _tensors(value: Any) -> dict[str, Tensor]:
    """Returns the tensors of a mapping by name, without what else it holds (an epoch, a version)."""
    if not isinstance(value, Mapping):
        return {}
    return {str(name): tensor for name, tensor in value.items() if isinstance(tensor, Tensor)}


def ensure_safetensors(path: Path, target: Path) -> Path:
    """Writes the tensors of `path` to the .safetensors file `target` unless it exists; returns `target`.

    Raises:
        MitobenchError: if the file cannot be read, or `target` cannot be written.
    """
    if not target.is_file():
        write_tensors(read_state_dict(path) if path.suffix in PICKLES else read_tensors(path), target)
    return target
