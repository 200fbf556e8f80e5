"""A record passes as it was written, and fails after any change: of a byte, or of a number with right digests."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny_runs
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from records import failed

from mitobench.evaluate.stored import COLUMNS
from mitobench.results import record
from mitobench.results.check import check

pytestmark = pytest.mark.slow


def detections_of(path: Path, part: str = "detections") -> Path:
    return path.with_name(f"{path.stem}.{part}.csv.gz")


def test_a_record_passes_as_it_was_written(toy_records: list[Path]) -> None:
    assert [check(path).problems for path in toy_records] == [[], []]


def test_a_failed_record_passes(tmp_path: Path) -> None:
    assert check(record.write(tmp_path, failed(), None)).problems == []


@pytest.fixture(scope="module")
def changed(toy_records: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of a record, which tests change and restore."""
    folder = tmp_path_factory.mktemp("changed")
    for file in toy_records[0].parent.glob(f"{toy_records[0].stem}.*"):
        shutil.copy(file, folder)
    return folder / toy_records[0].name


@settings(max_examples=150, deadline=None)
@given(data=st.data(), which=st.sampled_from(["record", "detections", "validation"]))
def test_any_changed_byte_is_found(changed: Path, data: st.DataObject, which: str) -> None:
    path = changed if which == "record" else detections_of(changed, which)
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


def test_another_spelling_of_the_same_content_is_found(path: Path) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()), sort_keys=True, indent=2) + "\n")
    assert check(path).problems == [
        f"{path}: has the same content as when it was written, but other bytes. Make the record again."
    ]


@pytest.mark.parametrize("more", [b"", b"\0\0"], ids=["other level", "more bytes"])
def test_another_packing_of_the_same_detections_is_found(path: Path, more: bytes) -> None:
    file = detections_of(path)
    file.write_bytes(gzip.compress(gzip.decompress(file.read_bytes()), compresslevel=1 if not more else 9) + more)
    assert check(path).problems == [
        f"{file}: was changed after it was written: its digest does not match. "
        "Restore the original, or rerun the combination."
    ]


def test_a_renamed_record_is_found(path: Path) -> None:
    renamed = path.rename(path.with_name("better.json"))
    assert f"{renamed}: is a copy, or was renamed" in check(renamed).problems[0]


def test_missing_detections_are_found(path: Path) -> None:
    detections_of(path).unlink()
    assert f"{path}: neither {detections_of(path).name} nor an archive" in check(path).problems[0]


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
        ("chosen.candidate_threshold", 0.9),
        ("detector_alone.f1", 0.1),
        ("detector_alone.n_detections", 3),
        ("detector_alone.threshold", 0.1),
        ("detections.rows", 3),
    ],
)
def test_a_number_that_contradicts_others_is_found_although_the_digests_are_right(
    path: Path, where: str, value: Any
) -> None:
    tiny_runs.reseal(path, setting(where, value))
    record.read(path)  # its digests are right
    problems = check(path).problems
    assert problems
    assert all(str(path.with_suffix("")) in problem for problem in problems)


def test_counts_moved_from_one_frame_to_another_are_found(path: Path) -> None:
    def move(content: dict[str, Any]) -> None:
        one, other = (next(f for f in content["test"]["frames"] if (f["fp"] > 3) is many) for many in (True, False))
        one["fp"], other["fp"] = one["fp"] - 1, other["fp"] + 1

    tiny_runs.reseal(path, move)
    assert [re.sub(r"\d+", "N", problem.split(" is ")[0]) for problem in _messages(path)] == ["test.frames.N.fp"] * 2


def _messages(path: Path) -> list[str]:
    """The problems, without the record's name."""
    return [problem.removeprefix(f"{path}: ") for problem in check(path).problems]


@pytest.mark.parametrize(
    ("count", "message"), [(-1, "test.frames.0.fp is -1; it must be 4"), (10**30, "is beyond 64 bits")]
)
def test_impossible_counts_are_found(path: Path, count: int, message: str) -> None:
    tiny_runs.reseal(path, lambda content: content["test"]["frames"][0].update(fp=count))
    assert message in "".join(check(path).problems)


