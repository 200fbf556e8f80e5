"""Small data sets in the real layouts, and the real data sets if they are available."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mitobench.api import Mitoses
from mitobench.datasets import mitos2012, mitos2014

SIDE = 40


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)


@pytest.fixture
def masks() -> tuple[np.ndarray, ...]:
    """Two mitoses: a 2 x 2 square around (10.5, 20.5) and the pixel (30, 5)."""
    return np.array([[10, 20], [11, 20], [10, 21], [11, 21]]), np.array([[30, 5]])


@pytest.fixture
def write2012(tmp_path: Path, pixels: np.ndarray, masks: tuple[np.ndarray, ...]) -> Callable[..., Path]:
    """Writes frames of these ids, each with two mitoses; returns the folder."""
    root = tmp_path / "data"

    def write(*ids: str, part: str = "train") -> Path:
        frames = ((id, pixels, Mitoses(np.array([[10.5, 20.5], [30, 5]]), masks), part) for id in ids)
        mitos2012.write(root, frames)
        return root

    return write


@pytest.fixture
def write2014(tmp_path: Path, pixels: np.ndarray) -> Callable[..., Path]:
    """Writes frames of these ids, each with one mitosis and two imposters; returns the folder."""
    root = tmp_path / "data"

    def write(*ids: str, labelled: bool = True) -> Path:
        mitoses = Mitoses(np.array([[7.0, 9.0]]), imposters=np.array([[1.0, 2.0], [3.5, 4.25]]), labelled=labelled)
        mitos2014.write(root, ((id, pixels, mitoses, None) for id in ids))
        return root

    return write


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of the real data; skips the test if there is none."""
    given = os.environ.get("MITOBENCH_DATA")
    root = Path(given) if given else Path(__file__).resolve().parents[3] / "shared" / "data"
    if not (root / "mitos2012").is_dir():
        pytest.skip("no real frames: set MITOBENCH_DATA or put them in ../shared/data")
    return root
