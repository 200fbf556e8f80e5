"""A stage that was killed and went on has taken the seconds of all its tries."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest

from mitobench.pipeline import canonical
from mitobench.pipeline.saved_files import LOG
from mitobench.pipeline.store import Store
from mitobench.pipeline.tries import FAILURE, SPENT, begin


def write_later(path: Path, seconds: float) -> None:
    """Write a file as if it had been written so many seconds after the try began."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("something")
    at = (path.parent.parent if path.parent.name == "log" else path.parent).joinpath(SPENT).stat().st_mtime + seconds
    os.utime(path, (at, at))


def test_the_first_try_has_none_before_it(tmp_path: Path) -> None:
    assert begin(tmp_path) == 0


def test_a_try_counts_up_to_its_last_checkpoint(tmp_path: Path) -> None:
    begin(tmp_path)
    write_later(tmp_path / "iter_10.pth", 20)
    write_later(tmp_path / "log" / "iter_20.pth", 40)
    assert begin(tmp_path) == pytest.approx(40)


def test_tries_add_up_without_the_time_between_them(tmp_path: Path) -> None:
    begin(tmp_path)
    write_later(tmp_path / "iter_10.pth", 20)
    begin(tmp_path)  # an hour or a day later: only what is written after this counts
    os.utime(tmp_path / "iter_10.pth", (0, 0))
    write_later(tmp_path / "iter_20.pth", 30)
    assert begin(tmp_path) == pytest.approx(50)


@pytest.mark.parametrize("name", [FAILURE, LOG])
def test_a_try_without_a_checkpoint_left_nothing_to_count(tmp_path: Path, name: str) -> None:
    begin(tmp_path)
    write_later(tmp_path / name, 30)
    assert begin(tmp_path) == 0


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
