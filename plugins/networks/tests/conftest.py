"""Fixtures of the verifiers' tests."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from verifier_scene import sample

from mitobench.api import Context, Sample


@pytest.fixture
def samples() -> list[Sample]:
    return [sample(seed) for seed in range(4)]


@pytest.fixture
def context(tmp_path: Path) -> Context:
    work = tmp_path / "work"
    work.mkdir()
    return Context(seed=3, device="cpu", work=work, log=logging.getLogger("test"))


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
