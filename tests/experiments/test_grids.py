"""Grids: every combination gets a record in the leaderboard; a grid or combination that fails affects no other."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

SMALL = """
[[grid]]
name = "Small"
dataset = "synthetic"
protocol = "by-slide"
estimator = ["toy-boxes"]
detector = ["toy-dark", "toy-boxless"]
verifier = ["none", "toy-mean"]
fuser = ["detector-only", "linear"]
notes = ["Two detectors, | and a verifier."]
"""
OTHER = """
[[grid]]
name = "Other slides"
dataset = "synthetic-centroids"
protocol = "by-slide"
train_on = ["synthetic"]
scanners = ["A"]
estimator = ["toy-boxes"]
detector = ["toy-dark"]
verifier = ["none"]
fuser = ["detector-only"]
scale = 0.5
seeds = 2
set = ["detector.most=5"]
"""
ABSENT = (
    OTHER.replace("Other slides", "Elsewhere").replace('"synthetic-centroids"', '"mitos2014"').replace('["A"]', '["H"]')
)
IMPOSSIBLE = (
    OTHER.replace("Other slides", "Impossible")
    .replace("toy-boxes", "toy-masks")
    .replace('train_on = ["synthetic"]', 'train_on = ["synthetic-centroids"]')
)


@pytest.fixture
def run(toys: dict[str, str], mitobench: Callable[..., Any], small_data: Path, tmp_path: Path) -> Callable[..., Any]:
    """Runs grids of the toy plugins, which are written to `mine.toml`."""
    (tmp_path / "toys.toml").write_text('title = "toys"\n')

    def run(grids: str, *more: object) -> Any:
        head = f'title = "Mine"\nprofile = "{tmp_path / "toys.toml"}"\nnotes = ["Toys."]\n'
        (tmp_path / "mine.toml").write_text(head + grids)
        places = ["--data", small_data, "--store", tmp_path / "store", "--out", tmp_path / "out", "--device", "cpu"]
        return mitobench("experiment", tmp_path / "mine.toml", *places, *more)

    return run


@pytest.fixture
def page(tmp_path: Path) -> Callable[[], str]:
    """Returns the text of the experiment's page."""
    return lambda: (tmp_path / "out" / "experiments" / "mine.md").read_text()


@pytest.fixture
def records(tmp_path: Path) -> Callable[[], list[dict[str, Any]]]:
    """Returns the records of the leaderboard."""
    return lambda: [json.loads(path.read_text()) for path in sorted((tmp_path / "out" / "records").glob("*.json"))]


def tables(page: str) -> list[list[list[str]]]:
    """Returns the cells of each table of a page, its header first."""
    texts = re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE)
    rows = [[line.strip("| ").split(" | ") for line in table.splitlines()] for table in texts]
    return [[header, *body] for header, _, *body in rows]


def test_every_combination_gets_a_record_in_the_leaderboard(
    run: Callable[..., Any], page: Callable[[], str], records: Callable[[], list[dict[str, Any]]], tmp_path: Path
) -> None:
    answer = run(SMALL)
    assert answer.code == 0, answer.out + answer.err
    made = {(r["combination"]["detector"], r["combination"]["verifier"]) for r in records()}
    assert made == {(d, v) for d in ("toy-dark", "toy-boxless") for v in ("none", "toy-mean")}
    rows = (tmp_path / "out" / "sections" / "synthetic-by-slide.md").read_text()
    assert rows.count("[0](../records/") == len(records()) == 4
    assert (tmp_path / "out" / "index.html").is_file()
    assert f"Leaderboard  {tmp_path / 'out' / 'LEADERBOARD.md'}" in answer.out


def test_the_page_ranks_the_rows_by_f1(
    run: Callable[..., Any], page: Callable[[], str], records: Callable[[], list[dict[str, Any]]], tmp_path: Path
) -> None:
    run(SMALL)
    ((header, *rows),) = tables(page())
    measured = sorted((r["test"]["f1"] for r in records()), reverse=True)
    shown = [float(row[header.index("F1 [95 %]")].split()[0]) for row in rows]
    assert shown == [round(f1, 3) for f1 in measured]
    assert [row[0] for row in rows] == ["1", "2", "3", "4"]
    validation = {round(r["validation"]["f1"], 3) for r in records()}
    assert {float(row[header.index("validation F1")]) for row in rows} == validation
    for link in re.findall(r"\]\(([^)\s]+\.json)\)", page()):
        assert (tmp_path / "out" / "experiments" / link).is_file()


def test_the_page_shows_how_each_grid_was_measured(run: Callable[..., Any], page: Callable[[], str]) -> None:
    assert run(SMALL + OTHER).code == 0
    small, other = page().partition("## Other slides")[::2]
    assert "# Mine\n" in small
    assert "- Toys." in small
    assert "- Two detectors, \\| and a verifier." in small
    assert "- Synthetic, by slide: " in small
    plain = other.replace("\\", "")
    assert "- trained on synthetic; profile " in plain
    assert "toys.toml; with detector.most=5; schedules shortened to 0.5\n" in plain


def test_a_grid_is_measured_as_defined(run: Callable[..., Any], records: Callable[[], list[dict[str, Any]]]) -> None:
    assert run(OTHER).code == 0
    for seed, made in enumerate(records()):
        assert made["combination"]["seed"] == seed
        assert made["combination"]["dataset"] == "synthetic-centroids"
        assert made["combination"]["train_on"] == ["synthetic"]
        assert made["plugins"]["detector"]["options"]["most"] == 5
        assert "schedules shortened to 0.5 of the profile's" in made["notes"]
    assert len(records()) == 2


