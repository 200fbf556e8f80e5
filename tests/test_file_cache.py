"""Digests are remembered while files are unchanged, and only then."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import re
import time
from pathlib import Path

import pytest

from mitobench import file_cache
from mitobench.datasets.dataset import file_digest
from mitobench.file_cache import computing_anew, remembered


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache file of this test; files count as settled at once."""
    monkeypatch.setenv("MITOBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(file_cache, "SETTLED_NS", 0)
    return tmp_path / "cache" / "files.txt"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "frame.tif"
    path.write_bytes(b"pixels")
    return path


class Counter:
    """Computes 1, 2, 3 ..."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        return str(self.calls)


def again(path: Path, count: Counter) -> str:
    """As another process would ask: nothing is in memory."""
    file_cache._Cache._open.clear()
    return remembered("count", [("image", path)], count)


def test_a_value_is_computed_once(file: Path) -> None:
    count = Counter()
    assert [again(file, count) for _ in range(3)] == ["1", "1", "1"]


def test_equal_size_and_a_modification_time_that_was_put_back_are_noticed(file: Path) -> None:
    count, before = Counter(), file.stat()
    again(file, count)
    time.sleep(0.02)  # the change time has the resolution of the kernel's clock
    file.write_bytes(b"PIXELS")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = file.stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert again(file, count) == "2"


def test_another_file_under_the_same_name_is_noticed(file: Path, tmp_path: Path) -> None:
    count, before = Counter(), file.stat()
    again(file, count)
    other = tmp_path / "other"
    other.write_bytes(b"PIXELS")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    os.replace(other, file)
    assert again(file, count) == "2"


def test_a_file_that_changed_just_now_is_not_remembered(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_cache, "SETTLED_NS", 2_000_000_000)
    count = Counter()
    assert [again(file, count) for _ in range(2)] == ["1", "2"]


def test_a_file_that_changes_while_it_is_read_is_not_remembered(file: Path, cache: Path) -> None:
    def change() -> str:
        file.write_bytes(b"other pixels")
        return "1"

    assert remembered("count", [("image", file)], change) == "1"
    assert not cache.exists()


def test_what_is_computed_and_the_parts_of_files_count(file: Path) -> None:
    count = Counter()
    values = [
        remembered(what, [(role, file)], count) for what, role in (("a", "image"), ("b", "image"), ("a", "imposters"))
    ]
    assert values == ["1", "2", "3"]


def test_values_are_computed_anew_on_request_and_replace_the_old_ones(file: Path) -> None:
    count = Counter()
    again(file, count)
    with computing_anew():
        assert again(file, count) == "2"
    assert again(file, count) == "2"


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 100, b"\xff\xfe", b"{" * 5000, b"a b c\n" * 50, ("0" * 64 + " 99 " + "0" * 16 + "\n").encode()],
)
def test_a_corrupt_cache_is_ignored_and_extended(file: Path, cache: Path, content: bytes) -> None:
    cache.parent.mkdir()
    cache.write_bytes(content)
    count = Counter()
    assert [again(file, count) for _ in range(3)] == ["1", "1", "1"]


def test_an_altered_value_is_ignored(file: Path, cache: Path) -> None:
    count = Counter()
    again(file, count)
    cache.write_text(re.sub(r" 1 ", " 9 ", cache.read_text()))
    assert again(file, count) == "2"


@pytest.mark.parametrize("kind", ["directory", "link", "pipe", "writable by all", "too large"])
def test_a_cache_that_is_not_the_users_own_file_is_not_read(
    file: Path, cache: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = Counter()
    again(file, count)
    content = cache.read_bytes()
    target = cache.with_name("elsewhere.txt")
    if kind == "writable by all":
        cache.chmod(0o666)
    elif kind == "too large":
        monkeypatch.setattr(file_cache, "MAX_FILE_CACHE_BYTES", 50)
    else:
        cache.unlink()
        if kind == "directory":
            cache.mkdir()
        elif kind == "pipe":
            os.mkfifo(cache)
        else:
            target.write_bytes(content)
            cache.symlink_to(target)
    assert again(file, count) == "2"
    if kind == "link":
        assert target.read_bytes() == content


def test_a_folder_that_cannot_be_written_is_no_error(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plain").write_text("")
    monkeypatch.setenv("MITOBENCH_CACHE", str(tmp_path / "plain" / "cache"))
    assert again(file, Counter()) == "1"


def _write(folder: str, number: int) -> None:
    os.environ["MITOBENCH_CACHE"] = folder
    file_cache.SETTLED_NS = 0
    for part in range(20):
        path = Path(folder, f"{number}-{part}")
        path.write_bytes(b"x")
        remembered("count", [("image", path)], lambda part=part: f"{number}.{part}")  # type: ignore[misc]


def test_several_processes_write_at_once(cache: Path) -> None:
    cache.parent.mkdir()
    writers = [
        multiprocessing.get_context("fork").Process(target=_write, args=(str(cache.parent), n)) for n in range(3)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    lines = [line for line in cache.read_text().splitlines() if line]
    assert len(lines) == len({line.split()[0] for line in lines}) == 60
    count = Counter()
    for number in range(3):
        for part in range(20):
            assert again(cache.parent / f"{number}-{part}", count) == f"{number}.{part}"
    assert count.calls == 0


def test_the_digest_of_a_file_is_its_sha256(file: Path) -> None:
    assert file_digest(file) == hashlib.sha256(b"pixels").hexdigest()
