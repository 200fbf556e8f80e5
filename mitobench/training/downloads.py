"""Weights of torchvision, timm and the Hugging Face Hub. Nothing is downloaded unless the user allows it (`hub`)."""

from __future__ import annotations

import logging
import socket
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mitobench import hub
from mitobench.errors import MitobenchError
from mitobench.foreign.limits import MAX_WEIGHTS_BYTES
from mitobench.training.tensor_files import ensure_safetensors, read_state_dict

log = logging.getLogger("mitobench")

TIMEOUT_S = 15.0
# names of the file of weights in a repository, the safe ones first
HUB_FILES = (
    "model.safetensors",
    "open_clip_model.safetensors",
    "pytorch_model.bin",
    "open_clip_pytorch_model.bin",
)


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
    try:
        import timm
    except ModuleNotFoundError as reason:
        raise MitobenchError("timm is not installed: pip install timm.") from reason
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
    found = hub.repository_of(repository)
    if found is None:
        raise MitobenchError(f"{requested}: must be hf-hub:ORG/NAME or hf-hub:ORG/NAME@REVISION.")
    stored = folder / f"{found.folder}@{found.revision[:12]}.safetensors"
    if found.is_fixed and stored.is_file():
        return stored
    path = hub.file_of(found, HUB_FILES, MAX_WEIGHTS_BYTES, requested)
    commit = path.parent.name
    return ensure_safetensors(path, folder / f"{found.folder}@{commit[:12]}.safetensors")
