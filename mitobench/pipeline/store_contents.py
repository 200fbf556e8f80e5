"""What a store holds, how large it is and when it was last used; verifies it, and removes what was not used longest.

Sizes and times come from the file system alone, so that a listing reads no output. Nothing is removed that a process
holds, or that was used after the oldest process now at work began: its run may read it again.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mitobench.atomic import remove_atomic
from mitobench.errors import StoreError
from mitobench.foreign import read_json
from mitobench.foreign.limits import MAX_STATE_BYTES
from mitobench.pipeline import canonical
from mitobench.pipeline.lease import held_since
from mitobench.pipeline.saved_files import MANIFEST
from mitobench.pipeline.store import Store, scan, verify

UNFINISHED, LEFTOVER, FILE = "unfinished", "leftover", "file"  # of work/, tmp/ and files/
FOLDERS = {UNFINISHED: "work", LEFTOVER: "tmp", FILE: "files"}


@dataclass(frozen=True)
class Entry:
    """One thing that a store keeps.

    Attributes:
        kind: the stage's kind; `unfinished`, `leftover` or `file` for what is not an output.
        key: the stage's key; the name of anything else.
        path: its folder or file.
        size: bytes of its files.
        used_ns: when it was last written or read, by the clock of the file system.
    """

    kind: str
    key: str
    path: Path
    size: int
    used_ns: int

    @property
    def is_output(self) -> bool:
        """Whether it is the complete output of a stage."""
        return self.kind not in FOLDERS

    def plugin(self) -> str:
        """Returns the name of the stage's plugin, as its manifest says; empty where there is none."""
        if not self.is_output:
            return ""
        try:
            manifest = read_json(self.path / MANIFEST, MAX_STATE_BYTES, "manifest", StoreError)
            return str(manifest["spec"]["plugin"]["name"])
        except (StoreError, LookupError, TypeError):
            return ""


def entries(store: Store) -> Iterator[Entry]:
    """Yields everything that a store keeps, in no order.

    Raises StoreError for a folder that is not a store. What another process removes meanwhile is left out.
    """
    if not (store.root / "stages").is_dir():
        raise StoreError(
            f"{store.root}: is not a store, as it has no folder stages/. Give the --store of a run, or none for the "
            "default store."
        )
    for kind in scan(store.root / "stages"):
        if kind.is_dir(follow_symlinks=False):
            yield from _entries(kind.name, kind.path)
    for name, folder in FOLDERS.items():
        yield from _entries(name, store.root / folder)


def _entries(kind: str, folder: str | Path) -> Iterator[Entry]:
    for item in scan(folder):
        with suppress(OSError):  # removed meanwhile
            yield _entry(kind, item.path)


def _entry(kind: str, path: str) -> Entry:
    """Raises OSError if the entry, or its manifest, is gone."""
    own = os.lstat(path)
    size, newest = _measured(path) if stat.S_ISDIR(own.st_mode) else (own.st_size, own.st_mtime_ns)
    used = newest or own.st_mtime_ns
    if kind not in FOLDERS:
        with suppress(FileNotFoundError):  # a damaged output is still listed
            used = os.stat(os.path.join(path, MANIFEST)).st_mtime_ns
    return Entry(kind, os.path.basename(path), Path(path), size, used)


def _measured(folder: str) -> tuple[int, int]:
    """Returns the bytes of all files below a folder, and the latest modification time of one, ns."""
    size, newest = 0, 0
    for item in scan(folder):
        if item.is_dir(follow_symlinks=False):
            inner, latest = _measured(item.path)
        else:
            found = item.stat(follow_symlinks=False)
            inner, latest = found.st_size, found.st_mtime_ns
        size, newest = size + inner, max(newest, latest)
    return size, newest


# ------------------------------------------------------------------------------------------------------- verifying


def problem_of(entry: Entry) -> str | None:
    """Reads every byte of an output or a kept file; returns what is wrong, None if nothing is.

    Work of unfinished stages has no digests and is not checked. An entry that was removed meanwhile is not wrong.
    """
    if entry.is_output:
        problem = verify(entry.path)[0]
    elif entry.kind == FILE:
        try:
            problem = None if canonical.file_digest(entry.path) == entry.key else "its content does not match its name"
        except OSError as reason:
            problem = str(reason.strerror)
    else:
        return None
    return problem if os.path.lexists(entry.path) else None


# -------------------------------------------------------------------------------------------------------- cleaning


@dataclass(frozen=True)
class InUse:
    """What the processes hold that are now at work on a store.

    Attributes:
        keys: of the stages that are running.
        since_ns: when the oldest of these processes began, by the clock of the file system; None: none is at work.
    """

    keys: frozenset[str]
    since_ns: int | None

    @classmethod
    def of(cls, store: Store) -> InUse:
        """Returns what is held now."""
        since = {item.name: held_since(Path(item.path)) for item in scan(store.root / "leases")}
        held = {name: began for name, began in since.items() if began is not None}
        return cls(frozenset(held), min(held.values(), default=None))

    def has(self, entry: Entry) -> bool:
        """Whether a process may still need an entry."""
        after = self.since_ns is not None and entry.used_ns >= self.since_ns
        return after or entry.key.partition("-")[0] in self.keys


def excess(found: Sequence[Entry], keep: int, in_use: InUse) -> list[Entry]:
    """Returns what to remove so that at most `keep` bytes stay: least recently used first, nothing that is in use."""
    left, removed = sum(entry.size for entry in found), list[Entry]()
    for entry in sorted(found, key=lambda entry: (entry.used_ns, entry.kind, entry.key)):
        if left <= keep:
            break
        if not in_use.has(entry):
            removed.append(entry)
            left -= entry.size
    return removed


def remove(store: Store, entry: Entry) -> bool:
    """Removes an entry, unless a process holds it or used it since it was listed. Returns whether it was removed.

    Raises StoreError if the store cannot be written, OSError if the entry cannot be removed.
    """
    with store.lease_if_free(entry.key.partition("-")[0]) as lease, suppress(FileNotFoundError):
        if lease is not None and _entry(entry.kind, str(entry.path)).used_ns == entry.used_ns:
            (store.root / "tmp").mkdir(exist_ok=True)
            remove_atomic(entry.path, trash=store.root / "tmp")
            return True
    return False
