"""What a release is checked for, and the rows that are shown of a branch's records."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import pytest

from mitobench import __version__
from mitobench.results.folder import add_records
from mitobench.results.record_files import read_bytes, record_files

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def contents() -> ModuleType:
    spec = importlib.util.spec_from_file_location("release_contents", ROOT / ".ci" / "release_contents.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def wheel(dist: Path, name: str, files: Iterable[str], version: str = __version__) -> None:
    with zipfile.ZipFile(dist / f"{name}-{version}-py3-none-any.whl", "w") as file:
        for held in files:
            file.writestr(held, "")


@pytest.fixture
def dist(tmp_path: Path, contents: ModuleType) -> Path:
    """A folder with the files of a release."""
    licence = f"{__version__}.dist-info/licenses"
    wheel(tmp_path, "mitobench", [f"mitobench-{licence}/{name}" for name in contents.LICENCES])
    for name in ("mitobench_networks", "mitobench_mmdet"):
        wheel(tmp_path, name, [f"{name}-{licence}/LICENSE"])
    with tarfile.open(tmp_path / f"mitobench-{__version__}.tar.gz", "w:gz") as file:
        file.add(ROOT / "pyproject.toml", f"mitobench-{__version__}/pyproject.toml")
    return tmp_path


def test_a_whole_release_passes(dist: Path, contents: ModuleType) -> None:
    assert contents.problems(dist) == []


def test_other_versions_without_a_heading_in_the_changelog_are_found(dist: Path, contents: ModuleType) -> None:
    (dist / f"mitobench_mmdet-{__version__}-py3-none-any.whl").unlink()
    wheel(dist, "mitobench_mmdet", ["mitobench_mmdet-99.1.dist-info/licenses/LICENSE"], "99.1")
    found = "\n".join(contents.problems(dist))
    assert f"Versions differ: {__version__}, 99.1" in found
    assert "CHANGELOG.md has no heading ## [99.1]" in found
    assert "CITATION.cff: its version is not 99.1" in found


def test_a_missing_licence_a_missing_wheel_and_tests_in_a_wheel_are_found(dist: Path, contents: ModuleType) -> None:
    name = f"mitobench_networks-{__version__}-py3-none-any.whl"
    wheel(dist, "mitobench_networks", ["tests/test_all.py"])
    assert contents.problems(dist) == [
        f"{name} lacks LICENSE.",
        f"{name} holds tests/test_all.py, which is not part of a release.",
    ]
    (dist / name).unlink()
    assert "one wheel each of" in contents.problems(dist)[0]


@pytest.mark.slow
def test_the_rows_of_a_branch_are_those_of_its_new_records(tmp_path: Path) -> None:
    git = ["git", "-C", tmp_path, "-c", "user.name=a", "-c", "user.email=a@b"]
    first, second = sorted(
        path
        for path in record_files(ROOT / "leaderboard" / "records")
        if path.name.startswith("mitos2012-official-heatmap_tf_efficientnet_lite0-efficientnet-lite0-")
    )[:2]
    records = tmp_path / "leaderboard" / "records"
    for folder in (records, tmp_path / ".ci"):
        folder.mkdir(parents=True)
    shutil.copy(ROOT / ".ci" / "new-rows", tmp_path / ".ci")
    for number, record in enumerate((first, second)):
        add_records([record], records)
        for command in (["init", "-q"], ["add", "."], ["commit", "-qm", str(number)]):
            subprocess.run([*git, *command], check=True)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    def rows(base: str) -> str:
        command = [tmp_path / ".ci" / "new-rows", base]
        return subprocess.run(
            command, check=True, capture_output=True, text=True, env={**os.environ, "PATH": path}
        ).stdout

    assert rows("HEAD") == "This branch adds no record.\n"
    shown = rows("HEAD~1")
    assert "+ efficientnet-lite0 + logit-linear" in shown
    f1 = json.loads(read_bytes(second))["test"]["f1"]
    assert f"{f1:.3f}".lstrip("0") in shown, "its F1"
