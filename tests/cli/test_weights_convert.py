"""`mitobench weights convert` turns state dicts, and formats that packages add, into safetensors."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mitobench.training import read_tensors

READER = """
import numpy as np
def read(path):
    return {"layer.weight": np.full((2, 2), len(path.read_bytes()), np.float32)}, "made for a test"
"""


@pytest.mark.parametrize("ending", [".pth", ".pt", ".bin", ".ckpt"])
def test_a_state_dict_is_converted_beside_the_file(mitobench: Callable[..., Any], tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"network{ending}"
    torch.save({"model": {"fc.weight": torch.arange(6.0).reshape(2, 3), "[red]": torch.ones(1)}, "epoch": 2}, file)
    answer = mitobench("weights", "convert", file)
    assert (answer.code, answer.err) == (0, "")
    written = tmp_path / "network.safetensors"
    assert read_tensors(written)["fc.weight"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert hashlib.sha256(written.read_bytes()).hexdigest() in answer.out
    assert f"--set ROLE.pretrained={written}" in answer.out
    assert "2 x 3" in answer.out
    assert "[red]" in answer.out


def test_key_chooses_an_entry(mitobench: Callable[..., Any], tmp_path: Path) -> None:
    torch.save({"student": {"a": torch.zeros(1)}, "slow": {"b": torch.zeros(1)}}, tmp_path / "w.pth")
    answer = mitobench("weights", "convert", tmp_path / "w.pth")
    assert answer.code == 2
    assert "Entries with tensors: student, slow. Name one with --key." in answer.err
    assert mitobench("weights", "convert", tmp_path / "w.pth", "--key", "slow").code == 0
    assert list(read_tensors(tmp_path / "w.safetensors")) == ["b"]


def test_an_existing_file_is_not_overwritten(mitobench: Callable[..., Any], tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / "w.pth")
    written = tmp_path / "w.safetensors"
    written.write_bytes(b"from before")
    answer = mitobench("weights", "convert", tmp_path / "w.pth")
    assert answer.code == 2
    assert f"{written}: exists already, and is not overwritten. Remove it, or give another --out." in answer.err
    assert written.read_bytes() == b"from before"
    assert mitobench("weights", "convert", tmp_path / "w.pth", "--out", tmp_path / "other.safetensors").code == 0


def test_a_file_with_objects_is_refused_and_nothing_is_written(mitobench: Callable[..., Any], tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(1, 1), tmp_path / "whole.pth")
    answer = mitobench("weights", "convert", tmp_path / "whole.pth")
    assert answer.code == 2
    assert "Unsupported global: GLOBAL torch.nn.modules.linear.Linear. Objects are never unpickled" in answer.err
    assert [path.name for path in tmp_path.iterdir()] == ["whole.pth"]


def test_another_ending_lists_those_that_are_known(mitobench: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "weights.h5").touch()
    answer = mitobench("weights", "convert", tmp_path / "weights.h5")
    assert answer.code == 2
    assert "the ending .h5 is not known. Available: .bin" in answer.err


def test_a_package_adds_a_format(install: Callable[..., None], mitobench: Callable[..., Any], tmp_path: Path) -> None:
    install("readers", {"mitobench.weights_formats": {"odd": "readers:read"}}, {"readers.py": READER})
    (tmp_path / "net.odd").write_bytes(b"1234")
    answer = mitobench("weights", "convert", tmp_path / "net.odd", "--out", tmp_path / "out.safetensors")
    assert answer.code == 0
    assert "made for a test" in answer.out
    assert read_tensors(tmp_path / "out.safetensors")["layer.weight"].tolist() == [[4, 4], [4, 4]]


def test_a_broken_format_is_named(install: Callable[..., None], mitobench: Callable[..., Any], tmp_path: Path) -> None:
    install(
        "torn2", {"mitobench.weights_formats": {"odd": "torn2:read"}}, {"torn2.py": "raise RuntimeError('on purpose')"}
    )
    (tmp_path / "net.odd").touch()
    answer = mitobench("weights", "convert", tmp_path / "net.odd")
    assert answer.code == 2
    assert "The reader of .odd of package torn2 1.0 is broken: RuntimeError: on purpose" in answer.err
    assert mitobench("weights", "--help").code == 0
