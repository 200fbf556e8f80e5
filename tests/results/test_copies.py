"""Detections are matched afresh with the annotation of the very frames that a record was tested on."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_runs

from mitobench.errors import DataError
from mitobench.results import record, recount
from mitobench.results.check import check
from mitobench.results.folder import check_all
from mitobench.results.rematch import Copies, wrong_matching


def wrong(path: Path, data: Path) -> Iterator[tuple[str, Any, Any]]:
    made = record.read(path)
    rows = recount.Rows.of(record.read_detections(path, made))
    return wrong_matching(made, rows, Copies(data).workspace(made))


def test_what_a_run_wrote_is_what_matching_gives(path: Path, small_data: Path) -> None:
    assert list(wrong(path, small_data)) == []


def test_a_hit_that_is_none_is_found_by_the_annotation_alone(path: Path, small_data: Path) -> None:
    tiny_runs.with_a_found_miss(path)
    assert check(path).problems == [], "it agrees with itself"
    names = {name for name, *_ in wrong(path, small_data)}
    assert {"test.f1", "test.tp", "test.tp of frame A13_00", "distance_um of a detection on A13_00"} <= names


def test_other_frames_are_told_by_their_digest(path: Path, tmp_path: Path) -> None:
    from mitobench.datasets import synthetic

    synthetic.write(tmp_path / "other" / "synthetic", seed=2, frames=2, size=128)
    with pytest.raises(DataError, match="not those that the record was measured on, by their digest"):
        Copies(tmp_path / "other").workspace(record.read(path))


def test_detections_on_other_frames_are_found(path: Path, small_data: Path) -> None:
    made = record.read(path)
    rows = recount.Rows.of(record.read_detections(path, made))
    rows.frame[0] = "A00_00"
    found = list(wrong_matching(made, rows, Copies(small_data).workspace(made)))
    assert found == [("the frames of the detections", "A00_00", "not among the test frames")]


def test_rounded_coordinates_on_the_rim_of_the_radius_are_forgiven(path: Path, small_data: Path) -> None:
    made = record.read(path)
    rows = recount.Rows.of(record.read_detections(path, made))
    jittered = rows.xy + np.random.default_rng(0).uniform(-0.005, 0.005, rows.xy.shape)
    moved = recount.Rows(rows.frame, jittered, rows.detector, rows.score, rows.distance_um, rows.above_gate, rows.hit)
    assert list(wrong_matching(made, moved, Copies(small_data).workspace(made))) == []
    moved = recount.Rows(
        rows.frame, rows.xy + 1, rows.detector, rows.score, rows.distance_um, rows.above_gate, rows.hit
    )
    assert list(wrong_matching(made, moved, Copies(small_data).workspace(made)))


@pytest.mark.parametrize("withheld", ["2[789]|3.", "27"], ids=["all", "some"])
def test_frames_whose_labels_are_withheld_are_no_problem(
    withheld: str, small_data: Path, tmp_path: Path, toys: dict[str, str]
) -> None:
    shutil.copytree(small_data, tmp_path / "synthetic")
    for file in tmp_path.rglob("*mitosis.csv"):
        if re.fullmatch(f"A({withheld})_.*", file.name):
            file.unlink()
    (path,) = tiny_runs.run(tmp_path / "board", tmp_path, datasets=["synthetic-centroids"])
    metrics = record.read(path).test
    assert metrics is not None
    assert (metrics.n_unlabelled, metrics.unlabelled) == ((10, True) if "9" in withheld else (2, False))
    assert check_all([path], tmp_path).problems == []


@pytest.mark.parametrize("matcher", ["greedy", "hungarian", "midog"])
def test_other_matchers_are_no_problem(matcher: str, small_data: Path, tmp_path: Path, toys: dict[str, str]) -> None:
    (path,) = tiny_runs.run(tmp_path, small_data, matcher=matcher, sets=["pipeline.candidate_threshold=0.7"])
    checks = check_all([path], small_data)
    assert (checks.problems, checks.matched) == ([], 1)
