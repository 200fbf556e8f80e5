"""Only regular files are read, and at most their limit."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from mitobench.errors import DataError, MitobenchError
from mitobench.foreign import check_target, open_regular, read_bytes, read_text


def fifo(folder: Path) -> Path:
    os.mkfifo(folder / "x")
    return folder / "x"


def directory(folder: Path) -> Path:
    (folder / "x").mkdir()
    return folder / "x"


def endless(folder: Path) -> Path:
    (folder / "x").symlink_to("/dev/zero")
    return folder / "x"


def link_to_a_fifo(folder: Path) -> Path:
    os.mkfifo(folder / "pipe")
    (folder / "x").symlink_to("pipe")
    return folder / "x"


def listening(folder: Path) -> Path:
    there = socket.socket(socket.AF_UNIX)
    before = Path.cwd()
    os.chdir(folder)  # a socket's path is short
    there.bind("x")
    os.chdir(before)
    return folder / "x"


def circle(folder: Path) -> Path:
    (folder / "x").symlink_to("x")
    return folder / "x"


def nowhere(folder: Path) -> Path:
    return folder / "absent"


def too_long(folder: Path) -> Path:
    return folder / ("x" * 300)


def half_a_name(folder: Path) -> Path:
    return folder / "x\0y"


SPECIAL = (fifo, directory, endless, link_to_a_fifo, listening, circle, nowhere, too_long, half_a_name)


@pytest.mark.parametrize("create", SPECIAL, ids=lambda create: create.__name__)
def test_only_a_regular_file_is_read(create, tmp_path: Path) -> None:
    path = create(tmp_path)
    for read in (read_bytes, read_text, open_regular):
        with pytest.raises(DataError, match=r"x|absent"):
            read(path, 100, "record", DataError)


def test_a_link_to_a_regular_file_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("there")
    (tmp_path / "link").symlink_to("real")
    assert read_text(tmp_path / "link", 100) == "there"


def test_the_limit_is_the_largest_file_read(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"12345")
    assert read_bytes(path, 5) == b"12345"
    with pytest.raises(MitobenchError, match="at most 4"):
        read_bytes(path, 4)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc")
def test_the_limit_also_applies_to_files_without_a_size() -> None:
    assert os.stat("/proc/self/maps").st_size == 0
    with pytest.raises(MitobenchError, match="at most 10"):
        read_bytes(Path("/proc/self/maps"), 10)


def test_text_that_is_not_utf_8_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"a\nb\n\xff")
    with pytest.raises(MitobenchError, match=r"x:3: is not UTF-8"):
        read_text(path, 100)


@pytest.mark.parametrize("create", [fifo, directory, endless], ids=lambda create: create.__name__)
def test_only_a_regular_file_is_replaced(create, tmp_path: Path) -> None:
    with pytest.raises(MitobenchError, match="is not replaced"):
        check_target(create(tmp_path))


def test_a_new_file_and_an_old_one_are_written(tmp_path: Path) -> None:
    check_target(tmp_path / "new")
    (tmp_path / "old").write_text("")
    check_target(tmp_path / "old")
