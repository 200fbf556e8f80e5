"""Records that were found to be right are not computed again, until a byte of them or of the code changes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from records import frame, ok, write_complete_record

from mitobench.results import check as checking
from mitobench.results import known, record
from mitobench.results.check import verified_all
from mitobench.results.folder import check_folder


@pytest.fixture
def checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The paths of records that are computed again from now on."""
    monkeypatch.setenv("MITOBENCH_CACHE", str(tmp_path / "cache"))
    computed: list[Path] = []
    check = checking.check

    def counted(path: Path, annotation: object = None) -> checking.RecordCheck:
        computed.append(path)
        return check(path)

    monkeypatch.setattr(checking, "check", counted)
    return computed


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_complete_record(tmp_path / "records", ok(), [frame("A00_00", 3, 1, 2), frame("A01_00", 2, 2, 0)])


def test_an_unchanged_record_is_computed_once(checked: list[Path], path: Path) -> None:
    first, again = verified_all(path.parent), verified_all(path.parent)
    assert checked == [path]
    assert first == again == ([(path, record.read(path))], [])
    assert check_folder(path.parent).problems == []
    assert checked == [path]


def test_it_is_known_by_its_content_and_name_wherever_it_is(checked: list[Path], path: Path, tmp_path: Path) -> None:
    verified_all(path.parent)
    copy = Path(shutil.copytree(path.parent, tmp_path / "other"))
    assert len(verified_all(copy)[0]) == 1
    assert checked == [path]
    (copy / path.name).rename(copy / "renamed.json")
    assert "renamed" in verified_all(copy)[1][0]


@pytest.mark.parametrize("ending", [".json", ".detections.csv.gz", ".validation.csv.gz"])
def test_a_changed_byte_is_found(checked: list[Path], path: Path, ending: str) -> None:
    verified_all(path.parent)
    file = path.with_name(f"{path.stem}{ending}")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))
    good, broken = verified_all(path.parent)
    assert not good
    assert len(broken) == 1
    assert len(check_folder(path.parent).problems) >= 1


def test_another_version_of_the_code_computes_it_again(
    checked: list[Path], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified_all(path.parent)
    monkeypatch.setattr(known, "_code", lambda: "another")
    verified_all(path.parent)
    assert checked == [path, path]


def test_a_record_that_is_wrong_is_never_known(checked: list[Path], path: Path) -> None:
    wrong = record.read(path)
    assert wrong.test
    text = record.text_of(path, wrong.detections) if wrong.detections else ""
    record.write(path.parent, wrong.model_copy(update={"test": wrong.test.model_copy(update={"tp": 1})}), text, text)
    for _ in range(2):
        assert verified_all(path.parent)[0] == []
    assert checked == [path, path]


def test_equal_frames_and_counts_are_in_memory_once(checked: list[Path], path: Path) -> None:
    write_complete_record(path.parent, ok(seed=1), [frame("A00_00", 3, 1, 2), frame("A01_00", 2, 2, 0)])
    (_, one), (_, other) = verified_all(path.parent)[0]
    assert one.frames is other.frames
    assert one.test
    assert other.test
    assert one.test.frames[0] is other.test.frames[0]
