"""Finds pretrained weights by name, reads them from safetensors or npz files, and copies them into a model.

The files are in one folder (`MITOBENCH_WEIGHTS`, or one in the user's cache). torchvision's weights are downloaded into
it on first use, checked against the digest in their name, and stored as safetensors. Weights that are installed with a
plugin are stored there too.
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

from mitobench.atomic import write_atomic
from mitobench.errors import MitobenchError, PluginError
from mitobench.foreign import check_regular
from mitobench.foreign.limits import MAX_WEIGHTS_BYTES
from mitobench.training.weights import mismatches, packed

log = logging.getLogger("mitobench")

ENDINGS = (".safetensors", ".npz")
COUNTER = ".num_batches_tracked"  # of batch normalisation; unused, and only some files have it
TIMEOUT_S = 15.0

Source = Callable[[], Mapping[str, Tensor]]


def weights_folder() -> Path:
    """Returns the folder of pretrained weights: `MITOBENCH_WEIGHTS`, or a folder in the user's cache."""
    given = os.environ.get("MITOBENCH_WEIGHTS")
    return Path(given).expanduser().resolve() if given else platformdirs.user_cache_path("mitobench") / "weights"


def find_weights(requested: str, default: str, fits: bool = True, source: Source | None = None) -> Path | None:
    """Returns the file of pretrained weights to start from; None means random weights.

    Args:
        requested: `auto`, `none`, or the path of a file.
        default: the file that `auto` uses: its name in the weights folder, without ending. Names of torchvision's
            weights (`VGG16_Weights.IMAGENET1K_V1`) are downloaded if they are missing, unless MITOBENCH_OFFLINE is set.
        fits: whether the network has the architecture of these weights. If not, `auto` finds none.
        source: returns the tensors for `auto` if the folder does not have the file, for weights that are installed with
            a plugin. They are then stored in the folder. It raises an error with the reason if it cannot.

    Raises MitobenchError for a file that does not exist or has another ending. Logs a warning if `auto` finds no
    weights.
    """
    if requested == "none":
        return None
    if requested != "auto":
        return _given(Path(requested).expanduser())
    if not fits:
        _warn_of_other_network(default)
        return None
    folder = weights_folder()
    for ending in ENDINGS:
        path = folder / f"{default}{ending}"
        if path.is_file():
            return path
    return _store_weights(default, folder, source, bool(os.environ.get("MITOBENCH_OFFLINE")))


def _given(path: Path) -> Path:
    if path.suffix not in ENDINGS:
        raise MitobenchError(
            f"pretrained={path}: must be auto, none, or a file that ends in .safetensors or .npz. "
            "`mitobench weights convert` converts a .caffemodel."
        )
    if not path.is_file():
        raise MitobenchError(f"pretrained={path}: the file does not exist. Check the path.")
    return path.resolve()


@functools.cache  # once a process
def _warn_of_other_network(default: str) -> None:
    log.warning("%s does not fit the network that these options define. Training starts from random weights.", default)


@functools.cache  # one attempt and one warning per process, however often a plan asks
def _store_weights(name: str, folder: Path, source: Source | None, offline: bool) -> Path | None:
    """Stores the weights of a plugin or of torchvision in the folder. If that fails, logs why and returns None."""
    path = folder / f"{name}.safetensors"
    try:
        write_tensors(source() if source else _downloaded(name, folder, offline), path)
    except Exception as reason:  # whatever failed, training from random weights is possible
        log.warning("No pretrained weights %s: %s. Training starts from random weights.", name, reason)
        return None
    return path


def write_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Writes tensors by name to a .safetensors file, atomically. Raises MitobenchError if that fails."""
    write_atomic(path, packed(tensors))


def _downloaded(name: str, folder: Path, offline: bool) -> dict[str, Tensor]:
    """Downloads torchvision's weights of that name. Raises an error if there are none, or if `offline`."""
    if "_Weights." not in name:
        raise FileNotFoundError(f"neither {' nor '.join(name + ending for ending in ENDINGS)} is in {folder}")
    if offline:
        raise FileNotFoundError(f"{folder / name}.safetensors does not exist, and MITOBENCH_OFFLINE is set")
    from torchvision.models import get_weight

    url = get_weight(name).url
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=f".{name}-") as temporary:
        pickled = Path(temporary, "pickled")
        log.warning("Downloading %s ...", url)
        _fetch(url, pickled)
        # read once, by the unpickler that creates tensors only
        tensors: dict[str, Tensor] = torch.load(pickled, map_location="cpu", weights_only=True)
    return tensors


def _fetch(url: str, path: Path) -> None:
    """Downloads a file and checks it against the first digits of its SHA-256, with which torchvision's names end."""
    digits = url.rpartition("-")[2].partition(".")[0]
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT_S)
    try:
        torch.hub.download_url_to_file(url, str(path), hash_prefix=digits, progress=False)
    finally:
        socket.setdefaulttimeout(before)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Reads all tensors of a .safetensors or .npz file by name. Raises PluginError if that fails."""
    check_regular(path, MAX_WEIGHTS_BYTES, "file of weights", PluginError)
    try:
        return _read_npz(path) if path.suffix == ".npz" else load_file(path)
    except Exception as reason:  # damaged archives raise errors of a dozen kinds
        raise PluginError(
            f"{path}: cannot be read as {path.suffix}: {reason}. Copy it again, or remove it where `auto` made it."
        ) from reason


def _read_npz(path: Path) -> dict[str, Tensor]:
    if not zipfile.is_zipfile(path):
        raise ValueError("it is not a zip archive")
    with zipfile.ZipFile(path) as archive:
        if (
            sum(part.file_size for part in archive.infolist()) > MAX_WEIGHTS_BYTES
        ):  # numpy reads at most the declared size
            raise ValueError(f"it has more than {MAX_WEIGHTS_BYTES:,} bytes unpacked")
    with np.load(path, allow_pickle=False) as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def copy_weights(path: Path, into: Mapping[str, Tensor], unused: Collection[str] = ()) -> None:
    """Copies the tensors of a file into those of a model; counters of batch normalisation are left unchanged.

    Args:
        path: a .safetensors or .npz file.
        into: the model's tensors (parameters, or views of them) by their names in the file.
        unused: names that the file may contain too; a name that ends in a dot means all names that begin with it.

    Raises PluginError, and copies nothing, if tensors are missing, unexpected, of another shape, or not finite
    floating-point numbers.
    """
    wanted = {name: tensor for name, tensor in into.items() if not name.endswith(COUNTER)}
    found = {
        name: tensor
        for name, tensor in read_tensors(path).items()
        if name in wanted or not (name.endswith(COUNTER) or _among(name, unused))
    }
    problems = mismatches(wanted, found) + [
        f"{name} contains values that are not finite numbers"
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
