"""One run of the toys, packed, for all tests of models."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from model.toy_models import PackedRun, only_toys, run_and_pack


@pytest.fixture(scope="session")
def packed_run(
    small_data: Path, toy_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> PackedRun:
    """A record of toys with its store and model; to be read only."""
    with only_toys(toy_environment):
        return run_and_pack(tmp_path_factory.mktemp("packed_run"), small_data)


@pytest.fixture
def folder(packed_run: PackedRun, tmp_path: Path) -> Path:
    """A model folder to be changed."""
    return Path(shutil.copytree(packed_run.model, tmp_path / "copied"))
