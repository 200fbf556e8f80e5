"""What a record says about its frames is compared with the annotation of those frames."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny_runs

from mitobench.datasets import synthetic
from mitobench.errors import DataError, MitobenchError
from mitobench.evaluate import StoredDetections
from mitobench.results import record
from mitobench.results.check import check
from mitobench.results.folder import check_all
from mitobench.results.local_datasets import LocalDatasets, wrong_annotation
from mitobench.results.recompute import Recomputation

pytestmark = pytest.mark.slow


def recomputed(path: Path) -> Recomputation:
    return Recomputation.read(path, record.read(path))


def test_the_record_of_a_run_agrees_with_the_annotation(path: Path, small_data: Path) -> None:
    assert list(wrong_annotation(recomputed(path), LocalDatasets(small_data))) == []


def test_an_invented_hit_is_found_by_the_annotation_only(path: Path, small_data: Path) -> None:
    tiny_runs.with_a_found_miss(path)
    assert check(path).problems == [], "it agrees with itself"
    (found,) = wrong_annotation(recomputed(path), LocalDatasets(small_data))
    assert re.fullmatch(r"test detection of row \d+: mitoses within the radius", found.path)
    assert (len(found.recorded), found.expected) == (1, ())


def _moved(stored: StoredDetections) -> StoredDetections:
    return replace(stored, xy=stored.xy + 1)


def _nowhere_near(stored: StoredDetections) -> StoredDetections:
    return replace(stored, within=tuple(() for _ in stored.within))


def _other_indices(stored: StoredDetections) -> StoredDetections:
    return replace(stored, within=tuple(tuple((index + 1, um) for index, um in near) for near in stored.within))


@pytest.mark.parametrize("part", ["test", "val"])
@pytest.mark.parametrize("change", [_moved, _nowhere_near, _other_indices])
def test_places_and_mitoses_of_detections_are_compared(
    path: Path, small_data: Path, part: str, change: Callable[[StoredDetections], StoredDetections]
) -> None:
    true = recomputed(path)
    (found,) = wrong_annotation(replace(true, **{part: change(getattr(true, part))}), LocalDatasets(small_data))
    assert found.path.startswith(f"{part} detection of row ")


@pytest.mark.parametrize("part", ["test", "val"])
@pytest.mark.parametrize(("name", "value"), [("mitoses", 9), ("group", "99"), ("frame", "A00_99")])
def test_frames_are_compared(path: Path, small_data: Path, part: str, name: str, value: Any) -> None:
    true = recomputed(path)
    assert true.record.frames is not None
    entries = list(getattr(true.record.frames, part))
    entries[0] = entries[0].model_copy(update={name: value})
    forged = true.record.model_copy(update={"frames": true.record.frames.model_copy(update={part: entries})})
    found = list(wrong_annotation(replace(true, record=forged), LocalDatasets(small_data)))
    assert [difference.path for difference in found] == [
        f"frames.{part}" if name == "frame" else f"frames.{part}.0.{name}"
    ]


def test_other_frames_are_refused_by_their_digest(path: Path, tmp_path: Path) -> None:
    synthetic.write(tmp_path / "other" / "synthetic", seed=2, frames=2, size=128)
    with pytest.raises(DataError, match="the test frames of synthetic are not those that the record was made with, by"):
        LocalDatasets(tmp_path / "other").workspace(record.read(path))


def test_missing_test_frames_are_named(path: Path, small_data: Path, tmp_path: Path) -> None:
    shutil.copytree(small_data, tmp_path / "fewer")
    made = record.read(path)
    assert made.frames is not None
    gone = made.frames.test[0].frame
    for file in (tmp_path / "fewer" / "synthetic").rglob(f"{gone}*"):
        file.unlink()
    with pytest.raises(DataError, match=rf"lacks 1 of the record's 10 test frames: {gone}\. Put them there"):
        LocalDatasets(tmp_path / "fewer").workspace(made)


def test_a_data_set_whose_folder_is_not_given_is_asked_for(path: Path) -> None:
    with pytest.raises(
        MitobenchError, match=r"mitos2012: no folder of data sets is given\. Give it with --data FOLDER or MITOBENCH_D"
    ):
        LocalDatasets(None).folder("mitos2012")


@pytest.mark.parametrize("withheld", ["2[789]|3.", "27"], ids=["all", "some"])
def test_frames_whose_labels_are_withheld_are_not_a_problem(
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


@pytest.mark.parametrize("matcher", ["greedy", "hungarian", "evalutils", "midog-strict", "midog25-guide", "kdtree"])
def test_other_matchers_are_not_a_problem(matcher: str, small_data: Path, tmp_path: Path, toys: dict[str, str]) -> None:
    (path,) = tiny_runs.run(tmp_path, small_data, matcher=matcher, sets=["pipeline.candidate_threshold=0.7"])
    checks = check_all([path], small_data)
    assert (checks.problems, checks.matched) == ([], 1)


def test_midog_of_older_records_is_read_and_recomputed_to_the_same_numbers(
    small_data: Path, tmp_path: Path, toys: dict[str, str]
) -> None:
    (path,) = tiny_runs.run(tmp_path, small_data, matcher="midog-strict", sets=["pipeline.candidate_threshold=0.7"])
    before = record.read(path)

    def rename(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: rename(item) for name, item in value.items()}
        if isinstance(value, list):
            return [rename(item) for item in value]
        return "midog" if value == "midog-strict" else value

    older = tiny_runs.forge(path, lambda content: content.update(rename(dict(content))))
    after = record.read(older)
    assert (after.pipeline["matcher"], "--matcher midog " in f"{after.run.command} ") == ("midog", True)
    checks = check_all([older], small_data)
    assert (checks.problems, checks.matched) == ([], 1)
    assert before.test is not None
    assert after.test == before.test.model_copy(update={"matcher": "midog"})
    again = Recomputation.read(older, after).numbers["test"]
    assert again == after.test.model_dump(mode="json")
