"""A stage that was killed and went on has taken the seconds of all its tries."""

from __future__ import annotations

import errno
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from mitobench.atomic import TMP
from mitobench.errors import StoreError
from mitobench.pipeline import canonical, tries
from mitobench.pipeline.saved_files import LOG
from mitobench.pipeline.store import Store
from mitobench.pipeline.tries import FAILURE, SPENT, begin


def write_later(path: Path, seconds: float) -> None:
    """Write a file as if it had been written so many seconds after the try began, which was an hour ago or earlier."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("something")
    noted = (path.parent.parent if path.parent.name == "round-0" else path.parent) / SPENT
    began = min(noted.stat().st_mtime, time.time() - 3600)
    os.utime(noted, (began, began))
    os.utime(path, (began + seconds, began + seconds))


def test_the_first_try_has_none_before_it(tmp_path: Path) -> None:
    assert begin(tmp_path) == 0


def test_a_try_counts_up_to_its_last_checkpoint(tmp_path: Path) -> None:
    begin(tmp_path)
    write_later(tmp_path / "iter_10.pth", 20)
    write_later(tmp_path / "round-0" / "iter_20.pth", 40)
    assert begin(tmp_path) == pytest.approx(40)


def test_tries_add_up_without_the_time_between_them(tmp_path: Path) -> None:
    begin(tmp_path)
    write_later(tmp_path / "iter_10.pth", 20)
    begin(tmp_path)  # an hour or a day later: only what is written after this counts
    os.utime(tmp_path / "iter_10.pth", (0, 0))
    write_later(tmp_path / "iter_20.pth", 30)
    assert begin(tmp_path) == pytest.approx(50)


@pytest.mark.parametrize("name", [FAILURE, LOG, "20261130_150000.log", "20261130_150000.py"])
def test_a_try_without_a_checkpoint_left_nothing_to_count(tmp_path: Path, name: str) -> None:
    begin(tmp_path)
    write_later(tmp_path / name, 30)
    assert begin(tmp_path) == 0


def test_no_more_counts_than_the_time_that_passed(tmp_path: Path) -> None:
    """Some file systems keep times that other machines set, whose clocks may be ahead."""
    begin(tmp_path)
    write_later(tmp_path / "iter_10.pth", 365 * 24 * 3600)
    assert begin(tmp_path) == pytest.approx(3600, abs=60)


def test_only_files_of_the_stage_itself_count(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    begin(tmp_path / "work")
    os.utime(tmp_path / "work" / SPENT, (1000, 1000))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("later")
    (tmp_path / "work" / "link").symlink_to(elsewhere)
    os.utime(tmp_path / "work" / "link", (1010, 1010), follow_symlinks=False)
    (tmp_path / "work" / f"{TMP}half").mkdir()
    (tmp_path / "work" / f"{TMP}half" / "new").write_text("of a try that was killed while it wrote")
    assert begin(tmp_path / "work") == pytest.approx(10)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_reported_as_one(tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path).open()
    store.work("key")
    monkeypatch.setattr(tries, "atomic_file", failing(number))
    with pytest.raises(StoreError, match="Free some space there"), store.write("detector", "key", {}):
        raise AssertionError("nothing is run")


def test_a_try_that_cannot_be_noted_runs_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tries, "atomic_file", failing(errno.EACCES))
    assert begin(tmp_path) == 0


def failing(number: int) -> Any:
    def fail(path: Path) -> Any:
        raise OSError(number, os.strerror(number), str(path))

    return fail


@pytest.mark.parametrize("content", [b"", b"nan", b"-3", b"inf", b"\xff", b"much"])
def test_a_damaged_note_counts_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / SPENT).write_bytes(content)
    assert begin(tmp_path) == 0


def test_an_output_has_the_seconds_of_all_tries(tmp_path: Path) -> None:
    store = Store(tmp_path).open()
    spec = {"x": 1}
    key = canonical.digest(spec)
    with suppress(KeyboardInterrupt), store.write("detector", key, spec):
        write_later(store.work(key) / "iter_10.pth", 500)
        raise KeyboardInterrupt
    with store.write("detector", key, spec) as folder:
        (folder / "weights").write_text("w")
    output = store.get("detector", key)
    assert output is not None
    assert 500 <= output.seconds < 510
    assert not (tmp_path / "work" / key).exists()
