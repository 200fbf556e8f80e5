"""Finds pretrained weights, and copies them into a model.

All of them end as files in one folder (`MITOBENCH_WEIGHTS`, or one in the user's cache): safetensors, or an npz that
the user put there. `auto` and `none` open no socket unless the user allows downloads (see `hub`).
"""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import platformdirs
import torch
from torch import Tensor, nn

from mitobench import hub, weights_search
from mitobench.errors import MitobenchError, PluginError, nearest
from mitobench.training import downloads
from mitobench.training.data_packages import PACKAGES, weights_of_package
from mitobench.training.recorded_weights import recorded_weights
from mitobench.training.tensor_files import PICKLES, read_tensors, write_tensors
from mitobench.training.weights import load_weights, mismatches
from mitobench.weights_search import NOTHING_TO_TAKE_OVER

log = logging.getLogger("mitobench")

ENDINGS = (".safetensors", ".npz")
COUNTER = ".num_batches_tracked"  # of batch normalisation; unused, and only some files have it
MAX_PROBLEMS = 5  # tensors that an error names
ACCEPTED = "auto, none, package, timm, hf-hub:ORG/NAME@REVISION, record:RECORD.json"

Source = Callable[[], Mapping[str, Tensor]]


def weights_folder() -> Path:
    """Returns the folder of pretrained weights: `MITOBENCH_WEIGHTS`, or a folder in the user's cache."""
    given = os.environ.get("MITOBENCH_WEIGHTS")
    return Path(given).expanduser().resolve() if given else platformdirs.user_cache_path("mitobench") / "weights"


def find_weights(requested: str, default: str, fits: bool = True, source: Source | None = None) -> Path | None:
    """Returns the file of pretrained weights to start from; None means random weights.

    Args:
        requested: the value of a plugin's option `pretrained`, one of:

            - `auto`: the file `default` in the weights folder, else what `package` finds, else random weights. The
              record then notes that `default` was not found.
            - `none`: random weights.
            - the path of a .safetensors or .npz file.
            - `package`: the weights that an installed data package carries (`mitobench.training.data_packages`).
            - `timm`: those that timm's network `default` has on the Hugging Face Hub.
            - `hf-hub:ORG/NAME` or `hf-hub:ORG/NAME@REVISION`: those of that repository.
            - `record:RECORD.json`: those that a record's fit of the same role stored.
        default: name of the network's published weights, which is the file's name in the weights folder without
            ending: timm's name of the network (`tf_efficientnet_lite0`), torchvision's of the weights
            (`VGG16_Weights.IMAGENET1K_V1`), or another.
        fits: whether the network has the architecture of these weights. If not, `auto` finds none.
        source: returns the tensors for `auto` and `package`, for weights that are installed with a plugin. They are
            stored in the weights folder. It raises an error with the reason if it cannot.

    Nothing is downloaded unless MITOBENCH_ALLOW_DOWNLOAD is 1 (`--allow-download`): then `auto` may download the
    weights of torchvision and timm, and `timm` and `hf-hub:` may reach the Hugging Face Hub, whose local cache they
    read otherwise.

    Raises:
        MitobenchError: if weights that were asked for by any value but `auto` are not found, with what to do.
    """
    if requested == "none":
        return None
    if requested == "auto":
        return _auto(default, fits, source)
    if requested == "package":
        return _package(default, source)
    if requested == "timm":
        return downloads.timm_weights(default, weights_folder())
    if requested.startswith("hf-hub:"):
        name = requested.removeprefix("hf-hub:")
        return downloads.repository_weights(name, weights_folder(), f"pretrained={requested}")
    if requested == "record:":
        raise MitobenchError("pretrained=record: has no record file after `record:`. Give record:RECORD.json.")
    if requested.startswith("record:"):
        return recorded_weights(Path(requested.removeprefix("record:")), weights_folder())
    return _given(Path(requested).expanduser())


def _given(path: Path) -> Path:
    if path.suffix in PICKLES:
        raise MitobenchError(
            f"pretrained={path}: convert it first: `mitobench weights convert {path}`, then give "
            f"{path.with_suffix('.safetensors')}."
        )
    if path.suffix not in ENDINGS:
        raise MitobenchError(
            f"pretrained={path}: must be {ACCEPTED}, or a file that ends in .safetensors or .npz. "
            "`mitobench weights convert` converts other files."
        )
    if not path.is_file():
        raise MitobenchError(f"pretrained={path}: the file does not exist. Check the path.")
    return path.resolve()


