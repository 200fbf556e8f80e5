"""Leaderboards of records that real runs of toy plugins wrote."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import tiny_runs

CORE_FUSERS = ("detector-only", "linear", "logit-linear", "verifier-only")


@pytest.fixture(scope="session")
def toy_records(
    small_data: Path, tmp_path_factory: pytest.TempPathFactory, toy_environment: dict[str, str]
) -> list[Path]:
    """The files of two seeds of one combination; do not change them."""
    return tiny_runs.board(small_data, tmp_path_factory.mktemp("board"), toy_environment)


@pytest.fixture(scope="session")
def core_records(
    small_data: Path, tmp_path_factory: pytest.TempPathFactory, toy_environment: dict[str, str]
) -> dict[str, Path]:
    """A record of each fuser of the core package, by its name; do not change them."""
    paths = tiny_runs.board(
        small_data,
        tmp_path_factory.mktemp("core"),
        toy_environment,
        roles={"fuser": list(CORE_FUSERS)},
        sets=["fuser.linear.calibration=platt"],
        seeds=[0],
    )
    return {json.loads(path.read_text())["combination"]["fuser"]: path for path in paths}


@pytest.fixture
def records(toy_records: list[Path], tmp_path: Path) -> Path:
    """A folder with copies of both toy records."""
    return Path(shutil.copytree(toy_records[0].parent, tmp_path / "board" / "records"))


@pytest.fixture
def path(records: Path) -> Path:
    """The first of the two."""
    return sorted(records.glob("*.json"))[0]
