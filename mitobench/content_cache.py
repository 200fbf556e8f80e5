"""Remembers what was computed from contents, in a file in the user's cache folder.

A value is kept under a digest of everything that it was computed from, code included, so that no value is ever out of
date. Each has a checksum. A cache that is damaged, too large, or not the user's own is ignored and replaced; nothing is
remembered where it cannot be written.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mitobench import file_cache

MAX_BYTES = 1 << 30  # of the file; beyond it, it starts anew
_SECONDS = 5.0  # to wait for another process that writes
_SCHEMA = "CREATE TABLE IF NOT EXISTS known (key TEXT PRIMARY KEY, value BLOB, checksum BLOB) WITHOUT ROWID"


class ContentCache:
    """Values by key. Use `opened`; without a database nothing is remembered."""

    def __init__(self, database: sqlite3.Connection | None = None) -> None:
        self._database = database

    def get(self, key: str) -> bytes | None:
        """Returns the value of a key; None if it is not known, or damaged."""
        found = self._run("SELECT value, checksum FROM known WHERE key = ?", key)
        if not found or not all(isinstance(part, bytes) for part in found[0]):
            return None
        value, checksum = found[0]
        return bytes(value) if _checksum(key, value) == checksum else None

    def add(self, key: str, value: bytes) -> None:
        """Remembers a value. It is written at the end of the `opened` block."""
        self._run("INSERT OR REPLACE INTO known VALUES (?, ?, ?)", key, value, _checksum(key, value))

    def _run(self, command: str, *values: object) -> list[tuple[bytes, bytes]]:
        if self._database is None:
            return []
        try:
            return self._database.execute(command, values).fetchall()
        except sqlite3.Error:
            self._database = None
            return []


@contextmanager
def opened(name: str) -> Iterator[ContentCache]:
    """Opens the cache of this name; what was added is written at the end of the block."""
    database = _open(file_cache.folder() / f"{name}.sqlite")
    try:
        yield ContentCache(database)
        if database is not None:
            with suppress(sqlite3.Error):
                database.commit()
    finally:
        if database is not None:
            database.close()


def _open(path: Path) -> sqlite3.Connection | None:
    """Returns the database in a file, a new one where the file cannot be used; None where it cannot be written."""
    for _ in range(2):
        database = None
        with suppress(OSError, sqlite3.Error):
            _make_usable(path)
            database = sqlite3.connect(path, timeout=_SECONDS)
            database.execute(_SCHEMA)
            return database
        if database is not None:
            database.close()
        with suppress(OSError):
            path.unlink()
    return None


def _make_usable(path: Path) -> None:
    """Makes the file if it is missing. Raises OSError if it is not the user's own regular file, or is too large."""
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    handle = os.open(path, flags, 0o600)
    try:
        found = os.fstat(handle)
    finally:
        os.close(handle)
    own = not hasattr(os, "geteuid") or (found.st_uid == os.geteuid() and not found.st_mode & 0o022)
    if not (stat.S_ISREG(found.st_mode) and own and found.st_size <= MAX_BYTES):
        raise OSError(f"{path} cannot be used")


def _checksum(key: str, value: bytes) -> bytes:
    return hashlib.sha256(key.encode() + b"\n" + value).digest()