@pytest.mark.parametrize("where", ["test", "frames"])
def test_a_duplicate_frame_is_found(path: Path, where: str) -> None:
    def twice(content: dict[str, Any]) -> None:
        frames = content["test"]["frames"] if where == "test" else content["frames"]["test"]
        frames.append(frames[0])

    tiny_runs.reseal(path, twice)
    assert _messages(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["combination"].pop("fuser"), "combination.fuser: Field required"),
        (lambda c: c["combination"].update(more=1), "combination.more: Extra inputs are not permitted"),
        (lambda c: c["combination"].update(seed="0"), "combination.seed: Input should be a valid integer"),
        (lambda c: c["combination"].update(train_on=["elsewhere"]), "data.elsewhere missing"),
        (lambda c: c["data"]["synthetic"]["digest"].pop("test"), "data.synthetic.digest.test missing"),
        (lambda c: c["pipeline"].pop("matcher"), "pipeline.matcher: Field required"),
        (
            lambda c: c.update(status="failed", reason="none"),
            "its status is failed, but it has chosen, validation, test",
        ),
        (lambda c: c.update(detector_alone=None), "detector_alone missing"),
        (lambda c: c.update(detections=None), "detections missing"),
        (lambda c: c.update(frames=None), "frames missing"),
        (lambda c: c["detections"].update(file="../../secret"), "its detections must be in synthetic-by-slide"),
    ],
)
def test_an_incomplete_record_is_found(path: Path, change: Change, message: str) -> None:
    tiny_runs.reseal(path, change)
    assert message in "".join(check(path).problems)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("frame,x,y\nA09_00,1,2\n", "the columns are frame,x,y; they must be frame,x,y,x1,"),
        ("\n", "the columns are ; they must be"),
        (f"{','.join(COLUMNS)}\nA09_00,a{',1' * 11}\n", "row 2: x is 'a', which is not a number"),
        (f"{','.join(COLUMNS)}\nA09_00,1\n", f"row 2 has 2 columns, must have {len(COLUMNS)}"),
    ],
)
@pytest.mark.parametrize("part", ["detections", "validation"])
def test_detections_that_cannot_be_read_are_found(path: Path, part: str, text: str, message: str) -> None:
    packed, file = record.pack(text.encode()), detections_of(path, part)
    file.write_bytes(packed)
    digests = {"sha256": hashlib.sha256(text.encode()).hexdigest(), "packed": hashlib.sha256(packed).hexdigest()}
    name = {"detections": "detections", "validation": "validation_detections"}[part]
    tiny_runs.reseal(path, lambda content: content[name].update(rows=text.count("\n") - 1, **digests))
    (problem,) = check(path).problems
    assert problem.startswith(f"{file}: {message}")


# Values that may replace any other.
OTHERS = [None, "x", [], {}, -1, 1.5, True, [1], {"a": 1}]


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path to every value of a record; of lists only to the first item."""
    items = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from _places(inner, (*path, key))


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_no_content_raises_an_error(changed: Path, data: st.DataObject) -> None:
    before = changed.read_bytes()
    content = json.loads(before)
    *path, last = data.draw(st.sampled_from(list(_places(content))))
    inside = content
    for step in path:
        inside = inside[step]
    if data.draw(st.booleans()):
        del inside[last]
    else:
        inside[last] = data.draw(st.sampled_from(OTHERS))
    try:
        changed.write_bytes(record.spelled(record.Record.model_validate(content).sealed()))
        checked = check(changed)
    except ValidationError:  # the schema refuses it
        return
    finally:
        changed.write_bytes(before)
    assert all("\n" not in problem for problem in checked.problems)


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        ("stages", {}, "stages.fusion is None; it must be one of specs"),
        ("pipeline.radius_um", "x", "pipeline.radius_um: Input should be a valid number"),
        ("pipeline.radius_um", 0, "pipeline.radius_um: Input should be greater than 0"),
        ("pipeline.candidate_threshold", None, "pipeline.candidate_threshold"),
        ("specs", {"a": {}}, "specs.a.kind: Field required"),
    ],
)
def test_malformed_values_are_named(path: Path, where: str, value: Any, message: str) -> None:
    tiny_runs.reseal(path, setting(where, value))
    assert message in "".join(check(path).problems)


@pytest.mark.parametrize("name", ["not-there.json", "folder.json"])
def test_a_file_in_the_working_folder_is_named_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder.json").mkdir()
    (problem,) = check(Path(name)).problems
    assert problem.count(name) == 1
    assert "Make the record again" not in problem
