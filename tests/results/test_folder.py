"""Records are checked together, and added completely or not at all."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_runs

from mitobench.datasets import synthetic
from mitobench.errors import MitobenchError, RecordError
from mitobench.results import record
from mitobench.results.command import command_of
from mitobench.results.folder import add_records, check_all, check_folder, find
from mitobench.results.schema import Record

pytestmark = pytest.mark.slow


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_of_complete_records_passes(records: Path, small_data: Path) -> None:
    assert check_folder(records).problems == []
    with_data = check_folder(records, small_data)
    assert (with_data.problems, with_data.matched, with_data.missing_data) == ([], 2, set())


def test_a_folder_without_records_is_a_problem(tmp_path: Path) -> None:
    (problem,) = check_folder(tmp_path).problems
    assert problem.startswith(f"{tmp_path}: holds no record, so there is nothing to check.")


def test_a_missing_data_set_is_reported_and_is_not_a_problem(path: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    checks = check_all([_of_another_data_set(path)], tmp_path / "data")
    assert (checks.problems, checks.matched, checks.missing_data) == ([], 0, {"elsewhere"})


def _of_another_data_set(path: Path) -> Path:
    def move(content: dict[str, Any]) -> None:
        content["data"] = {"elsewhere": content["data"]["synthetic"]}
        content["combination"] |= {"dataset": "elsewhere", "train_on": ["elsewhere"]}
        for spec in content["specs"].values():
            spec["settings"]["readers"] = {"elsewhere": spec["settings"]["readers"]["synthetic"]}

    return tiny_runs.forge(path, move)


def test_other_test_frames_are_a_problem(records: Path, path: Path, tmp_path: Path) -> None:
    synthetic.write(tmp_path / "other" / "synthetic", seed=2, frames=2, size=128)
    problems = check_folder(records, tmp_path / "other").problems
    assert len(problems) == 2
    root = tmp_path / "other/synthetic/synthetic"
    assert f"{path}: {root}: the test frames of synthetic are not those that the record was made" in problems[0]


def test_a_record_that_contradicts_the_annotation_is_a_problem(records: Path, path: Path, small_data: Path) -> None:
    tiny_runs.with_a_found_miss(path)
    assert check_folder(records).problems == []
    problems = check_folder(records, small_data).problems
    assert problems
    assert all(problem.startswith(f"{path}: ") for problem in problems)


def test_a_copy_under_the_name_of_another_method_is_a_problem(records: Path, path: Path) -> None:
    shutil.copytree(records, records / "copies")

    def rename(content: dict[str, Any]) -> None:
        content["combination"]["verifier"] = content["plugins"]["verifier"]["name"] = "mine"
        (key,) = (key for role, key in content["stages"].items() if role == "verifier-scores-test")
        content["specs"][key]["plugin"]["name"] = "mine"
        content["run"]["command"] = command_of(Record.model_validate(content))

    copy = records / "copies" / path.name
    tiny_runs.reseal(copy, rename)
    copy = tiny_runs.renamed(copy)
    (problem,) = check_folder(records).folder_problems
    assert "One of the two was changed: remove it." in problem
    assert {path.name, copy.name} == {Path(name).name for name in re.findall(r"\S+\.json", problem)}


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda c: c["plugins"]["detector"]["options"].update(shrink=0.5), "options of the detector"),
        (lambda c: c["combination"].update(seed=7), "seed"),
        (lambda c: c["pipeline"].update(candidates="out-of-fold(2)"), "pipeline.candidates"),
        (lambda c: c["data"]["synthetic"]["digest"].update(train="0" * 64), r"data\.synthetic\.digest\.train"),
    ],
)
def test_a_migrated_copy_that_claims_other_work_is_a_problem(
    records: Path, path: Path, change: Callable[[dict[str, Any]], object], where: str
) -> None:
    """Nothing in a migrated record contradicts such a change, as it has no specs; the key of its evaluation remains."""
    tiny_runs.downgrade(path)
    path = next(found for found in records.glob("*.json") if record.read(found).migrated)
    assert check_folder(records).problems == []
    shutil.copytree(records, records / "copies")

    def claim(content: dict[str, Any]) -> None:
        change(content)
        content["run"]["command"] = command_of(Record.model_validate(content))

    copy = records / "copies" / path.name
    tiny_runs.reseal(copy, claim)
    copy = tiny_runs.renamed(copy)
    (problem,) = check_folder(records).problems
    assert re.search(f": has the stages of .*, but its {where} is ", problem)
    assert {path.name, copy.name} == {Path(name).name for name in re.findall(r"\S+\.json", problem)}


def test_where_nothing_was_fitted_the_seed_decides_nothing(
    small_data: Path, tmp_path: Path, toys: dict[str, str]
) -> None:
    roles = {"estimator": ["fixed"], "detector": ["blobs"], "verifier": ["none"], "fuser": ["detector-only"]}
    one, other = tiny_runs.run(tmp_path, small_data, roles=roles, seeds=[0, 1])
    keys = {record.read(path).stages["evaluation"] for path in (one, other)}
    assert len(keys) == 1, "it is one evaluation"
    assert check_folder(one.parent).problems == []


@pytest.mark.parametrize("present", [False, True])
def test_a_migrated_record_is_added_only_where_an_equal_one_is(path: Path, tmp_path: Path, present: bool) -> None:
    """Anybody could strip a record of what its thresholds are recomputed from and call it migrated."""
    tiny_runs.downgrade(path)
    (path,) = (found for found in path.parent.glob("*.json") if record.read(found).migrated)
    target = tmp_path / "ours"
    target.mkdir()
    if present:
        add_records([path], target)
    problems = check_all([path], target=target).problems
    if present:
        assert problems == []
        assert add_records([path], target)[0].already_there
    else:
        assert problems == [
            f"{path}: was migrated from schema version 1 to 2 elsewhere, which cannot be verified. Put its files of "
            f"version 1 into {target} and run `mitobench leaderboard migrate`."
        ]
    assert check_all([path]).problems == [], "it may be checked where it is"


def test_detections_that_belong_to_no_record_are_a_problem(records: Path, path: Path) -> None:
    path.unlink()
    problems = check_folder(records).problems
    assert [problem.partition(": ")[0] for problem in problems] == [
        f"{records / path.stem}{ending}" for ending in (".detections.csv.gz", ".validation.csv.gz")
    ]
    assert all("belongs to no record here" in problem for problem in problems)


def test_files_and_folders_stand_for_records(records: Path, path: Path) -> None:
    both = sorted(records.glob("*.json"))
    packed = [path.with_name(f"{path.stem}{ending}") for ending in (".detections.csv.gz", ".validation.csv.gz")]
    assert find([path]) == find(packed[:1]) == find(packed[1:]) == find([path, *packed]) == [path]
    assert find([records]) == find([records.parent]) == both


@pytest.mark.parametrize("name", ["none.json", "board/records/none.detections.csv.gz", "."])
def test_a_path_without_a_record_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(RecordError, match=r"holds no record\. Give"):
        find([tmp_path / name])


def test_records_are_added_with_their_detections(records: Path, tmp_path: Path) -> None:
    target = tmp_path / "ours"
    added = add_records(find([records]), target)
    assert [item.already_there for item in added] == [False, False]
    assert names(target) == names(records)
    assert check_folder(target).problems == []


def test_a_record_that_is_there_already_is_left_alone(records: Path, path: Path, tmp_path: Path) -> None:
    target = tmp_path / "ours"
    add_records([path], target)
    before = names(target)
    (added,) = add_records([path], target)
    assert added.already_there
    assert added.target == target / path.name
    assert names(target) == before


def test_other_numbers_of_one_identity_are_added_as_well(path: Path, records: Path, tmp_path: Path) -> None:
    target = tmp_path / "ours"
    add_records([path], target)
    tiny_runs.without_false_positives(path)
    digest = record.read(path).digest[:10]
    (added,) = add_records([path], target)
    assert added.target == target / digest / path.name
    assert list(added.conflicting) == [target / path.name]
    assert check_folder(target).problems == []
    assert add_records([path], target)[0].already_there, "twice adds nothing"
    good, broken = record.read_good(target)
    assert (len(good), broken) == (2, [])


def test_a_failed_copy_leaves_no_file(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace = os.replace

    def full(source: str, target: Path) -> None:
        if Path(target).suffix == ".json":
            raise OSError("disk full")
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(MitobenchError, match="disk full"):
        add_records([path], tmp_path / "ours")
    assert names(tmp_path / "ours") == set()


def test_every_record_is_checked(records: Path, path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(records, other)
    (other / path.name).write_text("{}")
    checks = check_all(find([records, other]))
    assert len(checks.records) == 4
    assert len(checks.problems) == 1
