"""`walk` yields every file once; a failed write leaves no partial file."""

from __future__ import annotations

from pathlib import Path

import pytest

from mitobench.api import DataError
from mitobench.atomic import write_atomic
from mitobench.datasets.files import inside_synthetic, is_synthetic, unique, walk


def names(root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in walk(root)]


def test_walk_goes_deep_and_skips_hidden_files_and_folders(tmp_path: Path) -> None:
    for name in ("b/c/d.bmp", "a.csv", "b/._a.csv", ".cache/e.bmp"):
        write_atomic(tmp_path / name, b"")
    assert names(tmp_path) == ["a.csv", "b/c/d.bmp"]


def test_walk_follows_links_but_never_in_a_circle(tmp_path: Path) -> None:
    write_atomic(tmp_path / "elsewhere" / "a.bmp", b"")
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path / "elsewhere")
    (root / "self").symlink_to(root)
    assert names(root) == ["link/a.bmp"]


def test_synthetic_folders_are_skipped_unless_they_are_the_root(tmp_path: Path) -> None:
    write_atomic(tmp_path / "made" / "synthetic.json", b"{}")
    write_atomic(tmp_path / "made" / "deep" / "a.bmp", b"")
    assert names(tmp_path) == []
    assert names(tmp_path / "made") == ["synthetic.json", "deep/a.bmp"]
    assert is_synthetic(tmp_path / "made")
    assert not is_synthetic(tmp_path)
    assert not is_synthetic(tmp_path / "made" / "deep")
    assert inside_synthetic(tmp_path / "made" / "deep")
    assert not inside_synthetic(tmp_path)


def test_two_files_with_the_same_name_are_both_listed(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"frame A.*one/A\.bmp and two/A\.jpg"):
        unique([("A", Path("one/A.bmp")), ("A", Path("two/A.jpg"))], "frame")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a", b"old")
    with pytest.raises(TypeError):
        write_atomic(tmp_path / "a", None)  # type: ignore[arg-type]
    assert (tmp_path / "a").read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]
