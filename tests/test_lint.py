"""The checks of style say the same whatever folders were made in the checkout: by the demo, a build, a leaderboard."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
CODE = ("mitobench", "plugins", "tests", "benchmarks")
RUFF = Path(sysconfig.get_path("scripts")) / "ruff"


def imported() -> set[str]:
    """The first part of every module's name that any file imports, but for our own packages."""
    names = set()
    for path in (path for folder in CODE for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.partition(".")[0])
    return {name for name in names if not name.startswith("mitobench")}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of all code, in which every name that is imported anywhere is a folder, and runs/ holds bad code."""
    if not RUFF.is_file():
        pytest.skip("ruff is not installed")
    for folder in CODE:
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__", "*.safetensors"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for name in (*imported(), "runs", "build", "dist"):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "record.json").write_text("{}")
    for name in ("runs", "build", "dist"):
        (tmp_path / name / "test_bad.py").write_text("import sys, os\nassert  False\n")
    return tmp_path


@pytest.mark.thorough
def test_ruff_is_not_misled_by_folders(checkout: Path) -> None:
    for command in (["check", "--select", "I"], ["format", "--check"]):
        done = subprocess.run([RUFF, *command, "."], cwd=checkout, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout[:4000] + done.stderr


@pytest.mark.thorough
def test_pytest_collects_nothing_of_them(checkout: Path) -> None:
    for folder in ("tests", "plugins"):
        shutil.rmtree(checkout / folder)
        (checkout / folder).mkdir()
    (checkout / "tests" / "test_good.py").write_text("def test_good():\n    pass\n")
    command = [sys.executable, "-m", "pytest", "-q", "--collect-only", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines()[0] == "tests/test_good.py::test_good", done.stdout + done.stderr


def test_mypy_reads_our_own_packages_only() -> None:
    """What it is given are folders by name; nothing that is made beside them is among them, and builds are left out."""
    tomllib = pytest.importorskip("tomllib")
    mypy = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]
    assert mypy["files"] == ["mitobench", "plugins"]
    assert "/build/" in mypy["exclude"]
    packages = {f"plugins/{path.parent.name}" for path in (ROOT / "plugins").glob("*/pyproject.toml")}
    assert set(mypy["mypy_path"].split(":")) == packages