def _auto(default: str, fits: bool, source: Source | None) -> Path | None:
    if not fits:
        _warn_of_other_network(default)
        return None
    found = _in_folder(default) or _stored(default, weights_folder(), source, hub.download_allowed())
    if found is None:
        weights_search.current().missing.append(default)
    return found


def _in_folder(name: str) -> Path | None:
    paths = (weights_folder() / f"{name}{ending}" for ending in ENDINGS)
    return next((path for path in paths if path.is_file()), None)


@functools.cache  # once a process
def _warn_of_other_network(default: str) -> None:
    log.warning("%s does not fit the network that these options define. Training starts from random weights.", default)


@functools.cache  # one attempt and one warning per process, however often a plan asks
def _stored(name: str, folder: Path, source: Source | None, download: bool) -> Path | None:
    """Stores installed or downloaded weights in the folder. If that fails, logs why and returns None."""
    path = folder / f"{name}.safetensors"
    try:
        installed = source or _source(name)
        if not installed and download and "_Weights." not in name:
            return downloads.timm_weights(name, folder)
        write_tensors(installed() if installed else _published(name, folder, download), path)
    except Exception as reason:  # whatever failed, training from random weights is possible
        log.warning("No pretrained weights %s: %s. Training starts from random weights.", name, str(reason).rstrip("."))
        return None
    return path


def _source(name: str) -> Source | None:
    """Returns what reads the weights of that name from a data package; None if none carries them."""
    return functools.partial(weights_of_package, name) if name in PACKAGES else None


def _published(name: str, folder: Path, download: bool) -> Mapping[str, Tensor]:
    """Downloads torchvision's weights. Raises an error for other names, or if downloads are not allowed."""
    if "_Weights." not in name:
        raise FileNotFoundError(f"neither {' nor '.join(name + ending for ending in ENDINGS)} is in {folder}")
    if not download:
        raise FileNotFoundError(
            f"{folder / name}.safetensors does not exist, and downloads are not allowed (--allow-download)"
        )
    return downloads.torchvision_weights(name, folder)


def _package(default: str, source: Source | None) -> Path:
    found = _in_folder(default)
    if found:
        return found
    installed = source or _source(default)
    if installed is None:
        raise MitobenchError(
            f"pretrained=package: no data package carries the weights {default!r}. {nearest(default, PACKAGES)} Use "
            "auto, none or a file."
        )
    path = weights_folder() / f"{default}.safetensors"
    try:
        write_tensors(installed(), path)
    except PluginError as reason:
        raise MitobenchError(f"pretrained=package: {default}: {str(reason).rstrip('.')}.") from reason
    return path


def copy_weights(path: Path, into: Mapping[str, Tensor], unused: Collection[str] = ()) -> None:
    """Copies the tensors of a file into those of a model; counters of batch normalisation are left unchanged.

    Args:
        path: a .safetensors or .npz file.
        into: the model's tensors (parameters, or views of them) by their names in the file.
        unused: names that the file may contain too; a name that ends in a dot means all names that begin with it.

    Raises:
        PluginError: if tensors are missing, unexpected, of another shape, or not finite floating-point numbers. Nothing
            is copied then.
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
        raise PluginError(
            f"{path}: does not fit the model: {'; '.join(problems)}. Give weights of this network, or `none`."
        )
    with torch.no_grad():
        for name, tensor in wanted.items():
            tensor.copy_(found[name])


def copy_own_weights(path: Path, network: nn.Module) -> bool:
    """Copies all tensors of a file that holds exactly those of `network`, as a fit of the same plugin stored them.

    Returns False, and copies nothing, for any other file: then `copy_weights` copies the layers that it has.
    """
    if path.suffix == ".npz" or mismatches(network.state_dict(), read_tensors(path)):
        return False
    load_weights(network, path.parent, path.name)
    return True


def copy_trained(path: Path | None, network: nn.Module) -> None:
    """Copies the tensors that another fit of the same plugin stored, for a fit with `iterations = 0`.

    Such a fit only takes a trained network over, to use it with other parts.

    Raises:
        PluginError: if the file does not exist, or its tensors do not fit `network`.
    """
    if path is None:
        raise PluginError(NOTHING_TO_TAKE_OVER)
    if not copy_own_weights(path, network):
        problems = mismatches(network.state_dict(), read_tensors(path))[:MAX_PROBLEMS]
        raise PluginError(
            f"{path}: is not a trained network with these options: {'; '.join(problems) or 'no .safetensors file'}. "
            "With iterations = 0, give the weights that a fit of it stored."
        )


def _among(name: str, names: Collection[str]) -> bool:
    return any(name == other or (other.endswith(".") and name.startswith(other)) for other in names)
