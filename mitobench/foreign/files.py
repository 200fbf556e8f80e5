"""Opens regular files only, and reads at most a given number of bytes.

Reading a FIFO could wait for ever, `/dev/zero` never ends, and a directory has no content. Links are followed if they
lead to a regular file.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from mitobench.errors import MitobenchError

# Non-blocking, so that a FIFO that replaces the file cannot hang. Flags that a system does not have count as 0.
_FLAGS = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY"))

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def read_bytes(path: Path, max_bytes: int, what: str = "file", error: type[MitobenchError] = MitobenchError) -> bytes:
    """Returns the content of a regular file.

    Args:
        path: the file.
        max_bytes: the largest size, from `mitobench.foreign.limits`.
        what: what the file should be, for the message: "record", "split".
        error: class of the error to raise.

    Raises `error` if the file cannot be read, is not a regular file, or is larger than `max_bytes`.
    """
    with open_regular(path, max_bytes, what, error) as file:
        try:
            content = file.read(max_bytes + 1)
        except OSError as reason:
            raise _unreadable(path, reason, error) from reason
    if len(content) > max_bytes:  # a file that grows, or that declares no size (/proc)
        raise _too_large(path, len(content), max_bytes, what, error)
    return content


def read_text(
    path: Path,
    max_bytes: int,
    what: str = "file",
    error: type[MitobenchError] = MitobenchError,
    encoding: str = "utf-8",
) -> str:
    """Returns the text of a regular file. Raises `error` as `read_bytes` does, and if it has another encoding."""
    content = read_bytes(path, max_bytes, what, error)
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as reason:
        line = content.count(b"\n", 0, reason.start) + 1
        raise error(f"{path}:{line}: is not UTF-8 text: {reason.reason}. Save the {what} as UTF-8.") from reason


def open_regular(
    path: Path, max_bytes: int, what: str = "file", error: type[MitobenchError] = MitobenchError
) -> BinaryIO:
    """Opens a regular file in binary mode, for libraries that take a file object. Raises as `read_bytes` does."""
    check_regular(path, max_bytes, what, error)
    try:
        handle = os.open(path, _FLAGS)
    except (OSError, ValueError) as reason:
        raise _unreadable(path, reason, error) from reason
    try:
        _check(path, os.fstat(handle), max_bytes, what, error)
    except BaseException:
        os.close(handle)
        raise
    return os.fdopen(handle, "rb")


def check_regular(path: Path, max_bytes: int, what: str = "file", error: type[MitobenchError] = MitobenchError) -> None:
    """Checks a file without opening it, for libraries that open it themselves. Raises as `read_bytes` does."""
    try:
        found = os.stat(path)
    except (OSError, ValueError) as reason:
        raise _unreadable(path, reason, error) from reason
    _check(path, found, max_bytes, what, error)


def check_target(path: Path, error: type[MitobenchError] = MitobenchError) -> None:
    """Checks a path to write to. Raises `error` if writing would replace a directory, a device or a pipe."""
    try:
        kind = stat.S_IFMT(os.stat(path).st_mode)
    except (OSError, ValueError):  # it does not exist yet; writing reports anything else
        return
    if kind != stat.S_IFREG:
        raise error(f"{path}: is {_KINDS.get(kind, 'not a regular file')}, and is not replaced. Choose another path.")


def _check(path: Path, found: os.stat_result, max_bytes: int, what: str, error: type[MitobenchError]) -> None:
    kind = stat.S_IFMT(found.st_mode)
    if kind != stat.S_IFREG:
        wanted = f"{'an' if what[0] in 'aeiou' else 'a'} {what}"
        raise error(f"{path}: is {_KINDS.get(kind, 'not a regular file')}, not {wanted}. Give a regular file.")
    if found.st_size > max_bytes:
        raise _too_large(path, found.st_size, max_bytes, what, error)


def _unreadable(path: Path, reason: OSError | ValueError, error: type[MitobenchError]) -> MitobenchError:
    message = getattr(reason, "strerror", None) or str(reason)
    return error(f"{path}: cannot be read: {message}. Check the path and its permissions.")


def _too_large(path: Path, size: int, limit: int, what: str, error: type[MitobenchError]) -> MitobenchError:
    return error(f"{path}: has {size:,} bytes or more; a {what} has at most {limit:,}. Check where the file is from.")
