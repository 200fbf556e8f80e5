"""Pretrained weights are found, downloaded and copied completely, or a warning or error says why not."""

from __future__ import annotations

import hashlib
import logging
import pickle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import load_file, save_file

from mitobench.errors import MitobenchError, PluginError
from mitobench.training import copy_weights, find_weights, pretrained
from mitobench.training.downloads import TIMEOUT_S
from mitobench.training.pretrained import weights_folder
from mitobench.training.tensor_files import read_tensors

NAME = "VGG16_Weights.IMAGENET1K_V1"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An existing, empty weights folder. Nothing is downloaded unless a test allows it."""
    pretrained._stored.cache_clear()  # it answers once per process, and another test may have asked
    folder = tmp_path / "weights"
    folder.mkdir()
    monkeypatch.setenv("MITOBENCH_WEIGHTS", str(folder))
    monkeypatch.delenv("MITOBENCH_ALLOW_DOWNLOAD", raising=False)
    return folder


# ------------------------------------------------------------------------------------------------------ finding


def test_none_means_random_weights(folder: Path) -> None:
    (folder / f"{NAME}.npz").touch()
    assert find_weights("none", NAME) is None


@pytest.mark.parametrize("ending", [".safetensors", ".npz"])
def test_auto_finds_either_kind_in_the_weights_folder(folder: Path, ending: str) -> None:
    (folder / f"{NAME}{ending}").touch()
    assert find_weights("auto", NAME) == folder / f"{NAME}{ending}"


def test_without_a_setting_the_weights_folder_is_in_the_users_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MITOBENCH_WEIGHTS")
    assert weights_folder().parts[-2:] == ("mitobench", "weights")


def test_a_weights_folder_may_be_relative(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / f"{NAME}.npz").touch()
    monkeypatch.chdir(folder.parent)
    monkeypatch.setenv("MITOBENCH_WEIGHTS", "weights")
    assert find_weights("auto", NAME) == (folder / f"{NAME}.npz").resolve()


def test_auto_uses_random_weights_and_logs_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    assert find_weights("auto", NAME) is None
    assert find_weights("auto", NAME) is None
    (warning,) = caplog.messages
    for message in (NAME, "--allow-download", "random weights"):
        assert message in warning


def test_auto_logs_where_to_put_a_file_that_cannot_be_downloaded(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert find_weights("auto", "vgg_cnn_m_1024") is None
    assert f"neither vgg_cnn_m_1024.safetensors nor vgg_cnn_m_1024.npz is in {folder}" in caplog.text


def test_a_file_may_be_given_by_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.npz").touch()
    monkeypatch.chdir(tmp_path)
    assert find_weights("mine.npz", NAME) == (tmp_path / "mine.npz").resolve()


@pytest.mark.parametrize(
    ("requested", "problem"),
    [
        ("absent.npz", r"pretrained=absent\.npz: the file does not exist"),
        ("weights.pth", r"pretrained=weights\.pth: convert it first: `mitobench weights convert weights\.pth`"),
        (
            "weights.txt",
            r"pretrained=weights\.txt: must be auto, none, .*, or a file that ends in \.safetensors or \.npz",
        ),
        ("Auto", "must be auto, none"),
    ],
)
def test_a_file_that_cannot_be_used_is_an_error(requested: str, problem: str) -> None:
    with pytest.raises(MitobenchError, match=problem):
        find_weights(requested, NAME)


# -------------------------------------------------------------------------------------------------- downloading


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pickled state dict as torchvision publishes it, at a file URL, which needs no network."""
    monkeypatch.setenv("MITOBENCH_ALLOW_DOWNLOAD", "1")
    pickled = tmp_path / "pickled"
    torch.save({"conv.weight": torch.nn.Parameter(torch.arange(6.0).reshape(2, 3).T)}, pickled)
    digest = hashlib.sha256(pickled.read_bytes()).hexdigest()
    path = pickled.rename(tmp_path / f"vgg16-{digest[:8]}.pth")
    _publish(path, monkeypatch)
    return path


