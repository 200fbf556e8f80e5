"""Fixtures of the detectors' tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmdet_scene import make_sample

from mitobench.api import Context, Sample


@pytest.fixture
def samples() -> list[Sample]:
    rng = np.random.default_rng(0)
    return [
        make_sample([(int(x), int(y)) for x, y in rng.integers(20, 140, (2, 2))], masks=True, name=f"f{i}")
        for i in range(4)
    ]


@pytest.fixture
def context(tmp_path: Path) -> Callable[..., Context]:
    def make(folder: str = "work", **changes: Any) -> Context:
        return Context(seed=0, device="cpu", work=tmp_path / folder, **changes)

    return make


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
