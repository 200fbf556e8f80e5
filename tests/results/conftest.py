"""A leaderboard of whole records: two seeds of one combination of toys."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import tiny_runs


@pytest.fixture(scope="session")
def toy_records(
    small_data: Path, tmp_path_factory: pytest.TempPathFactory, toy_environment: dict[str, str]
) -> list[Path]:
    """The files of the two records; not to be changed."""
    return tiny_runs.board(small_data, tmp_path_factory.mktemp("board"), toy_environment)


@pytest.fixture
def records(toy_records: list[Path], tmp_path: Path) -> Path:
    """A folder with copies of both."""
    return Path(shutil.copytree(toy_records[0].parent, tmp_path / "board" / "records"))


@pytest.fixture
def path(records: Path) -> Path:
    """The first of them."""
    return sorted(records.glob("*.json"))[0]
