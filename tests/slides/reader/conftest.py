"""Small pictures, and a cache of digests of the test's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from .pictures import picture


@pytest.fixture
def rgb() -> NDArray[np.uint8]:
    return picture()


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MITOBENCH_CACHE", str(tmp_path / "own-cache"))
