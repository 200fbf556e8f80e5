"""A record is green as it was written, and red after any change: of a byte, or of a number with right digests."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_runs
from hypothesis import given, settings
from hypothesis import strategies as st
from records import failed

from mitobench.results import record
from mitobench.results.check import check


def detections_of(path: Path) -> Path:
    return path.with_name(f"{path.stem}.detections.csv.gz")


def test_what_a_run_wrote_is_green(toy_records: list[Path]) -> None:
    for path in toy_records:
        checked = check(path)
        assert checked.problems == []
        assert checked.exact is True, "no frame leaves it open what oracle F1, AP and FROC are"


def test_a_failed_record_is_green(tmp_path: Path) -> None:
    assert check(record.write(tmp_path, failed(), None)).problems == []


@pytest.fixture(scope="module")
def changed(toy_records: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of a record, to be spoiled and restored again and again."""
    folder = tmp_path_factory.mktemp("changed")
    for path in (toy_records[0], detections_of(toy_records[0])):
        shutil.copy(path, folder)
    return folder / toy_records[0].name


@settings(max_examples=150, deadline=None)
@given(data=st.data(), which=st.sampled_from(["record", "detections"]))
def test_any_one_changed_byte_is_red(changed: Path, data: st.DataObject, which: str) -> None:
    path = changed if which == "record" else detections_of(changed)
    before = path.read_bytes()
    content = bytearray(before)
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        path.write_bytes(bytes(content))
        problems = check(changed).problems
    finally:
        path.write_bytes(before)
    assert problems
    assert all(str(changed.parent) in problem and "\n" not in problem for problem in problems)


@pytest.mark.parametrize("at", [*range(10), -9, -8, -4, -1])
def test_every_byte_of_the_head_and_foot_of_the_packed_file_counts(changed: Path, at: int) -> None:
    path = detections_of(changed)
    before = path.read_bytes()
    content = bytearray(before)
    content[at] ^= 1
    try:
        path.write_bytes(bytes(content))
        assert check(changed).problems
    finally:
        path.write_bytes(before)


def test_another_spelling_of_the_same_content_is_red(path: Path) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()), sort_keys=True, indent=2) + "\n")
    assert check(path).problems == [
        f"{path}: is spelled otherwise than it was written, with the same content. Make the record again."
    ]


@pytest.mark.parametrize("more", [b"", b"\0\0"], ids=["other level", "more bytes"])
def test_another_packing_of_the_same_detections_is_red(path: Path, more: bytes) -> None:
    file = detections_of(path)
    file.write_bytes(gzip.compress(gzip.decompress(file.read_bytes()), compresslevel=1 if not more else 9) + more)
    assert [problem for problem in check(path).problems if "is packed otherwise" in problem]


def test_an_older_record_without_the_later_fields_is_green(path: Path) -> None:
    content = json.loads(path.read_text())
    del content["run"]["seconds_a_candidate"]
    content["run_digest"] = record.Record.model_validate(content).sealed().run_digest
    path.write_text(json.dumps(content, sort_keys=True, indent=1) + "\n")
    assert check(path).problems == []


def test_a_renamed_record_is_red(path: Path) -> None:
    renamed = path.rename(path.with_name("better.json"))
    assert f"{renamed}: is a copy, or was renamed" in check(renamed).problems[0]


def test_missing_detections_are_red(path: Path) -> None:
    detections_of(path).unlink()
    assert f"{detections_of(path)}: cannot be read" in check(path).problems[0]


Change = Callable[[dict[str, Any]], object]


