"""State dicts are read as tensors; any other object is refused, with nothing of it run."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from mitobench.errors import PluginError
from mitobench.training import read_state_dict, tensor_files

STATE = {"conv.weight": torch.arange(6.0).reshape(2, 3), "conv.bias": torch.ones(2)}


def _saved(path: Path, content: Any, **options: Any) -> Path:
    torch.save(content, path, **options)
    return path


@pytest.mark.parametrize(
    "content",
    [
        STATE,
        {name: nn.Parameter(tensor) for name, tensor in STATE.items()},
        {"state_dict": STATE, "epoch": 3},
        {"epoch": 3, "model": STATE, "optimizer": {"lr": 0.1}},
        {"teacher": STATE},
    ],
    ids=["plain", "parameters", "state_dict", "model", "teacher"],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_a_state_dict_is_found_at_any_usual_place(tmp_path: Path, content: Any, zipped: bool) -> None:
    path = _saved(tmp_path / "w.pth", content, _use_new_zipfile_serialization=zipped)
    found = read_state_dict(path)
    assert {name: tensor.tolist() for name, tensor in found.items()} == {n: t.tolist() for n, t in STATE.items()}


def test_a_key_chooses_one_of_several(tmp_path: Path) -> None:
    path = _saved(tmp_path / "w.pth", {"model": STATE, "slow": {"a": torch.zeros(1)}})
    assert list(read_state_dict(path, "slow")) == ["a"]
    with pytest.raises(PluginError, match=r"w\.pth: 'fast' holds no tensors.*Entries with tensors: model, slow\."):
        read_state_dict(path, "fast")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"epoch": 3}, "holds no state dict at a known place. Entries with tensors: none"),
        ([torch.zeros(2)], "holds a list, not a state dict"),
        (torch.zeros(2), "holds a Tensor, not a state dict"),
    ],
)
def test_a_file_without_a_state_dict_is_refused(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(PluginError, match=message):
        read_state_dict(_saved(tmp_path / "w.pt", content))


class Trap:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> Any:
        return (exec, ("import pathlib; pathlib.Path('sprung').touch()",))


@pytest.mark.parametrize("content", [Trap(), {"a": Trap()}, SimpleNamespace(), nn.Linear(1, 1)])
def test_objects_are_refused_and_no_code_is_run(tmp_path: Path, content: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in (_saved(tmp_path / "w.pth", content), tmp_path / "plain.pth"):
        if not path.exists():
            path.write_bytes(pickle.dumps(content, protocol=2))
        with pytest.raises(PluginError, match="cannot be read as a state dict of tensors: ") as error:
            read_state_dict(path)
        assert "weights_only=False" not in str(error.value)
    assert not (tmp_path / "sprung").exists()


def test_a_damaged_or_empty_file_is_reported(tmp_path: Path) -> None:
    path = _saved(tmp_path / "w.pth", STATE)
    for content in (b"", b"not weights", path.read_bytes()[:-40]):
        path.write_bytes(content)
        with pytest.raises(PluginError, match=r"w\.pth: cannot be read as a state dict"):
            read_state_dict(path)


def test_a_file_that_grows_when_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensor_files, "MAX_WEIGHTS_BYTES", 10_000)
    many = _saved(tmp_path / "view.pth", {"a": torch.zeros(1).expand(1_000, 1_000)})
    with pytest.raises(PluginError, match="its tensors have more than 10,000 bytes"):
        read_state_dict(many)
    with zipfile.ZipFile(tmp_path / "packed.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(20_000))
    with pytest.raises(PluginError, match="more than 10,000 bytes unpacked"):
        read_state_dict(tmp_path / "packed.pth")
    with pytest.raises(PluginError, match="has at most 10,000"):
        read_state_dict(_saved(tmp_path / "large.pth", {"a": torch.zeros(10_000)}))
