"""Files and folders are written completely or not at all, whatever happens meanwhile."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest

from mitobench.atomic import atomic_file, atomic_folder, remove_atomic, write_atomic, write_text_atomic
from mitobench.errors import MitobenchError

CORE = Path(__file__).parents[1] / "mitobench"


def interrupted(path: Path) -> None:
    """Begins to write a file."""
    path.write_text("tw")
    raise KeyboardInterrupt


def test_a_file_is_replaced_and_its_folder_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    write_atomic(path, b"one")
    write_atomic(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_fails_halfway_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_atomic(path, b"one")
    with pytest.raises(KeyboardInterrupt), atomic_file(path) as tmp:
        interrupted(tmp)
    assert path.read_bytes() == b"one"
    assert list(tmp_path.iterdir()) == [path]


def test_files_and_folders_have_the_rights_that_the_umask_leaves(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomic(tmp_path / "a.txt", b"")
        with atomic_folder(tmp_path / "folder"):
            pass
    finally:
        os.umask(before)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o750


def test_a_place_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MitobenchError, match=r"file/a\.txt: cannot be written: "):
        write_atomic(tmp_path / "file" / "a.txt", b"")
    (tmp_path / "folder").mkdir()
    with pytest.raises(MitobenchError, match="folder: is a directory, and is not replaced"):
        write_atomic(tmp_path / "folder", b"")
    assert {path.name for path in tmp_path.iterdir()} == {"file", "folder"}


def test_undecodable_text_is_escaped(tmp_path: Path) -> None:
    write_text_atomic(tmp_path / "a.txt", f"Größe {os.fsdecode(b'caf' + bytes([0xE9]))}")
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "Größe caf\\udce9"


def test_a_folder_replaces_the_whole_of_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    for name in ("one", "two"):
        with atomic_folder(path) as new:
            (new / name).write_text(name)
    assert [file.name for file in path.iterdir()] == ["two"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_fails_halfway_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    with atomic_folder(path) as new:
        (new / "one").write_text("one")
    with pytest.raises(KeyboardInterrupt), atomic_folder(path) as new:
        interrupted(new / "two")
    assert [file.name for file in path.iterdir()] == ["one"]
    assert list(tmp_path.iterdir()) == [path]


def test_where_the_new_folder_cannot_be_put_the_old_one_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, replace = tmp_path / "folder", os.replace
    with atomic_folder(path) as new:
        (new / "one").write_text("one")

    def broken(source: Path, target: Path) -> None:
        if Path(source).name == "new":
            raise PermissionError("no")
        replace(source, target)

    monkeypatch.setattr(os, "replace", broken)
    with pytest.raises(PermissionError), atomic_folder(path):
        pass
    assert [file.name for file in path.iterdir()] == ["one"]


def test_a_folder_that_is_removed_is_gone_with_all_in_it(tmp_path: Path) -> None:
    (tmp_path / "trash").mkdir()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "one").write_text("one")
    remove_atomic(tmp_path / "folder", tmp_path / "trash")
    assert not (tmp_path / "folder").exists()
    assert list((tmp_path / "trash").iterdir()) == []


RENAMES = {"os.replace", "os.rename", "os.renames", "shutil.move", "tempfile.mkstemp", "tempfile.mkdtemp"}


@pytest.mark.parametrize("path", sorted(CORE.rglob("*.py")), ids=lambda path: str(path.relative_to(CORE)))
def test_no_other_module_writes_a_temporary_file_and_renames_it(path: Path) -> None:
    called = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    found = {ast.unparse(function) for function in called}
    renames = {name for name in found if name in RENAMES or name.endswith(".rename")}
    assert not renames or path == CORE / "atomic.py", renames
