"""Forged scores by domain, and forged numbers of imposters and contested figures, are found from the record alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_runs

from mitobench import discovery
from mitobench.datasets import synthetic_domains
from mitobench.results.record import read
from results.test_forgery import at, is_found

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, toy_environment: dict[str, str]) -> Path:
    """A record on frames of several tumour types and scanners, with annotated imposters and contested figures."""
    folder = tmp_path_factory.mktemp("domains")
    synthetic_domains.write(folder / "data", size=128, slides=9)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MITOBENCH_PACKAGES", "PYTHONPATH"):
            patch.setenv(name, toy_environment[name])
        patch.syspath_prepend(toy_environment["PYTHONPATH"].partition(":")[0])
        discovery.found.cache_clear()
        roles = {"verifier": ["none"]}
        (path,) = tiny_runs.run(folder / "run", folder / "data", roles, datasets=["synthetic-domains"])
    discovery.found.cache_clear()
    record = read(path)
    assert record.status == "ok", record.reason
    assert record.test is not None
    assert {"scanner", "tumour"} <= record.test.domains.keys()
    assert record.test.annotators is not None
    return path


def test_the_record_as_it_is_has_no_problem(made: Path, tmp_path: Path) -> None:
    assert not is_found(made, tmp_path / "f", lambda content: None)


def paths(value: Any, path: str) -> list[str]:
    """The paths of all numbers below a value."""
    if isinstance(value, dict):
        return [found for name, inner in value.items() for found in paths(inner, f"{path}\0{name}")]
    return [path] if isinstance(value, int | float) and not isinstance(value, bool) else []


@pytest.mark.parametrize("field", ["domains", "annotators", "area_mm2", "fp_per_mm2"])
def test_every_number_is_found(made: Path, tmp_path: Path, field: str) -> None:
    content = json.loads(made.read_text())
    found = paths(content["test"][field], f"test\0{field}")
    assert found
    missed = [path for path in found if not is_found(made, tmp_path / "f", at(path, lambda value: value * 0.9 + 1))]
    assert missed == []


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("frames\0test\0000\0domains\0tumour", lambda value: "another"),
        ("frames\0test\0000\0area_mm2", lambda value: value * 2),
        ("test\0domains\0tumour\0worst", lambda value: "another"),
    ],
)
def test_what_the_scores_follow_from_is_found(
    made: Path, tmp_path: Path, path: str, change: Callable[[Any], Any]
) -> None:
    assert is_found(made, tmp_path / "f", at(path, change))
