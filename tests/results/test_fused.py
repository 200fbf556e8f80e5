"""The fused scores of the core's fusers follow from what a record says that they were fused from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_runs

from mitobench.evaluate import StoredDetections
from mitobench.results import record as records
from mitobench.results.check import check
from mitobench.results.fused import MIGRATED_TOLERANCE, wrong_scores
from mitobench.results.recompute import Recomputation
from mitobench.results.schema import EarlierVersion, Record
from results.conftest import CORE_FUSERS

pytestmark = pytest.mark.slow


def copied(path: Path, folder: Path) -> Path:
    """A copy of a record with its detections."""
    for file in path.parent.glob(f"{path.stem}.*"):
        shutil.copy(file, folder)
    return folder / path.name


def recomputation(path: Path, **changes: Any) -> Recomputation:
    """A record with its detections; `changes` of the record."""
    true = Recomputation.read(path, records.read(path))
    return replace(true, record=true.record.model_copy(update=changes))


def choosing(true: Recomputation, fuser: dict[str, Any]) -> Recomputation:
    """The same with another `chosen.fuser`."""
    assert true.record.chosen is not None
    chosen = true.record.chosen.model_copy(update={"fuser": fuser})
    return replace(true, record=true.record.model_copy(update={"chosen": chosen}))


def paths_of(true: Recomputation) -> list[str]:
    return [wrong.path for wrong in wrong_scores(true)]


def test_what_a_run_wrote_is_right(core_records: dict[str, Path], toy_records: list[Path]) -> None:
    assert core_records.keys() == set(CORE_FUSERS)
    for path in (*core_records.values(), *toy_records):
        assert paths_of(recomputation(path)) == []
        assert check(path).problems == []


def higher(stored: StoredDetections) -> StoredDetections:
    return replace(stored, score=stored.score + 0.5)


def hits_first(stored: StoredDetections) -> StoredDetections:
    """What a cheat would write: every detection near a mitosis is ranked before all others."""
    return replace(stored, score=np.where(stored.near & stored.is_candidate, stored.score + 1, stored.score))


@pytest.mark.parametrize("fuser", CORE_FUSERS)
@pytest.mark.parametrize("change", [higher, hits_first])
def test_changed_scores_are_found_though_all_numbers_agree(
    core_records: dict[str, Path], tmp_path: Path, fuser: str, change: Callable[[StoredDetections], StoredDetections]
) -> None:
    path = tiny_runs.cheat_everywhere(copied(core_records[fuser], tmp_path), change)
    problems = check(path).problems
    assert len(problems) == 2, problems
    for problem, name in zip(problems, ("detections", "validation_detections"), strict=True):
        assert f": {name}: score of row " in problem


def test_changed_scores_of_another_packages_fuser_are_not_found(toy_records: list[Path], tmp_path: Path) -> None:
    path = tiny_runs.cheat_everywhere(copied(toy_records[0], tmp_path), hits_first)
    assert check(path).problems == [], "docs/protocol.md says so"


def test_a_change_in_the_seventh_digit_is_found(core_records: dict[str, Path]) -> None:
    true = recomputation(core_records["linear"])
    row = int(np.flatnonzero(true.test.is_candidate)[0])
    for relative, found in ((1.5e-6, True), (1e-9, False)):
        score = true.test.score.copy()
        score[row] *= 1 + relative
        changed = replace(true, test=replace(true.test, score=score))
        assert paths_of(changed) == ([f"detections: score of row {row + 2}"] if found else [])


def test_migrated_scores_may_differ_by_what_rounding_changed(core_records: dict[str, Path]) -> None:
    migrated = {"migrated": [EarlierVersion(schema_version=1, digest="0" * 64)]}
    true = recomputation(core_records["logit-linear"], **migrated)
    for difference, found in ((2 * MIGRATED_TOLERANCE, True), (MIGRATED_TOLERANCE, False)):
        changed = replace(true, test=replace(true.test, score=true.test.score + difference))
        assert bool(paths_of(changed)) is found


@pytest.mark.parametrize(
    "chosen",
    [
        {},
        {"w": 2, "curve": []},
        {"w": True, "curve": []},
        {"w": "0.5", "curve": []},
        {"w": 0.5, "curve": None},
        {"w": 0.5, "curve": [[1]]},
        {"w": 0.5, "curve": []},
        {"w": 0.5, "curve": [], "platt": {"detector": [1], "verifier": [1, 0]}},
        {"w": 0.5, "curve": [], "platt": {"detector": [1, "0"], "verifier": [1, 0]}},
        {"w": 0.5, "curve": [], "platt": {"detector": [1, 10**400], "verifier": [1, 0]}},
        {"w": [[]], "curve": {}, "platt": []},
    ],
)
def test_malformed_parameters_are_one_problem(core_records: dict[str, Path], chosen: dict[str, Any]) -> None:
    (wrong,) = wrong_scores(choosing(recomputation(core_records["linear"]), chosen))
    assert wrong.path == "chosen.fuser"
    assert str(wrong.expected).startswith("what linear chooses: linear cannot have chosen this: ")


@pytest.mark.parametrize("fuser", CORE_FUSERS)
def test_parameters_that_the_fuser_does_not_have_are_found(core_records: dict[str, Path], fuser: str) -> None:
    true = recomputation(core_records[fuser])
    assert true.record.chosen is not None
    assert paths_of(choosing(true, {**true.record.chosen.fuser, "more": 1})) == ["chosen.fuser.more"]


def test_parameters_that_overflow_are_found_without_a_warning(core_records: dict[str, Path]) -> None:
    true = recomputation(core_records["linear"])
    assert true.record.chosen is not None
    forged = {**true.record.chosen.fuser, "platt": {"detector": [1e308, -1e308], "verifier": [-1e308, 1e308]}}
    assert "detections: score of row 2" in paths_of(choosing(true, forged))


def changed_entry(true: Recomputation, **changes: Any) -> Recomputation:
    entry = true.record.plugins["fuser"].model_copy(update=changes)
    return replace(true, record=true.record.model_copy(update={"plugins": {**true.record.plugins, "fuser": entry}}))


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"version": "2 (mitobench 9.0)"}, "plugins.fuser.version"),
        ({"options": {"step": -1}}, "plugins.fuser.options"),
        ({"options": {"more": 1}}, "plugins.fuser.options"),
    ],
)
def test_a_fuser_that_cannot_be_rebuilt_is_found(
    core_records: dict[str, Path], changes: dict[str, Any], where: str
) -> None:
    assert paths_of(changed_entry(recomputation(core_records["linear"]), **changes)) == [where]


def test_the_name_decides_whether_a_fuser_is_the_cores(core_records: dict[str, Path], tmp_path: Path) -> None:
    """Claiming that `linear` comes from another package does not exempt its scores."""
    true = changed_entry(recomputation(core_records["linear"]), version="1 (somebody-elses 1.0)")
    assert paths_of(replace(true, test=higher(true.test))) == ["detections: score of row 2"]


def test_verifier_scores_are_there_exactly_where_a_verifier_took_part(core_records: dict[str, Path]) -> None:
    with_verifier, without = (recomputation(core_records[name]) for name in ("linear", "detector-only"))
    nothing, given = np.full(len(with_verifier.test), np.nan), np.zeros(len(without.test))
    assert paths_of(replace(with_verifier, test=replace(with_verifier.test, verifier=nothing))) == [
        "detections: verifier_score of row 2"
    ]
    assert paths_of(replace(without, test=replace(without.test, verifier=given))) == [
        "detections: verifier_score of row 2"
    ]


def test_a_foreign_records_parameters_end_in_a_line_of_check(core_records: dict[str, Path], tmp_path: Path) -> None:
    path = copied(core_records["linear"], tmp_path)
    tiny_runs.reseal(path, lambda content: content["chosen"].update(fuser={"w": "\n\x1b[2J" * 100}))
    (problem,) = check(path).problems
    assert problem.startswith(f"{path}: chosen.fuser is {{'w': '\\n\\x1b[2J")
    assert "\n" not in problem
    assert "\x1b" not in problem
    assert json.loads(path.read_text())["chosen"]["fuser"]["w"].startswith("\n")


def test_a_record_without_validation_detections_is_checked_on_test(core_records: dict[str, Path]) -> None:
    true = replace(recomputation(core_records["verifier-only"]), val=None)
    assert paths_of(true) == []
    assert paths_of(replace(true, test=higher(true.test))) == ["detections: score of row 2"]
    assert isinstance(true.record, Record)


def test_the_message_names_a_parameter_that_is_missing(core_records: dict[str, Path]) -> None:
    (wrong,) = wrong_scores(choosing(recomputation(core_records["linear"]), {"curve": []}))
    assert wrong.expected == (
        "what linear chooses: linear cannot have chosen this: 'w' is missing. Get the record or model again."
    )
