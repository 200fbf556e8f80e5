"""The detections of a packed leaderboard are in archives, which may come from anybody."""

from __future__ import annotations

import hashlib
import io
import lzma
import os
import tarfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mitobench.errors import RecordError
from mitobench.results import archive

TEXTS = {"a.detections.csv.gz": b"frame,x\nA,1\n", f"{'b' * 150}.validation.csv.gz": b"frame,x\n"}


def test_what_is_written_is_found_by_its_name_outside_the_archive(tmp_path: Path) -> None:
    (path,) = archive.write(tmp_path, "mitos2012-official", TEXTS)
    assert path.name.startswith("mitos2012-official-")
    for name, text in TEXTS.items():
        assert list(archive.find(tmp_path, name)) == [(path, text)]
    assert list(archive.find(tmp_path, "c.detections.csv.gz")) == []


def test_equal_texts_give_equal_files_and_an_archive_is_never_replaced_by_another(tmp_path: Path) -> None:
    (first,) = archive.write(tmp_path, "a", TEXTS)
    content = first.read_bytes()
    assert archive.write(tmp_path, "a", dict(reversed(TEXTS.items()))) == [first]
    assert first.read_bytes() == content
    assert archive.write(tmp_path, "a", {"a.detections.csv.gz": b"other"}) != [first]


def test_several_archives_may_have_a_file(tmp_path: Path) -> None:
    archive.write(tmp_path, "a", TEXTS)
    archive.write(tmp_path, "b", {"a.detections.csv.gz": b"new"})
    texts = [text for _, text in archive.find(tmp_path, "a.detections.csv.gz")]
    assert texts == [b"frame,x\nA,1\n", b"new"]


def test_a_changed_archive_is_read_again(tmp_path: Path) -> None:
    (path,) = archive.write(tmp_path, "a", TEXTS)
    archive.read(path)
    (other,) = archive.write(tmp_path, "b", {"other.csv.gz": b"1"})
    os.replace(other, path)
    os.utime(path, ns=(1, 1))
    assert set(archive.read(path)) == {"other.csv"}


def hostile(folder: Path, *members: tarfile.TarInfo, end: bytes = b"") -> Path:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(b"x" * member.size))
    path = folder / f"hostile{archive.ENDING}"
    path.write_bytes(lzma.compress(content.getvalue()) + end)
    return path


def member(name: str, size: int = 1, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ([member("../a.csv")], "may hold files NAME.csv only"),
        ([member("/etc/a.csv")], "may hold files NAME.csv only"),
        ([member("a.json")], "may hold files NAME.csv only"),
        ([member("a.csv", 0, tarfile.SYMTYPE)], "may hold files NAME.csv only"),
        ([member("a.csv", 0, tarfile.DIRTYPE)], "may hold files NAME.csv only"),
        ([member("a.csv", 0, tarfile.GNUTYPE_SPARSE)], "may hold files NAME.csv only"),
        ([member("a.csv"), member("a.csv")], "each once"),
    ],
)
def test_only_files_of_detections_are_read(tmp_path: Path, members: list[tarfile.TarInfo], says: str) -> None:
    path = hostile(tmp_path, *members)
    with pytest.raises(RecordError, match=says) as caught:
        archive.read(path)
    assert str(caught.value).startswith(str(path))


def test_what_unpacks_to_more_than_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = hostile(tmp_path, member("a.csv", 100_000))
    monkeypatch.setattr(archive, "MAX_UNPACKED_BYTES", 50_000)
    with pytest.raises(RecordError, match="more than 50,000 bytes"):
        archive.read(path)


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = hostile(tmp_path, *(member(f"{number}.csv") for number in range(5)))
    monkeypatch.setattr(archive, "MAX_MEMBERS", 4)
    with pytest.raises(RecordError, match="more than 4 files"):
        archive.read(path)


