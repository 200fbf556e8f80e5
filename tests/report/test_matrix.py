"""`mitobench matrix`: every pair of trained on and tested on has its F1, in one table and one figure a method."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from mitobench.datasets import synthetic_domains
from mitobench.report.matrix import Matrix, figure, text
from mitobench.results import record

pytestmark = pytest.mark.slow

HOSTILE = "a | <b> `c`"


def matrix(**f1: float) -> Matrix:
    """A matrix of two values from its four scores: xx, xy, yx, yy."""
    return Matrix("toy", "tumour", ["x", "y"], {(pair[0], pair[1]): value for pair, value in f1.items()}, {})


def test_the_loss_is_the_diagonal_minus_the_mean_of_the_others() -> None:
    found = matrix(xx=0.8, xy=0.5, yx=0.4, yy=0.7)
    assert found.loss("x") == pytest.approx(0.3)
    assert found.loss("y") == pytest.approx(0.3)
    assert matrix(xx=0.8, yx=0.4, yy=0.7).loss("x") is None, "one score is missing"


def test_the_page_has_every_score_and_escapes_names() -> None:
    found = Matrix(
        "toy", "tumour", ["x", HOSTILE], {("x", "x"): 0.8, ("x", HOSTILE): 0.25}, {(HOSTILE, ""): "no memory"}
    )
    page = text([found], ["it.svg"], ["a note"])
    assert "| x | .800 | .250 | .550 |" in page
    assert "<b>" not in page
    assert "FAILED" in page
    assert "no memory" in page


def test_the_figure_is_an_image_with_all_scores() -> None:
    drawn = figure(matrix(xx=0.8, xy=0.5, yx=0.4)).decode()
    ElementTree.fromstring(drawn)
    for shown in (".80", ".50", ".40", "–", "trained on", "tested on"):
        assert shown in drawn


@pytest.fixture
def run(toys: dict[str, str], mitobench: Callable[..., Any], small_data: Path, tmp_path: Path) -> Callable[..., Any]:
    (tmp_path / "toys.toml").write_text('title = "toys"\n')
    toy = ["-e", "toy-boxes", "-d", "toy-dark", "-v", "none", "-f", "toy-sum", "--profile", tmp_path / "toys.toml"]
    places = ["--data", small_data, "--store", tmp_path / "store", "--out", tmp_path / "out", "--device", "cpu"]
    return lambda *more: mitobench("matrix", *toy, *places, *more)


def test_data_sets_are_trained_on_and_tested_on(run: Callable[..., Any], tmp_path: Path) -> None:
    answer = run("--dataset", "synthetic,synthetic-centroids")
    assert answer.code == 0, answer.out + answer.err
    records = [found for _, found in record.read_all(tmp_path / "out" / "records")]
    pairs = {(found.combination["train_on"][0], found.combination["dataset"]): found.test for found in records}
    assert len(pairs) == 4
    page = (tmp_path / "out" / "matrix" / "synthetic-synthetic-centroids.md").read_text()
    for test in pairs.values():
        assert test is not None
        assert f"{test.f1:.3f}".removeprefix("0") in page
    assert (tmp_path / "out" / "matrix" / "synthetic-synthetic-centroids-1.svg").is_file()


def test_domains_are_trained_on_and_tested_on_without_any_data(
    toys: dict[str, str], mitobench: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synthetic_domains.write, "__defaults__", (0, 160, 6))
    monkeypatch.setenv("MITOBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MITOBENCH_DATA", raising=False)
    (tmp_path / "toys.toml").write_text('title = "toys"\n')
    answer = mitobench(
        *("matrix", "--by", "tumour", "--dataset", "synthetic-domains", "-e", "toy-boxes", "-d", "toy-dark"),
        *("-v", "none", "-f", "toy-sum", "--profile", tmp_path / "toys.toml", "--device", "cpu"),
        *("--store", tmp_path / "store", "--out", tmp_path / "out"),
    )
    assert answer.code == 0, answer.out + answer.err
    page = (tmp_path / "out" / "matrix" / "synthetic-domains-tumour.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| synthetic")]
    assert len(rows) == 3
    assert all(row.count("|") == 6 for row in rows), "three values and the loss"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "name the domain with --by"),
        (["--dataset", "synthetic"], "name the domain with --by"),
        (["--by", "scanner"], "divides one data set"),
        (["--by", "colour", "--dataset", "synthetic"], "'colour' is not a domain"),
        (["--by", "lab", "--dataset", "synthetic"], "needs slides of two values of lab"),
    ],
)
def test_mistakes(run: Callable[..., Any], words: list[str], message: str) -> None:
    answer = run(*words)
    assert answer.code == 2
    assert message in " ".join((answer.out + answer.err).replace("│", " ").split())
