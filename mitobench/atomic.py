"""Files and folders that are there whole or not at all: written aside, then renamed. The only place that does so."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mitobench.errors import MitobenchError, as_text
from mitobench.foreign import check_target

ASIDE = ".aside-"  # how the names of unfinished files and folders begin


def write_whole(path: Path, content: bytes) -> None:
    """Write a file aside, then rename: whoever reads it finds the old one or the new one, never a part.

    Its folder is made where it is missing. Raises MitobenchError when the disk is full or not writable.
    """
    try:
        with whole_file(path) as aside:
            aside.write_bytes(content)
    except OSError as reason:
        raise MitobenchError(
            f"{path}: cannot be written: {reason.strerror or reason}. Mend that, or name another place."
        ) from reason


def write_text_whole(path: Path, text: str) -> None:
    """`write_whole` of a text in UTF-8; what is no text, as in a name of another encoding, becomes `\\udce9`."""
    write_whole(path, as_text(text).encode())


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """The path of a file to write, which becomes `path` when the block ends without an error.

    Raises OSError, and MitobenchError where `path` is a folder, a device or a pipe.
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
    """An empty folder to fill, which becomes `path` when the block ends without an error. Raises OSError.

    Args:
        path: takes the place of what is there, which is deleted only after that.
        aside: a folder on the same file system to make and to work in; None: one beside `path`.
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
    """Put `new` in the place of `path`; what was there goes to `old`, and back where that fails."""
    with suppress(FileNotFoundError):
        os.replace(path, old)
    try:
        os.replace(new, path)
    except OSError:
        with suppress(OSError):
            os.replace(old, path)
        raise


def remove_whole(path: Path, trash: Path) -> None:
    """Delete a folder, which is gone at once for every reader. Raises OSError where it cannot be moved into `trash`."""
    folder = Path(tempfile.mkdtemp(dir=trash))
    try:
        os.replace(path, folder / "discarded")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
