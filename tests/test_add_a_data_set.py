"""docs/add-a-data-set.md is followed word for word: the commands of both ways, on small data."""

from __future__ import annotations

import importlib
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mitobench import datasets, discovery, registry
from mitobench.benchmark import Benchmark, Grid
from mitobench.datasets.folder_settings import FolderSettings
from mitobench.datasets.images import write_rgb

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
DOC = (ROOT / "docs" / "add-a-data-set.md").read_text(encoding="utf-8")
COMMANDS = [shlex.split(line) for line in re.findall(r"^    (.+)$", DOC, re.MULTILINE)]


def commands(heading: str) -> list[list[str]]:
    section = DOC.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return [shlex.split(line) for line in re.findall(r"^    (.+)$", section, re.MULTILINE)]


def put_images(folder: Path) -> None:
    lines = ["image,x,y,class"]
    for number in range(10):
        folder.mkdir(exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 255, (64, 64, 3), dtype=np.uint8)
        write_rgb(folder / f"{number}.png", pixels)
        lines.append(f"{number}.png,{10 + number},20,mitosis")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")


def install_package(folder: Path, install: Callable[..., None]) -> None:
    """What `pip install -e` does, without pip."""
    project = registry.read_toml(folder / "pyproject.toml")
    (module,) = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    files = {p.relative_to(folder).as_posix(): p.read_text() for p in (folder / module).rglob("*") if p.is_file()}
    meta = project["project"]
    install(meta["name"], meta["entry-points"], files, version=meta["version"], requires=meta["dependencies"])


def test_a_folder_of_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mitobench: Callable[..., Any]) -> None:
    monkeypatch.chdir(tmp_path)
    put_images(tmp_path / "my-images")
    init, check, run, folds = commands("A folder of images")
    made = mitobench(*init[1:])
    assert made.code == 0
    assert "Each image counts as a slide of its own." in made.out
    checked = mitobench(*check[1:])
    assert checked.code == 0
    assert "protocol by-slide" in checked.out
    assert "cannot be used" not in checked.out
    assert run[:2] == folds[:2] == ["mitobench", "run"]
    assert mitobench("run", "--help").code == 0


def test_every_key_of_the_settings_is_on_the_page() -> None:
    table = DOC.partition("| key |")[2].partition("\n\n")[0]
    named = {name for line in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", line.split("|")[1])}
    assert named == set(FolderSettings.model_fields)


def test_every_module_that_the_page_names_exists() -> None:
    named = re.findall(r"`(mitobench\.datasets\.\w+)`", DOC)
    assert len(named) >= 6
    for name in named:
        importlib.import_module(name)


def test_a_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mitobench: Callable[..., Any], install: Callable[..., None]
) -> None:
    monkeypatch.chdir(tmp_path)
    new, pip, check = commands("A package")
    assert mitobench(*new[1:]).code == 0
    assert pip == ["pip", "install", "-e", "my-set"]
    install_package(tmp_path / "my-set", install)
    for path in re.findall(r"`(my-set/[^`]+)`", DOC):
        assert (tmp_path / path).is_file(), path
    checked = mitobench(*check[1:])
    assert checked.code == 0, checked.out
    assert "my-set passes all checks." in checked.out


FAULTS = {  # name of the data set: what is right, what is wrong, and what the checks say
    "all-labelled": (
        "labelled=csv.is_file()",
        "labelled=True",
        "count as labelled although their annotation is missing",
    ),
    "other-size": ("header.size, header.reader", "(9, 9), header.reader", "not uint8"),
    "without-slides": ('path.stem.partition("_")[0]', '""', "has no group"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_the_checks_find_faults_of_a_reader(
    name: str, tmp_path: Path, mitobench: Callable[..., Any], install: Callable[..., None]
) -> None:
    right, wrong, complaint = FAULTS[name]
    assert mitobench("new-plugin", name, "--kind", "dataset", "--folder", tmp_path).code == 0
    code = tmp_path / name / f"mitobench_{name.replace('-', '_')}" / "__init__.py"
    assert right in code.read_text()
    code.write_text(code.read_text().replace(right, wrong))
    install_package(tmp_path / name, install)
    checked = mitobench("check-plugin", name)
    assert checked.code == 1
    assert complaint in checked.out


def test_two_third_party_data_sets_in_one_run(
    tmp_path: Path, mitobench: Callable[..., Any], install: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("north-set", "south-set"):
        mitobench("new-plugin", name, "--kind", "dataset", "--folder", tmp_path)
        install_package(tmp_path / name, install)
    monkeypatch.setenv("MITOBENCH_PACKAGES", "mitobench,mitobench-north-set,mitobench-south-set")
    discovery.found.cache_clear()
    for name in ("north-set", "south-set"):
        datasets.reader(name).write_example(tmp_path / "data")
    roles = {"estimator": ["fixed"], "detector": ["blobs"], "verifier": ["none"], "fuser": ["detector-only"]}
    (tmp_path / "tiny.toml").write_text('title = "tiny"\n')
    given = {"data": tmp_path / "data", "profile": str(tmp_path / "tiny.toml"), "device": "cpu"}
    names = ["north-set", "south-set"]
    made = Benchmark.prepare([Grid(roles)], datasets=names, train_on=names, store=tmp_path / "store", **given)
    assert sorted(row.combination.dataset for row in made.plan.rows) == names
    assert {row.combination.protocol for row in made.plan.rows} == {"by-slide"}
