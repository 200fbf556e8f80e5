"""A record is a .json file, or the same file packed: all commands read both."""

from __future__ import annotations

import errno
import gzip
import os
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mitobench.atomic import TMP
from mitobench.cli import app
from mitobench.errors import MitobenchError, RecordError
from mitobench.foreign import limits
from mitobench.report import build
from mitobench.results import archive, record
from mitobench.results.check import verified, verified_all
from mitobench.results.folder import add_records, check_folder, find
from mitobench.results.packed_folder import pack_folder
from mitobench.results.record_files import doubled, pack, record_files, stem_of

pytestmark = pytest.mark.slow


def test_a_packed_folder_holds_the_same_records_in_less_space(records: Path) -> None:
    before = {path.name: item.digest for path, item in record.read_good(records)[0]}
    done = pack_folder(records)
    assert done.records == len(before)
    assert done.after < done.before / 2
    assert [path.name for path in records.iterdir() if not path.name.endswith((".json.gz", ".tar.xz"))] == []
    after = {path.name: item.digest for path, item in record.read_good(records)[0]}
    assert after == {f"{name}.gz": digest for name, digest in before.items()}


def test_a_packed_record_passes_every_check_and_is_remembered(records: Path) -> None:
    pack_folder(records)
    assert check_folder(records, anew=True).problems == []
    assert check_folder(records).problems == []
    assert verified_all(records)[1] == []


def test_packing_twice_changes_nothing(records: Path) -> None:
    pack_folder(records)
    packed = {path: path.read_bytes() for path in record_files(records)}
    assert pack_folder(records).records == 2
    assert {path: path.read_bytes() for path in record_files(records)} == packed


def test_a_record_that_is_there_in_both_forms_is_a_problem(records: Path, path: Path) -> None:
    path.with_name(f"{path.name}.gz").write_bytes(pack(b"{}"))
    (problem,) = doubled(record_files(records))
    assert problem.startswith(f"{path}: {path.name}.gz is there as well.")
    assert problem in check_folder(records).problems
    before = sorted(records.iterdir())
    with pytest.raises(RecordError, match="is there as well"):
        pack_folder(records)
    assert sorted(records.iterdir()) == before


def test_an_interrupted_call_is_completed_by_the_next(records: Path, path: Path) -> None:
    path.with_name(f"{path.name}.gz").write_bytes(pack(path.read_bytes()))
    pack_folder(records)
    assert not path.exists()
    assert check_folder(records).problems == []


@pytest.mark.parametrize("content", [b'{"a": ', b"[1]", b"{}"])
def test_nothing_is_packed_if_a_file_is_not_a_record(records: Path, content: bytes) -> None:
    (records / "zz.json").write_bytes(content)
    with pytest.raises(RecordError, match=r"zz\.json"):
        pack_folder(records)
    assert list(records.glob("*.json.gz")) == []


@pytest.mark.parametrize("end", [b"\0" * 100, pack(b"")], ids=["zeros", "member"])
def test_a_packed_record_with_more_bytes_is_a_problem(records: Path, path: Path, end: bytes) -> None:
    pack_folder(records)
    packed = path.with_name(f"{path.name}.gz")
    packed.write_bytes(packed.read_bytes() + end)
    assert any("other bytes" in problem for problem in check_folder(records).problems)


def test_a_packed_record_with_a_name_in_its_header_is_a_problem(records: Path, path: Path) -> None:
    content = path.read_bytes()
    pack_folder(records)
    with gzip.GzipFile("a" * 1000, "wb", fileobj=path.with_name(f"{path.name}.gz").open("wb")) as file:
        file.write(content)
    assert any("other bytes" in problem for problem in check_folder(records).problems)


