"""The cache of contents: values come back, and a damaged or foreign cache only means that they are computed again."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from mitobench import content_cache


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MITOBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def fill() -> None:
    with content_cache.opened("test") as cache:
        cache.add("key", b"value")


def read() -> bytes | None:
    with content_cache.opened("test") as cache:
        return cache.get("key")


def test_a_value_is_remembered_in_a_file_that_others_cannot_write(folder: Path) -> None:
    assert read() is None
    fill()
    assert read() == b"value"
    assert (folder / "test.sqlite").stat().st_mode & 0o077 == 0


def test_a_changed_value_is_not_returned(folder: Path) -> None:
    fill()
    with sqlite3.connect(folder / "test.sqlite") as database:
        database.execute("UPDATE known SET value = ?", (b"other",))
    database.close()
    assert read() is None


@pytest.mark.parametrize("content", [b"", b"not a database", b"SQLite format 3\x00" + bytes(5000)])
def test_a_damaged_file_is_replaced(folder: Path, content: bytes) -> None:
    folder.mkdir()
    (folder / "test.sqlite").write_bytes(content)
    fill()
    assert read() == b"value"


def test_a_file_that_others_can_write_is_replaced(folder: Path) -> None:
    fill()
    (folder / "test.sqlite").chmod(0o666)
    assert read() is None


def test_a_link_is_replaced_and_its_target_kept(folder: Path, tmp_path: Path) -> None:
    folder.mkdir()
    (tmp_path / "target").write_text("mine")
    (folder / "test.sqlite").symlink_to(tmp_path / "target")
    fill()
    assert read() == b"value"
    assert (tmp_path / "target").read_text() == "mine"


def test_without_a_folder_nothing_is_remembered(folder: Path) -> None:
    folder.write_text("a file in its place")
    fill()
    assert read() is None
