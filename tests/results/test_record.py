"""A record is read as it was written, or refused."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from records import DETECTIONS, detections, failed, ok

from mitobench.errors import MitobenchError, RecordError
from mitobench.results import record
from mitobench.results.consistency import contradictions

# U+FF08 is spelled \uff08, which one changed digit makes half a character; 1e-05 so becomes infinite.
NOTE = "synthetic （made by a program）"
VALIDATION = detections(("A00_00", 10, 20, 0.8, 1))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record.write(tmp_path_factory.mktemp("records"), ok(notes=[NOTE]), DETECTIONS, VALIDATION)


def test_what_is_written_is_read(written: Path) -> None:
    found = record.read(written)
    entries = {name: found.content()[name] for name in ("detections", "validation_detections")}
    assert found.content() == ok(notes=[NOTE]).content() | entries
    assert found.run == ok().run
    assert record.read_detections(written, found).score.tolist() == [0.9, 0.5]
    stored = record.read_validation(written, found)
    assert stored is not None
    assert stored.score.tolist() == [0.8]


def test_a_record_may_have_no_detections_on_validation(tmp_path: Path) -> None:
    path = record.write(tmp_path, ok(), DETECTIONS)
    assert record.read_validation(path, record.read(path)) is None


def test_equal_records_are_equal_bytes(written: Path, tmp_path: Path) -> None:
    again = record.write(tmp_path, ok(notes=[NOTE]), DETECTIONS, VALIDATION)
    assert again.name == written.name
    assert again.read_bytes() == written.read_bytes()
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {
        p.name: p.read_bytes() for p in written.parent.iterdir()
    }


def test_a_failed_record_has_a_reason_and_no_detections(tmp_path: Path) -> None:
    path = record.write(tmp_path, failed(reason="out of memory"), None)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert record.read(path).reason == "out of memory"
    with pytest.raises(RecordError, match="failed has no detections"):
        record.read_detections(path, record.read(path))


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_any_changed_byte_is_found_or_changes_nothing(written: Path, data: st.DataObject) -> None:
    content = bytearray(written.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    _is_refused_or_equal(written, bytes(content))


@pytest.mark.parametrize(
    ("before", "after"), [(r"\uff08", r"\udf08"), ("1e-05", "1e905"), ('"seed": 0', '"seed": 1'), ("12.5", "19.5")]
)
def test_a_changed_value_is_found(written: Path, before: str, after: str) -> None:
    text = written.read_text()
    assert before in text
    assert not _is_refused_or_equal(written, text.replace(before, after, 1).encode())


def _is_refused_or_equal(written: Path, content: bytes) -> bool:
    """Whether changed bytes read as the record that was written; anything else must be refused."""
    changed = written.with_suffix(".changed")
    changed.write_bytes(content)
    try:
        found = record.read(changed)
    except RecordError:
        return False
    assert found == record.read(written)
    return True


@settings(max_examples=200, deadline=None)
@given(data=st.data(), name=st.sampled_from(["detections", "validation_detections"]))
def test_any_changed_byte_of_the_detections_is_found(
    written: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, name: str
) -> None:
    made = record.read(written)
    entry = getattr(made, name)
    folder = tmp_path_factory.mktemp("changed")
    content = bytearray((written.parent / entry.file).read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    (folder / entry.file).write_bytes(content)
    with pytest.raises(RecordError, match="its digest does not match"):
        record.text_of(folder / written.name, entry)


def test_detections_of_another_record_are_refused(tmp_path: Path) -> None:
    path = record.write(tmp_path, ok(), DETECTIONS)
    made = record.read(path)
    assert made.detections is not None
    (tmp_path / made.detections.file).write_bytes(gzip.compress(DETECTIONS.replace("0.9", "0.8").encode()))
    with pytest.raises(RecordError, match="its digest does not match"):
        record.read_detections(path, made)


@pytest.mark.parametrize("name", ["../../secret", "secret.txt", "../records.detections.csv.gz"])
def test_detections_elsewhere_are_not_read(tmp_path: Path, name: str) -> None:
    path = record.write(tmp_path, ok(), DETECTIONS)
    made = record.read(path)
    assert made.detections is not None
    with pytest.raises(RecordError, match="the file of its detections must be in the same folder"):
        record.text_of(path, made.detections.model_copy(update={"file": name}))


def test_a_failure_does_not_replace_a_good_record_of_the_same_stages(tmp_path: Path) -> None:
    path = record.write(tmp_path, ok(), DETECTIONS)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert record.write(tmp_path, failed(), None) == path
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("version", "fix"), [(0, "Read it with"), (1, "leaderboard migrate --data"), (3, "Read it"), ("2", ""), (None, "")]
)
def test_another_schema_version_is_refused_with_both_versions_and_the_fix(
    written: Path, tmp_path: Path, version: object, fix: str
) -> None:
    path = tmp_path / "other.json"
    path.write_text(json.dumps(json.loads(written.read_text()) | {"schema_version": version}))
    with pytest.raises(
        RecordError, match=rf"other\.json: has schema version {version!r}, this mitobench reads 2.*{fix}"
    ):
        record.read(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ":1: is not valid JSON"),
        ("{\n\n!", ":3: is not valid JSON"),
        ("[]", "is not a record: its JSON is not an object"),
        pytest.param("[" * 20_000, "levels deep", id="deep"),
        pytest.param("9" * 5_000, "beyond 64 bits", id="long"),
    ],
)
def test_a_file_that_is_not_a_record_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "broken.json"
    path.write_text(text)
    with pytest.raises(RecordError, match=f"broken.json.*{message}"):
        record.read(path)


@pytest.mark.parametrize("depth", [300, 600, 900, 970, 990])
def test_a_record_that_is_nested_too_deeply_is_refused(written: Path, tmp_path: Path, depth: int) -> None:
    path = tmp_path / "deep.json"
    path.write_text(
        written.read_text().replace(
            '"training_info": {}', f'"training_info": {{"a": {{"b": {"[" * depth}{"]" * depth}}}}}', 1
        )
    )
    with pytest.raises(RecordError, match=r"deep\.json"):
        record.read(path)


def test_a_missing_record_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"none\.json: cannot be read: No such file"):
        record.read(tmp_path / "none.json")


def test_a_write_that_fails_leaves_the_old_record_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = record.write(tmp_path, failed(reason="first"), None)
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(MitobenchError, match=r"cannot be written.*disk full"):
        record.write(tmp_path, failed(reason="second"), None)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes() == before


def test_the_name_says_what_was_computed_and_has_no_special_characters() -> None:
    stem = ok(detector="../../<b>|", seed=3).stem
    assert stem.startswith("mitos2012-official-fixed-.._.._b_-resnet50-linear-s3-")
    assert not set(stem) & set('/\\<>|"*? ')


def test_a_repetition_has_the_same_name_and_another_option_changes_it() -> None:
    one = ok()
    other = one.plugins["detector"].model_copy(update={"options": {"lr": 0.1}})
    changed = one.model_copy(update={"plugins": {**one.plugins, "detector": other}})
    assert one.stem == ok(f1=0.9).stem == failed().stem
    assert changed.stem != one.stem
    assert ok(data_digest="e" * 64).stem != one.stem


def test_seeds_are_one_series_and_different_data_are_not() -> None:
    assert ok(seed=0).series == ok(seed=1).series != ok(data_digest="e" * 64).series
    assert ok(seed=0).identity != ok(seed=1).identity
    made = ok()
    threads = made.model_copy(update={"pipeline": {**made.pipeline, "threads": 7}})
    assert threads.identity == made.identity, "a repetition on another machine replaces the record"


def test_what_a_fit_reported_cannot_be_changed_unnoticed() -> None:
    before = ok().sealed()
    changed = before.model_copy(update={"training_info": {"verifier": {"patches": {"imposters": 3}}}}).sealed()
    assert (changed.digest != before.digest, changed.run_digest) == (True, before.run_digest)


def test_run_and_content_have_digests_of_their_own() -> None:
    before = ok().sealed()
    timed = before.model_copy(update={"run": before.run.model_copy(update={"seconds_a_candidate": 0.1})}).sealed()
    assert (timed.digest, timed.run_digest != before.run_digest) == (before.digest, True)


@pytest.mark.parametrize(
    ("role", "name"), [("detector", "blobs"), ("verifier", "none"), ("fuser", "product"), ("estimator", "mask")]
)
def test_a_part_with_another_plugin_is_refused(tmp_path: Path, role: str, name: str) -> None:
    made = ok()
    other = made.plugins[role].model_copy(update={"name": name})
    path = record.write(tmp_path, made.model_copy(update={"plugins": {**made.plugins, role: other}}), DETECTIONS)
    with pytest.raises(RecordError, match=f"plugins.{role} '{made.combination[role]}' missing"):
        record.read(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"pipeline": {"matcher": 5, "radius_um": 5.0, "candidate_threshold": None}},
        {"pipeline": {"matcher": "mitos", "radius_um": [5], "candidate_threshold": None}},
        {"pipeline": {"matcher": "mitos", "radius_um": 0.0, "candidate_threshold": None}},
        {"pipeline": {"matcher": "mitos", "radius_um": 5.0, "candidate_threshold": None, "processes": 10**6}},
        {"pipeline": {"matcher": "mitos", "radius_um": 5.0, "candidate_threshold": None, "threads": 0}},
        {"pipeline": {"matcher": "mitos", "radius_um": 5.0}},
        {"specs": {"k": {}}},
        {"specs": {"k": {"kind": 1, "plugin": [], "frames": None, "settings": 2, "upstream": {"a": []}}}},
    ],
)
def test_open_values_must_have_the_form_that_readers_rely_on(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = record.write(tmp_path, ok().model_copy(update=changes), DETECTIONS)
    with pytest.raises(RecordError, match="not a complete record"):
        record.read(path)


def test_a_record_without_the_stages_of_its_scores_is_a_contradiction() -> None:
    assert {"stages.fusion", "stages.evaluation"} <= {wrong.path for wrong in contradictions(ok())}