def _publish(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchvision.models, "get_weight", lambda name: SimpleNamespace(url=path.as_uri()))


def test_torchvisions_weights_are_stored_as_safetensors(folder: Path, published: Path) -> None:
    path = find_weights("auto", NAME)
    assert path == folder / f"{NAME}.safetensors"
    assert torch.equal(load_file(path)["conv.weight"], torch.arange(6.0).reshape(2, 3).T)
    assert list(folder.iterdir()) == [path]


def test_weights_are_downloaded_once(folder: Path, published: Path) -> None:
    first = find_weights("auto", NAME)
    published.unlink()
    assert find_weights("auto", NAME) == first


def test_a_missing_weights_folder_is_created(folder: Path, published: Path) -> None:
    folder.rmdir()
    assert find_weights("auto", NAME) == folder / f"{NAME}.safetensors"


def test_a_download_that_hangs_times_out(monkeypatch: pytest.MonkeyPatch, published: Path) -> None:
    import socket

    waits = []
    fetch = torch.hub.download_url_to_file

    def recorded(*args: object, **kwargs: object) -> None:
        waits.append(socket.getdefaulttimeout())
        fetch(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(torch.hub, "download_url_to_file", recorded)
    find_weights("auto", NAME)
    assert waits == [TIMEOUT_S]
    assert socket.getdefaulttimeout() is None


def _other_bytes(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published.write_bytes(published.read_bytes() + b"more")


def _gone(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published.unlink()


def _objects(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = pickle.dumps({"conv.weight": SimpleNamespace()}, protocol=2)
    path = published.with_name(f"vgg16-{hashlib.sha256(content).hexdigest()[:8]}.pth")
    path.write_bytes(content)
    _publish(path, monkeypatch)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (_other_bytes, "invalid hash value"),
        (_gone, "No such file"),
        (_objects, "Unsupported global: GLOBAL types.SimpleNamespace"),
    ],
)
def test_a_download_that_fails_is_reported_and_leaves_nothing(
    folder: Path,
    published: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    harm: object,
    message: str,
) -> None:
    harm(published, monkeypatch)  # type: ignore[operator]
    assert find_weights("auto", NAME) is None
    assert message in caplog.text
    assert caplog.records[-1].levelno == logging.WARNING
    assert not list(folder.iterdir())


@pytest.mark.parametrize("at", ["mitobench.training.tensor_files.packed", "torch.hub.download_url_to_file"])
def test_an_interrupted_download_leaves_nothing(
    folder: Path, published: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    def interrupted(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(at, interrupted)
    with pytest.raises(KeyboardInterrupt):
        find_weights("auto", NAME)
    assert not list(folder.iterdir())


def test_every_default_name_is_one_of_torchvisions() -> None:
    for name in ("VGG16", "ResNet50", "ResNet18"):
        url = torchvision.models.get_weight(f"{name}_Weights.IMAGENET1K_V1").url
        assert len(url.rpartition("-")[2]) == len("00000000.pth")  # it ends in the digits that are checked


# ---------------------------------------------------------------------------------------------- reading, copying


@pytest.fixture
def model() -> dict[str, torch.Tensor]:
    return {"conv.weight": torch.zeros(3, 2), "bn.weight": torch.zeros(3), "bn.num_batches_tracked": torch.tensor(5)}


def _write(path: Path, **shapes: tuple[int, ...]) -> Path:
    arrays = {name.replace("__", "."): np.ones(shape, np.float32) for name, shape in shapes.items()}
    if path.suffix == ".npz":
        np.savez(path, **arrays)
    else:
        save_file({name: torch.from_numpy(array) for name, array in arrays.items()}, path)
    return path


@pytest.mark.parametrize("file", ["w.npz", "w.safetensors"])
def test_tensors_are_copied_by_name(tmp_path: Path, model: dict[str, torch.Tensor], file: str) -> None:
    copy_weights(_write(tmp_path / file, conv__weight=(3, 2), bn__weight=(3,)), model)
    assert model["conv.weight"].eq(1).all()
    assert model["bn.weight"].eq(1).all()


def test_a_view_of_a_parameter_takes_its_tensor_in_another_shape(tmp_path: Path) -> None:
    convolution = torch.nn.Conv2d(2, 3, 4)
    copy_weights(_write(tmp_path / "w.npz", fc__weight=(3, 32)), {"fc.weight": convolution.weight.flatten(1)})
    assert convolution.weight.eq(1).all()


@pytest.mark.parametrize("counters", [{}, {"bn__num_batches_tracked": ()}])
def test_files_may_or_may_not_have_the_counters_of_batch_normalisation(
    tmp_path: Path, model: dict[str, torch.Tensor], counters: dict[str, tuple[int, ...]]
) -> None:
    copy_weights(_write(tmp_path / "w.npz", conv__weight=(3, 2), bn__weight=(3,), **counters), model)
    assert model["bn.num_batches_tracked"] == 5


def test_all_mismatches_are_listed_and_nothing_is_copied(tmp_path: Path, model: dict[str, torch.Tensor]) -> None:
    path = _write(tmp_path / "w.npz", conv__weight=(3, 3), fc__weight=(2,), conv__bias=(3,))
    model["fc.weight"] = torch.zeros(2)
    with pytest.raises(PluginError) as error:
        copy_weights(path, model)
    for message in (str(path), "missing bn.weight", "unexpected conv.bias", "conv.weight is (3, 3), must be (3, 2)"):
        assert message in str(error.value)
    assert not any(tensor.any() for name, tensor in model.items() if name != "bn.num_batches_tracked")


def test_unused_tensors_are_ignored_and_a_dot_means_a_whole_layer(
    tmp_path: Path, model: dict[str, torch.Tensor]
) -> None:
    shapes = {"conv__weight": (3, 2), "bn__weight": (3,), "fc__weight": (9,), "fc__bias": (9,), "fc2__bias": (9,)}
    path = _write(tmp_path / "w.npz", **shapes)
    copy_weights(path, model, unused=["fc.", "fc2.bias"])
    for unused in (["fc."], ["fc"], ["fc.weight", "fc.bias"]):
        with pytest.raises(PluginError, match=r"unexpected fc2\.bias"):
            copy_weights(path, model, unused)


@pytest.mark.parametrize("file", ["w.npz", "w.safetensors"])
def test_a_corrupt_file_is_reported(tmp_path: Path, file: str) -> None:
    path = _write(tmp_path / file, conv__weight=(3, 2))
    for content in (b"", b"not weights", path.read_bytes()[:-40]):
        path.write_bytes(content)
        with pytest.raises(PluginError, match=rf"{file}: cannot be read as {path.suffix}: "):
            read_tensors(path)


@pytest.mark.parametrize("array", [np.array([{"a": 1}], dtype=object), np.array(["text"])], ids=["objects", "text"])
def test_an_npz_that_contains_objects_or_text_is_rejected(tmp_path: Path, array: np.ndarray) -> None:
    np.savez(tmp_path / "w.npz", weight=array)
    with pytest.raises(PluginError, match="cannot be read"):
        read_tensors(tmp_path / "w.npz")


@pytest.mark.parametrize(
    "values", [np.array([1, 2], np.int8), np.array([1.0, np.nan], np.float32)], ids=["whole", "nan"]
)
def test_weights_that_are_not_finite_floats_are_rejected(tmp_path: Path, values: np.ndarray) -> None:
    np.savez(tmp_path / "w.npz", bias=values)
    with pytest.raises(PluginError, match="bias contains values that are not finite numbers"):
        copy_weights(tmp_path / "w.npz", {"bias": torch.zeros(2)})


def test_a_network_that_the_weights_do_not_fit_starts_at_random_and_logs_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pretrained._warn_of_other_network.cache_clear()  # it warns once per process, and another test may have caused it
    assert find_weights("auto", "ResNet18_Weights.IMAGENET1K_V1", fits=False) is None
    assert "does not fit the network" in caplog.text