def test_what_is_too_large_for_one_archive_is_divided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_UNPACKED_BYTES", 60_000)
    texts = {f"{number}.csv.gz": bytes([65 + number]) * 20_000 for number in range(5)}
    paths = archive.write(tmp_path, "a", texts)
    assert len(paths) > 1
    assert {f"{name}.gz": text for path in paths for name, text in archive.read(path).items()} == texts


def test_a_label_is_no_path(tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    (path,) = archive.write(tmp_path / "records", "mitos2012-/../../escaped", TEXTS)
    assert path.parent == tmp_path / "records"
    assert path.is_file()


def test_sparse_files_and_chains_of_headers_are_refused(tmp_path: Path) -> None:
    info = member("a.csv", 0)
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "400000000"}
    with pytest.raises(RecordError):
        archive.read(hostile(tmp_path, info))
    headers = io.BytesIO()
    for _ in range(3000):
        header = member("././@LongLink", 1, tarfile.GNUTYPE_LONGNAME)
        headers.write(header.tobuf(tarfile.GNU_FORMAT) + b"x".ljust(512, b"\0"))
    path = tmp_path / f"chain{archive.ENDING}"
    path.write_bytes(lzma.compress(headers.getvalue()))
    with pytest.raises(RecordError):
        archive.read(path)


def test_a_tar_with_more_than_its_files_is_refused(tmp_path: Path) -> None:
    (path,) = archive.write(tmp_path, "a", TEXTS)
    path.write_bytes(lzma.compress(lzma.decompress(path.read_bytes()) + b"more"))
    os.utime(path, ns=(1, 1))
    with pytest.raises(RecordError, match="more than its files"):
        archive.read(path)


def test_a_broken_archive_does_not_hide_what_others_have(tmp_path: Path) -> None:
    (path,) = archive.write(tmp_path, "b", TEXTS)
    (tmp_path / f"a{archive.ENDING}").write_bytes(b"junk" * 100)
    (tmp_path / f"link{archive.ENDING}").symlink_to(tmp_path / "nowhere")
    assert next(archive.find(tmp_path, "a.detections.csv.gz"))[0] == path
    with pytest.raises(RecordError, match="is not packed with xz"):
        list(archive.find(tmp_path, "c.detections.csv.gz"))


def test_every_archive_is_unpacked_once_however_many_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"{number}.detections.csv.gz" for number in range(30)]
    for name in names:
        archive.write(tmp_path, name.partition(".")[0], {name: name.encode()})
    unpacked: list[Path] = []
    unpack = archive._unpacked
    monkeypatch.setattr(archive, "_unpacked", lambda path: unpacked.append(path) or unpack(path))
    archive._read.cache_clear()
    for name in names:
        assert archive.digests(tmp_path, name) == [hashlib.sha256(name.encode()).hexdigest()]
    assert len(unpacked) == len(names)
    for name in names:
        assert [text for _, text in archive.find(tmp_path, name)] == [name.encode()]
    assert len(unpacked) <= 2 * len(names), "only the archive that has a text is unpacked for it"


def test_bytes_behind_the_end_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="bytes behind its end"):
        archive.read(hostile(tmp_path, member("a.csv"), end=b"more"))


def test_a_text_that_is_packed_but_no_tar_is_refused(tmp_path: Path) -> None:
    path = tmp_path / f"a{archive.ENDING}"
    path.write_bytes(lzma.compress(b"text" * 1000))
    with pytest.raises(RecordError, match="is not a tar file"):
        archive.read(path)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 10_000), value=st.integers(0, 255), cut=st.booleans())
def test_a_damaged_archive_is_an_error_or_reads_as_it_was(tmp_path: Path, at: int, value: int, cut: bool) -> None:
    (path,) = archive.write(tmp_path, "a", TEXTS)
    whole = path.read_bytes()
    at %= len(whole)
    damaged = tmp_path / f"damaged{archive.ENDING}"
    damaged.write_bytes(whole[:at] if cut else whole[:at] + bytes([value]) + whole[at + 1 :])
    archive._read.cache_clear()
    with suppress(RecordError):
        assert archive.read(damaged) == archive.read(path)