def setting(where: str, value: Any) -> Change:
    """A change of one value; `where` names it with dots."""

    def change(content: dict[str, Any]) -> None:
        *parts, last = where.split(".")
        for part in parts:
            content = content[part]
        content[last] = value

    return change


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("test.f1", 0.99),
        ("test.precision", None),
        ("test.tp", 8),
        ("test.f1_interval.low", 0.38),
        ("test.n_mitoses", 7),
        ("test.n_groups", 9),
        ("test.n_detections", 12),
        ("test.localisation_um", 0.5),
        ("test.oracle_f1", 0.9),
        ("test.average_precision", 0.9),
        ("test.recall_ceiling", 0.9),
        ("test.froc.1/8", 0.9),
        ("test.froc", {}),
        ("test.oracle_threshold", 0.1),
        ("test.threshold", 0.7),
        ("test.matcher", "greedy"),
        ("test.radius_um", 8.0),
        ("test.n_unlabelled", 3),
        ("test.frames", []),
        ("validation.f1", 0.9),
        ("validation.recall_interval", None),
        ("validation.oracle_f1", 0.7),
        ("chosen.point.f1", 0.9),
        ("chosen.gate", 0.9),
        ("detector_alone.f1", 0.1),
        ("detector_alone.n_detections", 3),
        ("detector_alone.threshold", 0.1),
        ("detections.rows", 3),
    ],
)
def test_a_number_that_contradicts_the_others_is_red_however_well_sealed(path: Path, where: str, value: Any) -> None:
    tiny_runs.reseal(path, setting(where, value))
    record.read(path)  # its digests are right
    problems = check(path).problems
    assert problems
    assert all(str(path.with_suffix("")) in problem for problem in problems)


def test_counts_moved_from_one_frame_to_another_are_red(path: Path) -> None:
    def move(content: dict[str, Any]) -> None:
        one, other = (next(f for f in content["test"]["frames"] if (f["fp"] > 3) is many) for many in (True, False))
        one["fp"], other["fp"] = one["fp"] - 1, other["fp"] + 1

    tiny_runs.reseal(path, move)
    assert "detections of frame" in "".join(check(path).problems)


@pytest.mark.parametrize("count", [-1, 10**30])
def test_counts_that_cannot_be_are_red(path: Path, count: int) -> None:
    tiny_runs.reseal(path, lambda content: content["test"]["frames"][0].update(fp=count))
    assert "recomputed it is numbers from 0 to" in "".join(check(path).problems)


def test_a_frame_that_is_counted_twice_is_red(path: Path) -> None:
    tiny_runs.reseal(path, lambda content: content["test"]["frames"].append(content["test"]["frames"][0]))
    assert "test.frames is A09_00 more than once" in "".join(check(path).problems)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c["combination"].pop("fuser"), "combination.fuser: Field required"),
        (lambda c: c["combination"].update(more=1), "combination.more: Extra inputs are not permitted"),
        (lambda c: c["combination"].update(seed="0"), "combination.seed: Input should be a valid integer"),
        (lambda c: c["combination"].update(train_on=["elsewhere"]), "data.elsewhere not there"),
        (lambda c: c["data"]["synthetic"]["digest"].pop("test"), "data.synthetic.digest.test not there"),
        (lambda c: c["pipeline"].pop("matcher"), "pipeline.matcher not there"),
        (lambda c: c.update(status="failed", reason="none"), "its status is failed, but chosen, validation, test"),
        (lambda c: c.update(detector_alone=None), "detector_alone not there"),
        (lambda c: c["detections"].pop("rows"), "detections.rows not there"),
        (lambda c: c["detections"].update(file="../../secret"), "its detections must be in synthetic-by-slide"),
    ],
)
def test_a_record_that_no_leaderboard_can_show_is_red(path: Path, change: Change, said: str) -> None:
    tiny_runs.reseal(path, change)
    assert said in "".join(check(path).problems)


@pytest.mark.parametrize("text", ["frame,x,y\nA09_00,1,2\n", "frame,x,y,score_detector,score\nA09_00,a,b,c,d\n", "\n"])
def test_detections_without_their_columns_are_red(path: Path, text: str) -> None:
    detections_of(path).write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))
    entry = {"sha256": hashlib.sha256(text.encode()).hexdigest(), "rows": text.count("\n") - 1}
    tiny_runs.reseal(path, lambda content: content["detections"].update(entry))
    problems = "".join(check(path).problems)
    assert "a column is missing or holds no number" in problems or "test.n_detections" in problems
    assert str(detections_of(path)) in problems or str(path) in problems


@pytest.mark.parametrize("name", ["not-there.json", "folder.json"])
def test_a_file_in_the_working_folder_is_named_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder.json").mkdir()
    (problem,) = check(Path(name)).problems
    assert problem.count(name) == 1
    assert "Make the record again" not in problem
