"""Weights to start from: found by name, read from safetensors or npz, copied tensor by tensor.

They lie in one folder (`MITOBENCH_WEIGHTS`, else the user's cache). What torchvision publishes is downloaded into it
when it is first asked for, checked against the digest in its name, and kept as safetensors; so is what comes with a
plugin.
"""

from __future__ import annotations

import functools
import logging
import os
import socket
import tempfile
import zipfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import numpy as np
import platformdirs
import torch
from safetensors.torch import load_file
from torch import Tensor

from mitobench.atomic import write_whole
from mitobench.errors import MitobenchError, PluginError
from mitobench.foreign import check_regular
from mitobench.foreign.limits import MAX_WEIGHTS_BYTES
from mitobench.training.weights import mismatches, packed

log = logging.getLogger("mitobench")

ENDINGS = (".safetensors", ".npz")
COUNTER = ".num_batches_tracked"  # of batch normalisation: torchvision's files hold or lack it, and nothing reads it
TIMEOUT_S = 15.0

Source = Callable[[], Mapping[str, Tensor]]


def weights_folder() -> Path:
    """Where weights to start from lie: `MITOBENCH_WEIGHTS`, else below the user's cache."""
    given = os.environ.get("MITOBENCH_WEIGHTS")
    return Path(given).expanduser().resolve() if given else platformdirs.user_cache_path("mitobench") / "weights"


def find_weights(asked: str, default: str, fits: bool = True, source: Source | None = None) -> Path | None:
    """The file to start from; None for random weights.

    Args:
        asked: `auto`, `none`, or a file.
        default: what `auto` stands for: the name of a file in the weights folder, without its ending; torchvision's
            are named as torchvision does (`VGG16_Weights.IMAGENET1K_V1`) and downloaded where they are not there.
            With MITOBENCH_OFFLINE set nothing is downloaded.
        fits: whether the network is the one that the default's weights are of; for another `auto` finds none.
        source: gives the tensors that `auto` stands for where the folder has no file of them, of weights that are
            installed with a plugin; it raises, with a reason to be told, where it cannot. They are kept in the folder.

    Raises MitobenchError for a file that is not there, or is of another kind. What `auto` cannot find is told.
    """
    if asked == "none":
        return None
    if asked != "auto":
        return _given(Path(asked).expanduser())
    if not fits:
        _tell_other(default)
        return None
    folder = weights_folder()
    for ending in ENDINGS:
        path = folder / f"{default}{ending}"
        if path.is_file():
            return path
    return _made(default, folder, source, bool(os.environ.get("MITOBENCH_OFFLINE")))


def _given(path: Path) -> Path:
    if path.suffix not in ENDINGS:
        raise MitobenchError(
            f"pretrained={path}: must be auto, none, or a file that ends in .safetensors or .npz. "
            "`mitobench weights convert` makes one of a .caffemodel."
        )
    if not path.is_file():
        raise MitobenchError(f"pretrained={path}: there is no such file.")
    return path.resolve()


@functools.cache  # once a process
def _tell_other(default: str) -> None:
    log.warning("%s is of another network than these options give. Training starts from random weights.", default)


@functools.cache  # one attempt and one warning a process, however often a plan asks
def _made(name: str, folder: Path, source: Source | None, offline: bool) -> Path | None:
    """The file in the folder, of what a plugin or torchvision brings; None, and a warning that says why, without it."""
    path = folder / f"{name}.safetensors"
    try:
        write_tensors(source() if source else _downloaded(name, folder, offline), path)
    except Exception as reason:  # whatever failed between here and there: random weights train as well
        log.warning("No pretrained weights %s: %s. Training starts from random weights.", name, reason)
        return None
    return path


def write_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write a .safetensors file of tensors by name, whole or not at all. Raises MitobenchError where it cannot."""
    write_whole(path, packed(tensors))


def _downloaded(name: str, folder: Path, offline: bool) -> dict[str, Tensor]:
    """torchvision's weights of that name. Raises where there are none, or they may not be downloaded."""
    if "_Weights." not in name:
        raise FileNotFoundError(f"neither {' nor '.join(name + ending for ending in ENDINGS)} is in {folder}")
    if offline:
        raise FileNotFoundError(f"{folder / name}.safetensors is not there, and MITOBENCH_OFFLINE is set")
    from torchvision.models import get_weight

    url = get_weight(name).url
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=f".{name}-") as aside:
        pickled = Path(aside, "pickled")
        log.warning("Downloading %s ...", url)
        _fetch(url, pickled)
        # the unpickler that makes tensors and nothing else reads it, this once
        tensors: dict[str, Tensor] = torch.load(pickled, map_location="cpu", weights_only=True)
    return tensors


def _fetch(url: str, path: Path) -> None:
    """Download; the file's name ends in the first digits of its SHA-256, as torchvision's do."""
    digits = url.rpartition("-")[2].partition(".")[0]
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT_S)
    try:
        torch.hub.download_url_to_file(url, str(path), hash_prefix=digits, progress=False)
    finally:
        socket.setdefaulttimeout(before)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a .safetensors or .npz file by name. Raises PluginError where it cannot be read."""
    check_regular(path, MAX_WEIGHTS_BYTES, "file of weights", PluginError)
    try:
        return _read_npz(path) if path.suffix == ".npz" else load_file(path)
    except Exception as reason:  # damaged archives raise errors of a dozen kinds
        raise PluginError(
            f"{path}: cannot be read as {path.suffix}: {reason}. Copy it again, or remove it where `auto` made it."
        ) from reason


def _read_npz(path: Path) -> dict[str, Tensor]:
    if not zipfile.is_zipfile(path):
        raise ValueError("it is no zip archive")
    with zipfile.ZipFile(path) as archive:
        if sum(part.file_size for part in archive.infolist()) > MAX_WEIGHTS_BYTES:  # numpy reads no more than declared
            raise ValueError(f"it holds more than {MAX_WEIGHTS_BYTES:,} bytes unpacked")
    with np.load(path, allow_pickle=False) as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def copy_weights(path: Path, into: Mapping[str, Tensor], unused: Collection[str] = ()) -> None:
    """Copy the tensors of a file into those of a model; the counters of batch normalisation stay as they are.

    Args:
        path: .safetensors or .npz.
        into: the model's tensors (parameters, or views of them) by their names in the file.
        unused: names that the file may hold as well; a name that ends in a dot stands for all that begin with it.

    Raises PluginError, and copies nothing, where tensors are missing, mis-shaped, not of finite
    floating-point numbers, or there that nobody expects.
    """
    wanted = {name: tensor for name, tensor in into.items() if not name.endswith(COUNTER)}
    found = {
        name: tensor
        for name, tensor in read_tensors(path).items()
        if name in wanted or not (name.endswith(COUNTER) or _among(name, unused))
    }
    problems = mismatches(wanted, found) + [
        f"{name} holds what is no finite number"
        for name, tensor in found.items()
        if not (tensor.is_floating_point() and tensor.isfinite().all())
    ]
    if problems:
        raise PluginError(f"{path}: does not fit the model: {'; '.join(problems)}.")
    with torch.no_grad():
        for name, tensor in wanted.items():
            tensor.copy_(found[name])


def _among(name: str, names: Collection[str]) -> bool:
    return any(name == other or (other.endswith(".") and name.startswith(other)) for other in names)
