"""Weights of torchvision, timm and the Hugging Face Hub. Nothing is downloaded unless the user allows it.

The command line allows it by `--allow-download`, which sets MITOBENCH_ALLOW_DOWNLOAD=1. Otherwise the local cache of
the Hugging Face Hub is read, and no socket is opened.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mitobench.errors import MitobenchError
from mitobench.foreign import check_regular
from mitobench.foreign.limits import MAX_WEIGHTS_BYTES
from mitobench.training.tensor_files import WHAT, ensure_safetensors, read_state_dict

log = logging.getLogger("mitobench")

TIMEOUT_S = 15.0
ALLOW = "MITOBENCH_ALLOW_DOWNLOAD"
REPOSITORY = re.compile(r"(?P<name>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?")
# names of the file of weights in a repository, the safe ones first
HUB_FILES = (
    "model.safetensors",
    "open_clip_model.safetensors",
    "pytorch_model.bin",
    "open_clip_pytorch_model.bin",
)


def download_allowed() -> bool:
    """Returns whether the user allowed downloads for this run."""
    return os.environ.get(ALLOW) == "1"


# ------------------------------------------------------------------------------------------------- torchvision


def torchvision_weights(name: str, folder: Path) -> dict[str, Tensor]:
    """Downloads torchvision's weights of that name through a temporary file in `folder`.

    Raises an error if there are none, the download fails, or the file is not that which torchvision published.
    """
    from torchvision.models import get_weight

    url = get_weight(name).url
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=f".{name}-") as temporary:
        pickled = Path(temporary, "pickled")
        log.warning("Downloading %s ...", url)
        _fetch(url, pickled)
        return read_state_dict(pickled)


def _fetch(url: str, path: Path) -> None:
    """Downloads a file and checks it against the first digits of its SHA-256, with which torchvision's names end."""
    digits = url.rpartition("-")[2].partition(".")[0]
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT_S)
    try:
        torch.hub.download_url_to_file(url, str(path), hash_prefix=digits, progress=False)
    finally:
        socket.setdefaulttimeout(before)


# ---------------------------------------------------------------------------------------------- timm and the hub


def timm_weights(name: str, folder: Path) -> Path:
    """Returns the weights that timm's network of that name has by default, stored in `folder` as safetensors.

    Raises MitobenchError if timm has no such network or weights, or they are not here and downloads are not allowed.
    """
    timm = _imported("timm")
    try:
        config: Any = timm.models.get_pretrained_cfg(name, allow_unregistered=False)
    except RuntimeError as reason:  # of the network or of its tag
        raise MitobenchError(f"pretrained=timm: timm has no network {name!r}. Use auto or a file.") from reason
    if config is None or not config.hf_hub_id:
        raise MitobenchError(f"pretrained=timm: timm has no weights of {name!r} on the Hugging Face Hub. Use a file.")
    return repository_weights(str(config.hf_hub_id), folder, "pretrained=timm")


def repository_weights(repository: str, folder: Path, requested: str) -> Path:
    """Returns the weights of `ORG/NAME` or `ORG/NAME@REVISION` of the Hugging Face Hub.

    They are stored in `folder` as safetensors, under a name with the commit. Tensors are the only thing that is read.

    Args:
        repository: the repository; without a revision its branch `main`.
        folder: the weights folder.
        requested: what the user asked for, for messages.

    Raises MitobenchError if the repository is not in the local cache and downloads are not allowed, or if it has no
    file of weights.
    """
    match = REPOSITORY.fullmatch(repository)
    if match is None:
        raise MitobenchError(f"{requested}: must be hf-hub:ORG/NAME or hf-hub:ORG/NAME@REVISION.")
    name, revision = match["name"], match["revision"] or "main"
    stored = folder / f"{name.replace('/', '--')}@{revision[:12]}.safetensors"
    if len(revision) == 40 and stored.is_file():  # a commit, which does not change
        return stored
    path = _cached(name, revision) or (_from_hub(name, revision, requested) if download_allowed() else None)
    if path is None:
        raise MitobenchError(
            f"{requested}: {name} at revision {revision} is not in the local Hugging Face cache ({_cache()}). Pass "
            f"--allow-download to download it, or run `hf download {name} --revision {revision}` on a machine with a "
            "network and copy that folder."
        )
    return ensure_safetensors(path, folder / f"{name.replace('/', '--')}@{_commit(path)[:12]}.safetensors")


def _cached(name: str, revision: str) -> Path | None:
    """Returns the file of weights of a repository in the local cache; None if it is not there. Opens no socket."""
    hub = _imported("huggingface_hub")
    for file in HUB_FILES:
        found = hub.try_to_load_from_cache(name, file, revision=revision)
        if isinstance(found, str):
            return Path(found)
    return None


def _from_hub(name: str, revision: str, requested: str) -> Path | None:
    """Downloads the file of weights of a repository into the local cache; None if it has none that is known."""
    hub = _imported("huggingface_hub")
    log.warning("Downloading %s at revision %s from the Hugging Face Hub ...", name, revision)
    for file in HUB_FILES:
        try:
            path = Path(hub.hf_hub_download(name, file, revision=revision))
        except hub.errors.EntryNotFoundError:
            continue
        except Exception as reason:  # no network, a gated or an absent repository
            raise MitobenchError(
                f"{requested}: {name} cannot be downloaded: {str(reason).strip().splitlines()[0]} Check the name. For "
                f"a gated repository, accept its terms at https://huggingface.co/{name} and run `hf auth login`."
            ) from reason
        check_regular(path, MAX_WEIGHTS_BYTES, WHAT, MitobenchError)
        return path
    raise MitobenchError(f"{requested}: {name} has no file of weights. Looked for {', '.join(HUB_FILES)}.")


def _commit(path: Path) -> str:
    """Returns the commit of a file in the cache, .../snapshots/COMMIT/FILE."""
    return path.parent.name


def _cache() -> Path:
    return Path(_imported("huggingface_hub").constants.HF_HUB_CACHE)


def _imported(module: str) -> Any:
    import importlib

    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as reason:
        raise MitobenchError(f"{module} is not installed: pip install {module.replace('_', '-')}.") from reason
