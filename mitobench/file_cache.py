"""Remembers what was computed from the bytes of files (digests), in the user's cache folder.

A value is kept under the device, inode, size, modification time and change time of its files. Any program can put a
modification time back, but not a change time. Nothing is remembered about a file that changed within the last two
seconds: its next change could leave the same times.

The cache is one text file, with a line for each value: `KEY VALUE CHECK`. Lines are appended under a lock, so several
processes can write at once. Lines whose check fails are ignored, as is a file that is not the user's own regular file;
the values are then computed again.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout
from platformdirs import user_cache_path

from mitobench import foreign
from mitobench.errors import MitobenchError
from mitobench.foreign.limits import MAX_FILE_CACHE_BYTES

FOLDER = "MITOBENCH_CACHE"  # environment variable: the folder that replaces the user's cache folder
SETTLED_NS = 2_000_000_000  # a file that changed later than this is not remembered
_NAME = "files.txt"
_LINE = re.compile(r"([0-9a-f]{64}) ([0-9a-z.]{1,64}) ([0-9a-f]{16})")
_CHECK_LENGTH = 16
_LOCK_SECONDS = 5.0

_anew = 0  # how many blocks of `computing_anew` the process is in; threads of a run share it


def folder() -> Path:
    """Returns the cache folder: `MITOBENCH_CACHE`, or that of the user."""
    return Path(os.environ.get(FOLDER) or user_cache_path("mitobench"))


@contextmanager
def computing_anew() -> Iterator[None]:
    """Computes every value again inside this block, and replaces the remembered ones."""
    global _anew
    _anew += 1
    try:
        yield
    finally:
        _anew -= 1


def remembered(what: str, paths: Sequence[tuple[str, Path]], compute: Callable[[], str]) -> str:
    """Returns the result of `compute`, or the remembered one if these files are unchanged.

    Args:
        what: what is computed. Change it whenever `compute` would return another value for the same files.
        paths: the files that it is computed from, each with the part that it plays.
        compute: returns the value: at most 64 digits, small letters and dots.

    Raises what `compute` raises. A cache that cannot be read or written is never an error.
    """
    before = _key(what, paths)
    if before is None:
        return compute()
    cache = _Cache.of(folder() / _NAME)
    known = None if _anew else cache.get(before)
    if known is not None:
        return known
    value = compute()
    if _key(what, paths) == before:
        cache.add(before, value)
    return value


def _key(what: str, paths: Sequence[tuple[str, Path]]) -> str | None:
    """Returns the key of these files as they are now; None if one is missing or changed too recently."""
    parts = []
    now = time.time_ns()
    for role, path in paths:
        try:
            found = os.stat(path)
        except (OSError, ValueError):
            return None
        if not stat.S_ISREG(found.st_mode) or max(found.st_mtime_ns, found.st_ctime_ns) > now - SETTLED_NS:
            return None
        parts.append([role, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns])
    return hashlib.sha256(json.dumps([what, parts]).encode()).hexdigest()


def _line(key: str, value: str) -> str:
    return f"{key} {value} {hashlib.sha256(f'{key} {value}'.encode()).hexdigest()[:_CHECK_LENGTH]}"


class _Cache:
    """The values in a cache file. Reads it once, and again when another process has added to it."""

    _open: dict[Path, _Cache] = {}  # noqa: RUF012

    def __init__(self, path: Path) -> None:
        self.path = path
        self._values: dict[str, str] = {}
        self._state: tuple[int, int, int] | None = None

    @classmethod
    def of(cls, path: Path) -> _Cache:
        return cls._open.setdefault(path, cls(path))

    def get(self, key: str) -> str | None:
        self._refresh()
        return self._values.get(key)

    def add(self, key: str, value: str) -> None:
        """Appends a value. Starts a new file where the old one is too large or cannot be used."""
        line = _line(key, value)
        if not _LINE.fullmatch(line):
            raise ValueError(f"{value!r} cannot be remembered")
        self._values[key] = value
        with suppress(OSError, Timeout, MitobenchError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(self.path.with_suffix(".lock"), timeout=_LOCK_SECONDS):
                self._append(f"\n{line}\n".encode("ascii"))  # a killed process may have left half a line

    def _append(self, line: bytes) -> None:
        usable = self._usable()
        if (usable is None or usable.st_size + len(line) > MAX_FILE_CACHE_BYTES) and os.path.lexists(self.path):
            self.path.unlink()  # a directory stays, and nothing is remembered
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
        handle = os.open(self.path, flags, 0o600)
        try:
            os.write(handle, line)
        finally:
            os.close(handle)

    def _usable(self) -> os.stat_result | None:
        """Returns the state of the cache file if it is a regular file of the user's that nobody else can write."""
        try:
            found = os.lstat(self.path)
        except OSError:
            return None
        own = not hasattr(os, "geteuid") or (found.st_uid == os.geteuid() and not found.st_mode & 0o022)
        return found if stat.S_ISREG(found.st_mode) and own else None

    def _refresh(self) -> None:
        """Reads the cache file if it has changed; only what was appended to it if it has grown."""
        found = self._usable()
        state = None if found is None else (found.st_ino, found.st_size, found.st_mtime_ns)
        before, self._state = self._state, state
        if state == before:
            return
        grown = before is not None and state is not None and state[0] == before[0] and state[1] > before[1]
        if not grown:
            self._values = {}
        if state is None:
            return
        try:
            with foreign.open_regular(self.path, MAX_FILE_CACHE_BYTES, "cache of digests") as file:
                file.seek(before[1] if grown and before is not None else 0)
                content = file.read(MAX_FILE_CACHE_BYTES)
        except (MitobenchError, OSError):
            return
        for line in content.decode("ascii", "replace").splitlines():
            match = _LINE.fullmatch(line)
            if match and _line(match[1], match[2]) == line:
                self._values[match[1]] = match[2]
