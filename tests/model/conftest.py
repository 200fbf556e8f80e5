"""One packed run of the toy plugins, for all tests of models."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from model.toy_models import PackedRun, only_toys, run_and_pack


@pytest.fixture(scope="session")
def packed_run(
    small_data: Path, toy_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> PackedRun:
    """A record of toy plugins with its store and model. Tests must not change it."""
    with only_toys(toy_environment):
        return run_and_pack(tmp_path_factory.mktemp("packed_run"), small_data)


@pytest.fixture
def folder(packed_run: PackedRun, tmp_path: Path) -> Path:
    """A copy of the model folder that a test may change."""
    return Path(shutil.copytree(packed_run.model, tmp_path / "copied"))
