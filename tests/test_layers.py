"""Every package and module of mitobench imports only those listed for it, and plugins only the plugin API."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
CORE = ROOT / "mitobench"
LEAF = {"errors", "foreign", "atomic", "registry", "content", "compute", "device", "weights_search"}
LEAF |= {"file_cache", "content_cache", "hub", "mpp"}

MAY_IMPORT = {
    "foreign": {"errors"},
    "atomic": {"errors", "foreign"},
    "registry": {"errors", "foreign"},
    "content": {"errors", "foreign"},
    "file_cache": {"errors", "foreign"},
    "content_cache": {"file_cache"},
    "hub": {"errors", "foreign"},
    "slides.reader": {"errors", "foreign", "file_cache", "mpp"},
    "slides.overview": {"errors", "slides.reader"},
    "slides.tissue": {"slides.overview", "slides.reader"},
    "slides.areas": {"errors"},
    "slides.hotspot": {"slides.areas", "slides.tissue"},
    "slides.heatmap": {"atomic", "slides.areas", "slides.tissue"},
    "slides.appearance": {"errors", "slides.reader", "slides.tissue"},
    "api": {"errors", "foreign", "content"},
    "cards": {"errors", "foreign", "registry"},
    "discovery": {"errors", "foreign", "registry", "cards", "api", "installing"},
    "published": {"errors", "foreign", "registry"},
    "compute": set(),
    "mpp": set(),
    "device": {"compute", "errors"},
    "weights_search": set(),
    "installing": set(),
    "methods": {"api", "content", "discovery", "foreign"},
    "training": {*LEAF, "api"},
    "datasets": {*LEAF, "api", "discovery", "slides.reader"},
    "evaluate": {"errors", "foreign", "api"},
    "pipeline": {*LEAF, "api", "discovery", "training", "datasets", "evaluate"},
    "results": {*LEAF, "api", "discovery", "datasets", "evaluate", "pipeline"},
    "report": {*LEAF, "published", "evaluate", "results", "pipeline.canonical", "datasets.fold_names"},
    "gallery": {*LEAF, "api", "datasets", "evaluate", "pipeline", "results", "report"},
    "model": {
        *LEAF,
        "installing",
        "__version__",
        "api",
        "slides",
        "training.export",
        "discovery",
        "datasets",
        "evaluate",
        "pipeline",
        "results",
        "report",
        "gallery",
    },
    "reading": {*LEAF, "discovery", "datasets", "pipeline"},
    "benchmark": {*LEAF, "api", "discovery", "datasets", "evaluate", "pipeline", "results", "reading"},
    "interface": {*LEAF, "api", "model", "pipeline", "slides", "benchmark", "folding"},
    "folding": {*LEAF, "datasets", "reading", "benchmark"},
    "validation": {*LEAF, "discovery", "pipeline", "results", "benchmark"},
    "reproduce": {*LEAF, "api", "discovery", "training", "datasets", "pipeline", "results", "benchmark"},
    "experiments": {
        *LEAF,
        "published",
        "discovery",
        "datasets",
        "pipeline",
        "results",
        "report",
        "benchmark",
        "folding",
        "reading",
    },
}


def imports(path: Path) -> set[str]:
    """Returns the modules that a file imports, at its top level or anywhere else."""
    modules: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules |= {f"{node.module}.{alias.name}" for alias in node.names}
    return modules


def files(package: str) -> list[Path]:
    """Returns the files of a package, or the file of a module."""
    folder = CORE / package.replace(".", "/")
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_imports_only_what_is_listed_for_it(package: str) -> None:
    allowed = {f"mitobench.{name}" for name in (*MAY_IMPORT[package], package)}
    for path in files(package):
        for module in imports(path):
            listed = any(module == name or module.startswith(f"{name}.") for name in allowed)
            assert listed or not module.startswith("mitobench"), f"{path.relative_to(ROOT)} imports {module}"


def test_the_built_in_methods_are_plugins_that_nothing_imports() -> None:
    """They are found by their entry points, like all plugins, and import no module above `discovery` (test above)."""
    for path in CORE.rglob("*.py"):
        if path.parent != CORE / "methods":
            assert not any(module.startswith("mitobench.methods") for module in imports(path)), path


# The tests of a plugin may import anything, for example `mitobench.contract`.
PLUGIN_FILES = [path for path in sorted((ROOT / "plugins").rglob("*.py")) if "tests" not in path.parts]


@pytest.mark.parametrize("path", PLUGIN_FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_plugin_imports_only_the_interfaces_and_the_training_loop(path: Path) -> None:
    for module in imports(path):
        if module.partition(".")[0] == "mitobench":
            assert module.startswith(("mitobench.api", "mitobench.training")), module


@pytest.mark.parametrize("module", ["mmcv", "mmdet"])
def test_only_the_mmdet_plugin_imports_it(module: str) -> None:
    for path in [*CORE.rglob("*.py"), *(ROOT / "plugins").rglob("*.py")]:
        if "mmdet" not in path.parts:
            assert not any(name.partition(".")[0] == module for name in imports(path)), path


ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def first_cells(heading: str) -> str:
    """Returns the first column of the table below a heading of docs/architecture.md."""
    section = ARCHITECTURE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return "\n".join(line.split("|")[1] for line in section.splitlines() if line.startswith("|"))


def test_the_table_of_the_pipeline_lists_all_of_its_files() -> None:
    paths = (path.relative_to(CORE / "pipeline").as_posix() for path in files("pipeline"))
    assert sorted(re.findall(r"`(.+?)`", first_cells("`pipeline/`, file by file"))) == sorted(
        path for path in paths if not path.endswith("__init__.py")
    )


def test_the_table_of_packages_lists_all_packages_and_modules() -> None:
    listed = {name.rstrip("/") for name in re.findall(r"`(.+?)`", first_cells("Packages and modules"))}
    packages = {path.parent.name for path in CORE.glob("*/__init__.py")}
    modules = {path.name for path in CORE.glob("*.py") if path.name != "__init__.py"}
    assert packages | modules <= listed