def test_a_full_disk_loses_neither_a_packed_record_nor_its_detections(
    records: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = record.read(path)
    pack_folder(records)
    before = {file: file.read_bytes() for file in records.iterdir()}
    written = Path.write_bytes

    def full_for_records(target: Path, content: bytes) -> int:
        if content.startswith(b"{"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return written(target, content)

    monkeypatch.setattr(Path, "write_bytes", full_for_records)
    with pytest.raises(MitobenchError, match=r"\.json: cannot be written: No space left on device"):
        record.write(records, found, "frame\n", "frame\n")
    assert {file: file.read_bytes() for file in records.iterdir()} == before


@pytest.mark.parametrize("ending", [".detections.csv.gz", ".validation.csv.gz"])
def test_a_disk_that_is_full_at_the_detections_loses_nothing_either(
    records: Path, path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = record.read(path)
    pack_folder(records)
    before = {file: file.read_bytes() for file in records.iterdir()}
    written = record.atomic_file

    def full_for_detections(target: Path) -> Any:
        if target.name.endswith(ending):
            raise OSError(errno.ENOSPC, "No space left on device")
        return written(target)

    monkeypatch.setattr(record, "atomic_file", full_for_detections)
    with pytest.raises(MitobenchError, match=rf"{re.escape(ending)}: cannot be written: No space left on device"):
        record.write(records, found, "frame\n", "frame\n")
    assert {file: file.read_bytes() for file in records.iterdir()} == before


def test_a_record_that_is_written_again_replaces_the_packed_one(records: Path, path: Path) -> None:
    found = record.read(path)
    texts = [record.text_of(path, entry) for entry in (found.detections, found.validation_detections) if entry]
    pack_folder(records)
    assert record.write(records, found, *texts) == path
    assert not path.with_name(f"{path.name}.gz").exists()
    assert check_folder(records).problems == []


def test_a_failed_record_never_replaces_a_packed_good_one(records: Path, path: Path) -> None:
    found = record.read(path)
    pack_folder(records)
    changes = dict.fromkeys((*record.SCORES, "frames", "validation_detections"))
    failed = found.model_copy(update={**changes, "status": "failed", "reason": "out of memory"})
    assert record.write(records, failed, None) == path.with_name(f"{path.name}.gz")
    assert not path.exists()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"not gzip", "is not gzip, or is damaged"),
        (pack(b"{}")[:-6], "is cut short"),
        (pack(b" " * (limits.MAX_RECORD_BYTES + 1)), "holds more than"),
        (pack(b"[1]"), "its JSON is not an object"),
        (pack(b"\xff"), "is not UTF-8 text"),
    ],
    ids=["text", "cut", "bomb", "list", "latin"],
)
def test_a_damaged_or_hostile_packed_record_is_reported(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "one.json.gz"
    path.write_bytes(content)
    for reading in (record.read, verified):
        with pytest.raises(RecordError, match=says) as caught:
            reading(path)
        assert str(caught.value).startswith(str(path))


def test_a_packed_record_of_another_name_is_a_copy(records: Path, path: Path) -> None:
    pack_folder(records)
    packed = path.with_name(f"{path.name}.gz")
    packed.rename(packed.with_name("other.json.gz"))
    assert any("is a copy, or was renamed" in problem for problem in check_folder(records).problems)


def test_leaving_detections_out_of_an_archive_keeps_those_that_records_claim(records: Path) -> None:
    """The archive that replaces one to which a file was added has the name of the original one."""
    pack_folder(records)
    (found,) = archive.archives(records)
    own = archive.read(found)
    (larger,) = archive.write(records, "x", {**own, "zzz.detections.csv": b"frame\n"})
    larger.replace(found)
    assert pack_folder(records).left_out == ["zzz.detections.csv"]
    assert archive.archives(records) == [found]
    assert archive.read(found) == own
    assert check_folder(records).problems == []


@pytest.mark.parametrize("original_stays", [True, False])
def test_a_renamed_archive_is_a_problem_until_it_is_packed_again(records: Path, original_stays: bool) -> None:
    pack_folder(records)
    (found,) = archive.archives(records)
    renamed = found.with_name(f"renamed{archive.ENDING}")
    renamed.write_bytes(found.read_bytes())
    if not original_stays:
        found.unlink()
    (problem,) = check_folder(records).problems
    assert problem.startswith(f"{renamed}: is a copy, or was renamed")
    pack_folder(records)
    (named,) = archive.archives(records)
    assert (named == found) == original_stays
    assert archive.is_original(named)
    assert check_folder(records).problems == []


@pytest.mark.parametrize("link", ["original", "renamed"])
def test_a_link_and_its_archive_become_one_archive(records: Path, link: str) -> None:
    pack_folder(records)
    (found,) = archive.archives(records)
    renamed = found.with_name(f"renamed{archive.ENDING}")
    if link == "original":
        found.rename(renamed)
        found.symlink_to(renamed)
    else:
        renamed.symlink_to(found)
    pack_folder(records)
    assert archive.archives(records) == [found]
    assert not found.is_symlink()
    assert check_folder(records).problems == []


def test_two_archives_of_exchanged_names_lose_nothing(records: Path) -> None:
    pack_folder(records)
    (found,) = archive.archives(records)
    texts = archive.read(found)
    found.unlink()
    first, second = (archive.write(records, "x", {name: text})[0] for name, text in list(texts.items())[:2])
    archive.write(records, "x", dict(list(texts.items())[2:]))
    aside = first.rename(first.with_name("aside"))
    second.rename(first)
    aside.rename(second)
    pack_folder(records)
    assert check_folder(records).problems == []
    assert {name for one in archive.archives(records) for name in archive.read(one)} == set(texts)


def test_an_archive_of_two_splits_that_has_the_name_of_one_loses_nothing(
    records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack_folder(records)
    (found,) = archive.archives(records)
    texts = {**archive.read(found), "other-split.detections.csv": b"frame\n"}
    (merged,) = archive.write(records, "x", texts)
    merged.replace(found)

    def full(*_: object) -> None:
        raise MitobenchError("No space left on device")

    monkeypatch.setattr(archive, "write_atomic", full)
    with pytest.raises(MitobenchError, match="No space left"):
        pack_folder(records)
    assert {name for one in archive.archives(records) for name in archive.read(one)} == set(texts)


def test_a_renamed_record_is_not_packed(records: Path, path: Path) -> None:
    path.rename(path.with_name("old.json"))
    with pytest.raises(RecordError, match="is a copy, or was renamed"):
        pack_folder(records)


def test_what_a_run_wrote_while_its_record_was_packed_stays(
    records: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = record.read(path)
    texts = [record.text_of(path, entry) for entry in (found.detections, found.validation_detections) if entry]
    written = archive.write

    def again(*arguments: Any) -> Any:
        record.write(records, found, f"{texts[0]}\n", texts[1])
        return written(*arguments)

    monkeypatch.setattr(archive, "write", again)
    pack_folder(records)
    made = path if path.is_file() else path.with_name(f"{path.name}.gz")
    entry = record.read(made).detections
    assert entry is not None
    assert record.text_of(made, entry) == f"{texts[0]}\n"


def test_a_record_that_was_packed_by_another_program_is_packed_again(records: Path, path: Path) -> None:
    pack_folder(records)
    packed = path.with_name(f"{path.name}.gz")
    content = packed.read_bytes()
    with gzip.GzipFile(packed, "wb", mtime=1_700_000_000) as file:
        file.write(gzip.decompress(content))
    (problem,) = check_folder(records).problems
    assert "mitobench leaderboard pack" in problem
    pack_folder(records)
    assert packed.read_bytes() == content


def test_a_folder_that_cannot_be_read_is_no_empty_one(records: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (records / "below").mkdir()
    scan = os.scandir

    def refuse(place: Any) -> Any:
        if Path(place).name == "below":
            raise PermissionError(errno.EACCES, "Permission denied", place)
        return scan(place)

    monkeypatch.setattr(os, "scandir", refuse)
    for read in (record_files, pack_folder, check_folder, verified_all):
        with pytest.raises(RecordError, match="below: cannot be read: Permission denied"):
            read(records)


def test_what_others_are_writing_is_not_read(records: Path) -> None:
    """It is in folders that only their users may read."""
    (records / f"{TMP}theirs").mkdir()
    (records / f"{TMP}theirs" / "half.json").write_text("{")
    assert check_folder(records).problems == []


def test_adding_says_how_many_were_added_before_one_that_could_not_be(
    records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = record_files(records)
    written = record.atomic_file

    def full(target: Path) -> Any:
        if target.name == second.name:
            raise OSError(errno.ENOSPC, "No space left on device")
        return written(target)

    monkeypatch.setattr(record, "atomic_file", full)
    with pytest.raises(MitobenchError, match=r"No space left on device.*Added before it: 1 record,"):
        add_records([first, second], tmp_path / "records")
    assert record_files(tmp_path / "records") == [tmp_path / "records" / first.name]


def test_a_damaged_archive_is_reported_for_each_record_that_needs_it(records: Path, path: Path) -> None:
    pack_folder(records)
    (found,) = archive.archives(records)
    found.write_bytes(found.read_bytes()[:-40])
    packed = record_files(records)
    problems = [problem for problem in check_folder(records).problems if not problem.startswith(f"{found}: ")]
    starts = [f"{one}: its detections cannot be read. {found}: is cut short" for one in packed]
    assert [problem[: len(start)] for problem, start in zip(problems, starts, strict=True)] == starts
    with pytest.raises(RecordError) as caught:
        record.read_detections(packed[0], record.read(packed[0]))
    assert "Make the record again" not in str(caught.value), "its archive can be restored"


def test_packed_records_can_be_added_to_a_leaderboard(records: Path, path: Path, tmp_path: Path) -> None:
    pack_folder(records)
    found = find([records])
    assert {stem_of(one) for one in found} == {stem_of(one) for one in record_files(records)}
    added = add_records(found, tmp_path / "records")
    assert not any(one.already_there for one in added)
    assert check_folder(tmp_path / "records").problems == []
    detections = path.with_name(f"{stem_of(path)}{record.DETECTIONS}")
    assert find([detections]) == [path.with_name(f"{path.name}.gz")]


def test_a_record_of_another_folder_brings_its_detections_from_the_archive(
    records: Path, path: Path, tmp_path: Path
) -> None:
    pack_folder(records)
    packed = path.with_name(f"{path.name}.gz")
    add_records([packed], tmp_path / "records")
    assert [found.name for found in record_files(tmp_path / "records")] == [packed.name]
    assert check_folder(tmp_path / "records", anew=True).problems == []


def test_detections_in_an_archive_without_their_record_are_a_problem(records: Path, path: Path) -> None:
    pack_folder(records)
    path.with_name(f"{path.name}.gz").unlink()
    (problem,) = check_folder(records).problems
    assert "has 2 files of detections that no record next to it claims" in problem
    packed = pack_folder(records)
    assert sorted(packed.left_out) == sorted(
        f"{stem_of(path)}{ending.removesuffix('.gz')}" for ending in record.ENDINGS.values()
    )
    assert check_folder(records).problems == []


def test_a_record_whose_archive_is_missing_says_what_to_copy(records: Path, path: Path) -> None:
    pack_folder(records)
    (found,) = archive.archives(records)
    found.unlink()
    with pytest.raises(RecordError, match=r"nor an archive .* next to it has its detections\. Copy"):
        verified(path.with_name(f"{path.name}.gz"))


def test_an_archive_stands_for_its_records(records: Path, tmp_path: Path) -> None:
    pack_folder(records)
    assert find(archive.archives(records)) == record_files(records)
    added = add_records(find([*records.iterdir()]), tmp_path / "records")
    assert len(added) == 2


def test_records_that_are_added_to_a_packed_folder_get_an_archive_of_their_own(records: Path, tmp_path: Path) -> None:
    first, second = record_files(records)
    add_records([first], tmp_path / "records")
    pack_folder(tmp_path / "records")
    (old,) = archive.archives(tmp_path / "records")
    content = old.read_bytes()
    add_records([second], tmp_path / "records")
    pack_folder(tmp_path / "records")
    assert old.read_bytes() == content
    assert len(archive.archives(tmp_path / "records")) == 2
    assert check_folder(tmp_path / "records", anew=True).problems == []


def test_changed_detections_in_an_archive_are_a_problem(records: Path, path: Path) -> None:
    found = record.read(path)
    pack_folder(records)
    (old,) = archive.archives(records)
    texts = {f"{name}.gz": text for name, text in archive.read(old).items()}
    assert found.detections is not None
    texts[found.detections.file] = texts[found.detections.file].replace(b"0.", b"1.", 1)
    old.unlink()
    (new,) = archive.write(records, "forged", texts)
    problems = check_folder(records).problems
    assert any(f"{new}: was changed after it was written" in problem for problem in problems)


def test_a_record_that_was_made_again_is_packed_beside_the_old_archive(records: Path, path: Path) -> None:
    found = record.read(path)
    texts = [record.text_of(path, entry) for entry in (found.detections, found.validation_detections) if entry]
    pack_folder(records)
    (old,) = archive.archives(records)
    lines = texts[1].splitlines(keepends=True)
    record.write(records, found, texts[0], "".join(lines[:-1]))
    pack_folder(records)
    assert old not in archive.archives(records), "it has a text that no record claims"
    assert check_folder(records).problems != [], "the detections are not those of its numbers"
    again = record.read(path.with_name(f"{path.name}.gz"))
    assert again.validation_detections is not None
    assert record.text_of(path.with_name(f"{path.name}.gz"), again.validation_detections) == "".join(lines[:-1])


def test_a_plain_record_is_already_there_where_it_is_packed(records: Path, tmp_path: Path) -> None:
    add_records(find([records]), tmp_path / "records")
    pack_folder(tmp_path / "records")
    assert all(one.already_there for one in add_records(find([records]), tmp_path / "records"))


def test_the_command_packs_builds_and_links_the_packed_files(records: Path) -> None:
    board = records.parent
    build.build(board, read=verified_all)
    done = CliRunner().invoke(app, ["leaderboard", "pack", str(board)])
    assert done.exit_code == 0, done.output
    assert "2 records: " in done.output
    checked = CliRunner().invoke(app, ["leaderboard", "check", str(board)], env={"MITOBENCH_DATA": None})
    assert checked.exit_code == 0, checked.output
    page = "".join(file.read_text() for file in board.glob("sections/*.md"))
    assert ".json.gz" in page


def test_links_of_experiments_follow_their_records(records: Path, path: Path) -> None:
    page = records.parent / "experiments" / "mine.md"
    page.parent.mkdir()
    page.write_text(f"[s0](../records/{path.name}) [gone](../records/gone.json) [other](../other.json)\n")
    assert CliRunner().invoke(app, ["leaderboard", "pack", str(records.parent)]).exit_code == 0
    links = f"[s0](../records/{path.name}.gz) [gone](../records/gone.json) [other](../other.json)\n"
    assert page.read_text() == links
