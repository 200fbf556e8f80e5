"""`weights convert`: a .caffemodel becomes a file that training can start from, or nothing is written."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from caffe_bytes import four_axes, layer_v1, network

from mitobench.training.pretrained import copy_weights, find_weights, read_tensors


@pytest.fixture
def caffemodel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A network of one convolution and two inner products; the weights folder is beside it."""
    monkeypatch.setenv("MITOBENCH_WEIGHTS", str(tmp_path / "weights"))
    path = tmp_path / "VGG_CNN_M_1024.caffemodel"
    path.write_bytes(
        network(
            layer_v1("conv1", "conv", four_axes((2, 3, 1, 1), range(6)), four_axes((2,), (8, 9))),
            layer_v1("fc6", "fc", four_axes((2, 2), (1, 2, 3, 4)), four_axes((2,), (5, 6))),
            layer_v1("fc8", "fc", four_axes((1, 2), (1, 2)), four_axes((1,), (3,))),
        )
    )
    return path


def test_it_is_written_beside_the_caffemodel_and_shown(mitobench: Callable[..., Any], caffemodel: Path) -> None:
    answer = mitobench("weights", "convert", caffemodel)
    assert answer.code == 0
    written = caffemodel.with_suffix(".safetensors")
    tensors = read_tensors(written)
    assert {name: tuple(tensor.shape) for name, tensor in tensors.items()} == {
        "conv1.weight": (2, 3, 1, 1),
        "conv1.bias": (2,),
        "fc6.weight": (2, 2),
        "fc6.bias": (2,),
        "fc8.weight": (1, 2),
        "fc8.bias": (1,),
    }
    np.testing.assert_array_equal(tensors["fc6.weight"], [[1, 2], [3, 4]])
    rows = [line.split(maxsplit=2) for line in answer.out.splitlines()]
    for row in (["conv1", "weight", "2 x 3 x 1 x 1"], ["fc6", "weight", "2 x 2"], ["fc8", "bias", "1"]):
        assert row in [[cell.strip() for cell in cells] for cells in rows]
    assert hashlib.sha256(written.read_bytes()).hexdigest() in answer.out
    assert str(written) in answer.out


def test_auto_finds_it_where_the_command_says(mitobench: Callable[..., Any], caffemodel: Path, tmp_path: Path) -> None:
    wanted = tmp_path / "weights" / "vgg_cnn_m_1024.safetensors"
    answer = mitobench("weights", "convert", caffemodel, "--out", wanted)
    assert f"looks for {wanted}" in answer.out
    assert find_weights("auto", "vgg_cnn_m_1024") == wanted
    weight, bias = torch.zeros(2, 3, 1, 1), torch.zeros(2)
    copy_weights(wanted, {"conv1.weight": weight, "conv1.bias": bias}, unused=("fc6.", "fc8."))
    assert weight.flatten().tolist() == [0, 1, 2, 3, 4, 5]
    assert bias.tolist() == [8, 9]


def test_the_same_file_twice_is_the_same_file(mitobench: Callable[..., Any], caffemodel: Path, tmp_path: Path) -> None:
    for name in ("one", "other"):
        mitobench("weights", "convert", caffemodel, "--out", tmp_path / f"{name}.safetensors")
    assert (tmp_path / "one.safetensors").read_bytes() == (tmp_path / "other.safetensors").read_bytes()


def test_a_broken_file_writes_nothing_and_leaves_existing_files(
    mitobench: Callable[..., Any], caffemodel: Path, tmp_path: Path
) -> None:
    written = tmp_path / "kept.safetensors"
    written.write_bytes(b"from before")
    caffemodel.write_bytes(caffemodel.read_bytes()[:-1])
    answer = mitobench("weights", "convert", caffemodel, "--out", written)
    assert answer.code == 2
    assert f"{caffemodel}: is not a .caffemodel" in answer.err
    assert "Traceback" not in answer.err
    assert written.read_bytes() == b"from before"
    assert sorted(path.name for path in tmp_path.iterdir()) == [caffemodel.name, written.name]


def test_an_unwritable_output_path_is_reported(mitobench: Callable[..., Any], caffemodel: Path, tmp_path: Path) -> None:
    answer = mitobench("weights", "convert", caffemodel, "--out", caffemodel / "below" / "it.safetensors")
    assert answer.code == 2
    assert "cannot be written" in answer.err
    assert list(tmp_path.iterdir()) == [caffemodel]


@pytest.mark.parametrize("out", ["VGG_CNN_M_1024.caffemodel", "weights.npz", "weights"])
def test_no_other_ending_and_never_over_the_caffemodel(
    mitobench: Callable[..., Any], caffemodel: Path, tmp_path: Path, out: str
) -> None:
    before = caffemodel.read_bytes()
    answer = mitobench("weights", "convert", caffemodel, "--out", tmp_path / out)
    assert answer.code == 2
    assert f"--out {tmp_path / out}: must end in .safetensors" in answer.err
    assert list(tmp_path.iterdir()) == [caffemodel]
    assert caffemodel.read_bytes() == before


def test_a_file_that_is_not_there_is_reported(mitobench: Callable[..., Any], tmp_path: Path) -> None:
    for path, message in ((tmp_path / "absent.caffemodel", "cannot be read"), (".", "is a directory")):
        answer = mitobench("weights", "convert", path)
        assert answer.code == 2
        assert f"{path}: {message}" in answer.err


def test_help_shows_an_example(mitobench: Callable[..., Any]) -> None:
    assert "mitobench weights convert VGG_CNN_M_1024.caffemodel" in mitobench("weights", "convert", "--help").out
