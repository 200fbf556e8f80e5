"""Weights: the same after a round trip; what does not fit is listed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from mitobench.errors import PluginError
from mitobench.training import load_weights, save_weights


def test_a_round_trip_keeps_parameters_and_buffers(tmp_path: Path) -> None:
    one, other = (nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)) for _ in range(2))
    one(torch.rand(4, 2))
    save_weights(one, tmp_path)
    load_weights(other, tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def test_what_does_not_fit_is_listed(tmp_path: Path) -> None:
    save_weights(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)), tmp_path)
    other = nn.Sequential(nn.Linear(2, 4), nn.Identity(), nn.Linear(3, 1))
    with pytest.raises(PluginError) as told:
        load_weights(other, tmp_path)
    for said in ("missing 2.weight", "unexpected 1.bias", "0.weight is (3, 2), must be (4, 2)"):
        assert said in str(told.value)


def test_a_file_that_is_no_safetensors_is_told(tmp_path: Path) -> None:
    (tmp_path / "weights.safetensors").write_bytes(b"not weights")
    with pytest.raises(PluginError, match="cannot be read"):
        load_weights(nn.Linear(1, 1), tmp_path)