def test_a_protocol_with_folds_is_measured_in_all_of_them(
    run: Callable[..., Any], page: Callable[[], str], records: Callable[[], list[dict[str, Any]]]
) -> None:
    answer = run(OTHER.replace('"by-slide"', '"cv-by-slide-of3"').replace("synthetic-centroids", "synthetic"))
    assert answer.code == 0, answer.out + answer.err
    made = {(r["combination"]["protocol"], r["combination"]["seed"]) for r in records()}
    assert made == {(f"cv-by-slide-{fold}of3", seed) for fold in (1, 2, 3) for seed in (0, 1)}
    ((_, row),) = tables(page())
    assert "summed over 3 folds" in page()
    assert row[0] == "1"


def test_options_of_the_command_replace_those_of_the_grids(
    run: Callable[..., Any], page: Callable[[], str], records: Callable[[], list[dict[str, Any]]], tmp_path: Path
) -> None:
    (tmp_path / "mine-too.toml").write_text('title = "mine"\n[detector.toy-dark]\nshrink = 2\n')
    options = ["--seeds", 1, "--scale", 0.25, "--profile", tmp_path / "mine-too.toml", "--set", "detector.most=3"]
    assert run(OTHER, *options).code == 0
    (made,) = records()
    assert made["profile"] == "mine-too.toml"
    assert made["plugins"]["detector"]["options"]["most"] == 3
    assert made["plugins"]["detector"]["options"]["shrink"] == 2
    assert "schedules shortened to 0.25 of the profile's" in made["notes"]
    assert "--scale 0.25 --seeds 1 --set detector.most=3`" in page()


def test_a_missing_data_set_does_not_affect_other_grids(
    run: Callable[..., Any], page: Callable[[], str], records: Callable[[], list[dict[str, Any]]]
) -> None:
    answer = run(ABSENT + OTHER)
    assert answer.code == 1
    assert "NOT MEASURED Elsewhere: " in answer.out
    assert "mitos2014" in page().partition("- Not measured. ")[2].splitlines()[0]
    assert len(records()) == 2


def test_an_impossible_combination_does_not_affect_other_grids(
    run: Callable[..., Any], page: Callable[[], str], records: Callable[[], list[dict[str, Any]]]
) -> None:
    assert run(IMPOSSIBLE + OTHER).code == 1
    assert "not measured. estimator toy-masks needs masks" in page().replace("\\", "")
    assert len(records()) == 2


def test_an_unknown_scanner_does_not_affect_other_grids(
    run: Callable[..., Any], records: Callable[[], list[dict[str, Any]]]
) -> None:
    answer = run(SMALL.replace("notes =", 'scanners = ["H"]\nnotes =') + OTHER)
    assert answer.code == 1
    assert "NOT MEASURED Small: synthetic has no scanner 'H'" in answer.out
    assert len(records()) == 2


def test_nothing_is_written_if_no_grid_can_be_measured(run: Callable[..., Any], tmp_path: Path) -> None:
    answer = run(ABSENT)
    assert answer.code == 2
    assert "mitos2014" in answer.err
    assert "Traceback" not in answer.err
    assert not (tmp_path / "out").exists()


def test_a_combination_that_fails_is_shown_and_the_others_are_measured(
    run: Callable[..., Any], page: Callable[[], str]
) -> None:
    assert run(SMALL.replace("toy-boxless", "toy-fails")).code == 1
    ((_, *rows),) = tables(page())
    assert [row[6] == "FAILED" for row in rows] == [False, False, True, True]
    assert page().count("on purpose") == 1, "two rows failed for the same reason"


def test_one_grid_can_be_measured_alone(run: Callable[..., Any], page: Callable[[], str]) -> None:
    assert run(SMALL + OTHER, "--grid", "OTHER").code == 0
    assert re.findall("^## (.*)", page(), re.MULTILINE) == ["Other slides"]
    assert "--grid OTHER" in page()


def test_an_error_about_an_unknown_grid_lists_all_grids(run: Callable[..., Any]) -> None:
    answer = run(SMALL + OTHER, "--grid", "smll")
    assert answer.code == 2
    assert "--grid smll" in answer.err
    assert "Other slides" in answer.err


def test_a_data_set_selects_its_grids(run: Callable[..., Any], page: Callable[[], str]) -> None:
    assert run(SMALL + OTHER, "--dataset", "synthetic").code == 0
    assert re.findall("^## (.*)", page(), re.MULTILINE) == ["Small"]


def test_a_data_set_of_no_grid_replaces_all_data_sets(
    run: Callable[..., Any], page: Callable[[], str], records: Callable[[], list[dict[str, Any]]]
) -> None:
    assert run(ABSENT, "--dataset", "synthetic", "--seeds", 1).code == 0
    (made,) = records()
    assert made["combination"]["train_on"] == ["synthetic"]
    assert made["test"]["n_frames"] > 0, "frames of all scanners: synthetic data has no scanner H"
    assert "measured on synthetic, not mitos2014" in page()


def test_finished_stages_are_not_run_again(run: Callable[..., Any]) -> None:
    assert "done   fit-detector" in run(SMALL).out
    again = run(SMALL)
    assert again.code == 0
    assert " 0 to run" in again.out
    assert "done   fit-detector" not in again.out


def test_dry_run_writes_nothing(run: Callable[..., Any], tmp_path: Path) -> None:
    answer = run(SMALL + OTHER, "--dry-run")
    assert answer.code == 0
    assert "Plan: Small" in answer.out
    assert "Plan: Other slides" in answer.out
    assert not (tmp_path / "out").exists()


def test_a_table_has_no_grids(mitobench: Callable[..., Any]) -> None:
    answer = mitobench("experiment", "table7", "--grid", "small")
    assert answer.code == 2
    assert "--grid small: table7 is a table" in answer.err
