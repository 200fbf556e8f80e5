"""Saved weights are loaded unchanged; mismatched tensors are listed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from mitobench.errors import PluginError
from mitobench.training import load_weights, save_weights
from mitobench.training.weights import packed


def test_a_round_trip_keeps_parameters_and_buffers(tmp_path: Path) -> None:
    one, other = (nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)) for _ in range(2))
    one(torch.rand(4, 2))
    save_weights(one, tmp_path)
    load_weights(other, tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


class Tied(nn.Module):
    """An autoencoder whose decoder is its encoder transposed, and a head under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.head = nn.Linear(6, 4), nn.Linear(4, 2)
        self.again = self.head
        self.decoder = nn.Linear(4, 6, bias=False)
        self.decoder.weight = nn.Parameter(self.encoder.weight.data.T)
        self.register_buffer("part", self.encoder.weight.data[:2])


def test_tied_weights_are_saved_and_tied_again_when_loaded(tmp_path: Path) -> None:
    one, other = Tied(), Tied()
    save_weights(one, tmp_path)
    load_weights(other, tmp_path)
    for name, tensor in one.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor), name
    assert other.again.weight is other.head.weight
    with torch.no_grad():
        other.head.weight.fill_(7)
        other.encoder.weight.fill_(3)
    assert (other.again.weight == 7).all()
    assert (other.decoder.weight == 3).all()
    assert (other.part == 3).all()


def test_mismatched_tensors_are_listed(tmp_path: Path) -> None:
    save_weights(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)), tmp_path)
    other = nn.Sequential(nn.Linear(2, 4), nn.Identity(), nn.Linear(3, 1))
    with pytest.raises(PluginError) as error:
        load_weights(other, tmp_path)
    for message in ("missing 2.weight", "unexpected 1.bias", "0.weight is (3, 2), must be (4, 2)"):
        assert message in str(error.value)


def test_a_file_that_is_not_safetensors_is_reported(tmp_path: Path) -> None:
    (tmp_path / "weights.safetensors").write_bytes(b"not weights")
    with pytest.raises(PluginError, match="cannot be read"):
        load_weights(nn.Linear(1, 1), tmp_path)


def test_tensors_that_share_memory_in_any_way_are_stored_apart(tmp_path: Path) -> None:
    base = torch.arange(12.0).reshape(3, 4)
    tensors = {
        "part": base[:2],
        "whole": base,
        "turned": base.T,
        "column": base[:, 1],
        "expanded": torch.ones(1).expand(3),
        "empty": torch.zeros(0),
        "empty too": torch.zeros(0, 3),
    }
    (tmp_path / "w.safetensors").write_bytes(packed(tensors))
    found = load_file(tmp_path / "w.safetensors")
    assert {name: tensor.tolist() for name, tensor in found.items()} == {n: t.tolist() for n, t in tensors.items()}
    assert (tmp_path / "w.safetensors").stat().st_size < 2_000, "a part is stored without the rest of its memory"
