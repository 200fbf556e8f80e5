"""Each room knows only those before it. Read from the imports of every file."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = ROOT / "mitobench"
LEAF = {"errors", "foreign", "atomic", "registry", "content", "compute"}

MAY_KNOW = {
    "foreign": {"errors"},
    "atomic": {"errors", "foreign"},
    "registry": {"errors", "foreign"},
    "content": {"errors", "foreign"},
    "api": {"errors", "foreign", "content"},
    "discovery": {"errors", "foreign", "registry", "api"},
    "published": {"errors", "foreign", "registry"},
    "compute": set(),
    "methods": {"api"},
    "training": {*LEAF, "api"},
    "datasets": {*LEAF, "api", "discovery"},
    "evaluate": {"errors", "foreign", "api"},
    "pipeline": {*LEAF, "api", "discovery", "training", "datasets", "evaluate"},
    "results": {*LEAF, "api", "discovery", "datasets", "evaluate", "pipeline"},
    "report": {*LEAF, "published", "evaluate", "results", "pipeline.canonical"},
    "gallery": {*LEAF, "api", "datasets", "evaluate", "pipeline", "results", "report"},
    "model": {*LEAF, "api", "discovery", "datasets", "evaluate", "pipeline", "results", "report", "gallery"},
    "benchmark": {*LEAF, "api", "discovery", "datasets", "evaluate", "pipeline", "results"},
    "reproduce": {*LEAF, "discovery", "training", "datasets", "pipeline", "results", "benchmark"},
    "experiments": {*LEAF, "published", "discovery", "datasets", "pipeline", "results", "report", "benchmark"},
}


def imports(path: Path) -> set[str]:
    """The modules that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def files(room: str) -> list[Path]:
    folder = CORE / room
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [CORE / f"{room}.py"]


@pytest.mark.parametrize("room", MAY_KNOW)
def test_a_room_knows_only_those_before_it(room: str) -> None:
    allowed = {f"mitobench.{name}" for name in (*MAY_KNOW[room], room)}
    for path in files(room):
        for module in imports(path):
            known = any(module == name or module.startswith(f"{name}.") for name in allowed)
            assert known or not module.startswith("mitobench"), f"{path.relative_to(ROOT)} imports {module}"


def test_the_cores_own_methods_are_plugins_too_and_found_by_their_entry_points_alone() -> None:
    """They import `mitobench.api` only (above), and nothing imports them."""
    for path in CORE.rglob("*.py"):
        if path.parent != CORE / "methods":
            assert not any(module.startswith("mitobench.methods") for module in imports(path)), path


# A plugin's tests may use the contract, and whatever else.
PLUGIN_FILES = [path for path in sorted((ROOT / "plugins").rglob("*.py")) if "tests" not in path.parts]


@pytest.mark.parametrize("path", PLUGIN_FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_plugin_knows_the_interfaces_and_the_training_loop_only(path: Path) -> None:
    for module in imports(path):
        if module.partition(".")[0] == "mitobench":
            assert module.startswith(("mitobench.api", "mitobench.training")), module


@pytest.mark.parametrize("module", ["mmcv", "mmdet"])
def test_nothing_but_the_mmdet_plugin_knows_it(module: str) -> None:
    for path in [*CORE.rglob("*.py"), *(ROOT / "plugins").rglob("*.py")]:
        if "mmdet" not in path.parts:
            assert not any(name.partition(".")[0] == module for name in imports(path)), path
