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
from mitobench.datasets.card import Card
from mitobench.results.case_counts import case_counts_of
from mitobench.results.recompute import Recomputation
from mitobench.results.record import read
from results.test_forgery import at, is_found

pytestmark = pytest.mark.slow

CUT_OFFS = {"synthetic carcinoma": [300.0, 600.0]}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, toy_environment: dict[str, str]) -> Path:
    """A record on frames of several tumour types and scanners, with annotated imposters and contested figures."""
    folder = tmp_path_factory.mktemp("domains")
    synthetic_domains.write(folder / "data", size=128, slides=9)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MITOBENCH_PACKAGES", "PYTHONPATH"):
            patch.setenv(name, toy_environment[name])
        patch.setattr(Card, "cut_offs_by_tumour", CUT_OFFS)
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
    assert record.test.cases is not None
    assert (record.test.cases.icc, record.test.cases.same_side) != (None, None)
    return path


def test_the_record_as_it_is_has_no_problem(made: Path, tmp_path: Path) -> None:
    assert not is_found(made, tmp_path / "f", lambda content: None)


def paths(value: Any, path: str) -> list[str]:
    """The paths of all numbers below a value."""
    if isinstance(value, dict):
        return [found for name, inner in value.items() for found in paths(inner, f"{path}\0{name}")]
    if isinstance(value, list):
        return [found for index, inner in enumerate(value) for found in paths(inner, f"{path}\0{index}")]
    return [path] if isinstance(value, int | float) and not isinstance(value, bool) else []


@pytest.mark.parametrize("field", ["domains", "annotators", "area_mm2", "fp_per_mm2", "cases"])
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


def test_a_count_that_was_removed_is_found(made: Path, tmp_path: Path) -> None:
    assert is_found(made, tmp_path / "f", lambda content: content["test"].pop("cases"))


@pytest.mark.parametrize("cut_offs", [{}, {"synthetic carcinoma": [1.0]}, {"synthetic carcinoma": "none"}])
def test_other_cut_offs_are_found_in_every_place(made: Path, tmp_path: Path, cut_offs: dict[str, Any]) -> None:
    def of_stage(content: dict[str, Any]) -> None:
        content["specs"][content["stages"]["evaluation"]]["settings"]["cut_offs"] = cut_offs

    def of_test(content: dict[str, Any]) -> None:
        content["test"]["cases"]["cut_offs"] = cut_offs

    def of_both(content: dict[str, Any]) -> None:
        of_stage(content)
        of_test(content)

    for change in (of_stage, of_test, of_both):
        assert is_found(made, tmp_path / "f", change), change.__name__


def test_a_record_without_the_count_is_valid_and_gets_it_on_pages(made: Path) -> None:
    record = read(made)
    assert record.test is not None
    key = record.stages["evaluation"]
    settings = {name: value for name, value in record.specs[key]["settings"].items() if name != "cut_offs"}
    older = record.model_copy(
        update={
            "test": record.test.model_copy(update={"cases": None}),
            "specs": {**record.specs, key: {**record.specs[key], "settings": settings}},
        }
    )
    assert Recomputation.read(made, older).numbers["test"] == older.test.model_dump(mode="json")
    assert "cases" not in older.content()["test"]
    computed = case_counts_of(older)
    assert computed is not None
    assert record.test.cases is not None
    without = {"cut_offs": {}, "n_graded": 0, "same_side": None}  # the registry's card has none
    assert computed == record.test.cases.model_copy(update=without)
