"""One run of the toys, packed, for all tests of models."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from model.made import Made, only_toys, run_and_pack


@pytest.fixture(scope="session")
def made(small_data: Path, toy_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A record of toys with its store and model; to be read only."""
    with only_toys(toy_environment):
        return run_and_pack(tmp_path_factory.mktemp("made"), small_data)


@pytest.fixture
def folder(made: Made, tmp_path: Path) -> Path:
    """A model folder to be changed."""
    return Path(shutil.copytree(made.model, tmp_path / "copied"))
