"""Writes files and folders atomically: to a temporary place first, then renamed. Readers never see a part of one."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mitobench.errors import MitobenchError, as_text
from mitobench.foreign import check_target

TMP = ".tmp-"  # prefix of the names of unfinished files and folders


def write_atomic(path: Path, content: bytes) -> None:
    """Writes a file atomically: readers find the old content or the new content, never a part.

    Creates the folder if it is missing. Raises MitobenchError if the disk is full or not writable.
    """
    try:
        with atomic_file(path) as tmp:
            tmp.write_bytes(content)
    except OSError as reason:
        raise MitobenchError(
            f"{path}: cannot be written: {reason.strerror or reason}. Fix this, or choose another path."
        ) from reason


def write_text_atomic(path: Path, text: str) -> None:
    """Writes a text file in UTF-8, as `write_atomic` does; bytes that are not UTF-8 are written as `\\udce9`."""
    write_atomic(path, as_text(text).encode())


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Gives the path of a temporary file, which replaces `path` if the block ends without an error.

    Raises OSError, and MitobenchError if `path` is a directory, a device or a pipe.
    """
    check_target(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=path.parent, prefix=TMP))
    try:
        tmp = folder / "new"
        yield tmp
        os.replace(tmp, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def atomic_folder(path: Path, tmp: Path | None = None, *, replace: bool = True) -> Iterator[Path]:
    """Gives an empty temporary folder, which moves to `path` if the block ends without an error. Raises OSError.

    Args:
        path: the folder to write.
        tmp: where to create the temporary folder, on the same file system; None: next to `path`.
        replace: whether an existing folder is replaced, and then deleted; if not, it is kept and the new one deleted.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if tmp is None:
        tmp = Path(tempfile.mkdtemp(dir=path.parent, prefix=TMP))
    new, old = tmp / "new", tmp / "old"
    try:
        new.mkdir(parents=True)
        yield new
        if replace:
            _exchange(new, path, old)
        else:
            _move_unless_there(new, path)
    finally:
        shutil.rmtree(tmp, ignore_errors=True)


@contextmanager
def staged_files(folder: Path, work: Path, check: Callable[[Path], None]) -> Iterator[Path]:
    """Gives an empty folder within `work`, whose files move to `folder` at the end of the block, each atomically.

    Args:
        folder: where the files go; those of the same name are replaced.
        work: a folder on the same file system; created if needed.
        check: called with the folder, now with its files, before the first of them moves.

    Raises OSError, and what `check` raises.
    """
    work.mkdir(parents=True, exist_ok=True)
    stage = Path(tempfile.mkdtemp(dir=work, prefix="stage-"))
    try:
        yield stage
        move_files(stage, folder, check)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def move_files(stage: Path, folder: Path, check: Callable[[Path], None]) -> None:
    """Moves the files of one folder into another on the same file system, each atomically, after `check(stage)`."""
    check(stage)
    for path in sorted(stage.iterdir()):
        os.replace(path, folder / path.name)


def lift(inner: Path) -> None:
    """Moves the content of a folder up into the folder that it is in, and removes it."""
    folder = inner.parent
    apart = inner.rename(folder / f".{inner.name}-lifted")  # its content may have its own name
    for path in list(apart.iterdir()):
        path.rename(folder / path.name)
    apart.rmdir()


def _exchange(new: Path, path: Path, old: Path) -> None:
    """Replaces `path` by `new`. The previous content moves to `old`, and back if the replacement fails."""
    with suppress(FileNotFoundError):
        os.replace(path, old)
    try:
        os.replace(new, path)
    except OSError:
        with suppress(OSError):
            os.replace(old, path)
        raise


def _move_unless_there(new: Path, path: Path) -> None:
    try:
        os.rename(new, path)  # fails where there is a folder with content
    except OSError:
        if not path.is_dir():
            raise


def remove_file(path: Path, content: bytes) -> bool:
    """Removes a file that has this content. Of several processes that do so at once, only one removes it.

    Returns whether the file is gone. Another file may take its place between two looks at it; that one is put back.
    """
    with suppress(FileNotFoundError):
        if path.read_bytes() != content:
            return False
        aside = path.with_name(f"{TMP}{uuid.uuid4().hex}")
        os.rename(path, aside)
        if aside.read_bytes() != content:
            with suppress(OSError):
                os.link(aside, path)
        aside.unlink(missing_ok=True)
    return True


def remove_atomic(path: Path, trash: Path) -> None:
    """Deletes a folder atomically: it is moved into `trash` first. Raises OSError if that fails."""
    folder = Path(tempfile.mkdtemp(dir=trash))
    try:
        os.replace(path, folder / "discarded")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
