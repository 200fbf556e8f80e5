"""Writes files and folders atomically: to a temporary place first, then renamed. Readers never see a part of one."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mitobench.errors import MitobenchError, as_text
from mitobench.foreign import check_target

ASIDE = ".aside-"  # prefix of the names of unfinished files and folders


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file atomically: readers find the old content or the new content, never a part.

    Creates the folder if it is missing. Raises MitobenchError if the disk is full or not writable.
    """
    try:
        with whole_file(path) as aside:
            aside.write_bytes(content)
    except OSError as reason:
        raise MitobenchError(
            f"{path}: cannot be written: {reason.strerror or reason}. Fix this, or choose another path."
        ) from reason


def write_text_whole(path: Path, text: str) -> None:
    """Writes a text file in UTF-8, as `write_whole` does; bytes that are not UTF-8 are written as `\\udce9`."""
    write_whole(path, as_text(text).encode())


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Gives the path of a temporary file, which replaces `path` if the block ends without an error.

    Raises OSError, and MitobenchError if `path` is a directory, a device or a pipe.
    """
    check_target(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=path.parent, prefix=ASIDE))
    try:
        aside = folder / "new"
        yield aside
        os.replace(aside, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def whole_folder(path: Path, aside: Path | None = None) -> Iterator[Path]:
    """Gives an empty temporary folder, which replaces `path` if the block ends without an error. Raises OSError.

    Args:
        path: the folder to write. An existing one is deleted after it has been replaced.
        aside: where to create the temporary folder, on the same file system; None: next to `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if aside is None:
        aside = Path(tempfile.mkdtemp(dir=path.parent, prefix=ASIDE))
    new, old = aside / "new", aside / "old"
    try:
        new.mkdir(parents=True)
        yield new
        _exchange(new, path, old)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


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


def remove_whole(path: Path, trash: Path) -> None:
    """Deletes a folder atomically: it is moved into `trash` first. Raises OSError if that fails."""
    folder = Path(tempfile.mkdtemp(dir=trash))
    try:
        os.replace(path, folder / "discarded")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
