"""Caches the outputs of stages on disk, each under its stage's key.

    stages/KIND/KEY/   what the stage wrote, and manifest.json with the SHA-256 of every file
    work/KEY/          checkpoints and log of an unfinished stage, seconds.txt with those of earlier tries, and
                       failure.txt with the traceback if it failed; kept when a run is killed
    tmp/               outputs being written; renamed to their place in stages/ when complete
    files/SHA256       content of the files that options named
    leases/KEY         held by the one process that runs the stage (`lease.py`); leases/run-* by each run

The modification time of a manifest is when its output was last used: file systems may not keep access times.

Outputs are complete or absent: each is written to tmp/ and renamed. Every byte is verified on reading; a corrupt
output is deleted, and its stage runs again. Several machines may use a store on a file system that they share.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from mitobench import compute
from mitobench.atomic import atomic_folder, remove_atomic, write_atomic
from mitobench.content import File
from mitobench.errors import StoreError
from mitobench.foreign import check_target, read_json
from mitobench.foreign.limits import MAX_STATE_BYTES
from mitobench.pipeline import canonical, tries
from mitobench.pipeline.lease import Lease
from mitobench.pipeline.saved_files import MANIFEST

log = logging.getLogger("mitobench")


def default_store() -> Path:
    """Returns the default folder of the store, in the user's cache folder."""
    return platformdirs.user_cache_path("mitobench") / "store"


@dataclass(frozen=True)
class Output:
    """A stage's verified output.

    Attributes:
        folder: what the stage wrote.
        manifest: `spec` (what the key is the digest of), `seconds`, `n_frames` (by part), `peak_bytes` (of the process
            that ran the stage; absent where it is not known), and `files` (SHA-256 by relative path).
    """

    folder: Path
    manifest: dict[str, Any]

    @property
    def seconds(self) -> float:
        """Wall-clock time that the stage took when it ran, with tries that were interrupted, s."""
        return float(self.manifest["seconds"])


class Store:
    """The outputs of stages below one folder. Any number of processes may use it at once."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def open(self) -> Store:
        """Create the store's folders; returns the store. Raises StoreError if they cannot be written."""
        try:
            for folder in ("stages", "work", "tmp", "leases"):
                (self.root / folder).mkdir(parents=True, exist_ok=True)
                tempfile.TemporaryFile(dir=self.root / folder).close()  # fails now, not in the middle of a run
        except OSError as reason:
            raise _store_error(self.root, reason) from reason
        return self

    def has(self, kind: str, key: str) -> bool:
        """Returns whether an output exists, without verifying it. For showing a plan."""
        return (self._folder(kind, key) / MANIFEST).is_file()

    def get(self, kind: str, key: str) -> Output | None:
        """Returns the verified output; None if there is none. Deletes a corrupt output and logs a warning."""
        folder = self._folder(kind, key)
        if not folder.exists():
            return None
        problem, manifest = verify(folder)
        if problem is None:
            touch(folder / MANIFEST)
            return Output(folder, manifest)
        if not folder.exists():  # removed meanwhile
            return None
        log.warning("%s is corrupt (%s). It is deleted, and its stage runs again.", folder, problem)
        self.discard(kind, key)
        return None

    def manifests(self, kind: str, most: int) -> Iterator[dict[str, Any]]:
        """Yields the manifests of outputs of a kind, `most` at most, newest first. They are not verified."""
        folders = list[tuple[float, str]]()
        for entry in scan(self.root / "stages" / kind):
            with suppress(OSError):  # removed meanwhile
                folders += [(entry.stat().st_mtime, entry.path)] if entry.is_dir() else []
        for _, path in sorted(folders, reverse=True)[:most]:
            with suppress(StoreError):  # it is damaged, or was removed meanwhile
                yield read_json(Path(path) / MANIFEST, MAX_STATE_BYTES, "manifest", StoreError)

    def discard(self, kind: str, key: str) -> None:
        """Delete an output, if it is still there. Other processes see all of it or nothing."""
        (self.root / "tmp").mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # another process discarded it
            remove_atomic(self._folder(kind, key), trash=self.root / "tmp")

    @contextmanager
    def lease(self, key: str) -> Iterator[Lease]:
        """Holds the lease of a stage while it runs. Waits until no other process holds it, on any machine.

        Raises StoreError if the lease cannot be written.
        """
        lease = self._take(key, wait=True)
        assert lease is not None
        try:
            yield lease
        finally:
            lease.release()

    @contextmanager
    def lease_if_free(self, key: str) -> Iterator[Lease | None]:
        """Holds the lease of a stage; gives None if another process holds it. Raises as `lease` does."""
        lease = self._take(key, wait=False)
        try:
            yield lease
        finally:
            if lease is not None:
                lease.release()

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Keeps all outputs that are read or written within the block: other processes do not clean them away."""
        with self.lease(f"run-{uuid.uuid4().hex}"):
            yield

    def _take(self, key: str, wait: bool) -> Lease | None:
        path = self.root / "leases" / key
        check_target(path, StoreError)
        lease = Lease(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)  # the store may have been deleted meanwhile
            return lease if lease.acquire(wait) else None
        except OSError as reason:
            raise _store_error(self.root, reason) from reason

    def work(self, key: str) -> Path:
        """Returns the stage's work folder, which is kept until the stage's output is complete."""
        folder = self.root / "work" / key
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def keep(self, file: File) -> None:
        """Copy the file of an option into the store, for `mitobench pack`: the original may be gone by then."""
        kept = self.kept(file.sha256)
        if kept.is_file():
            touch(kept)
        else:
            kept.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(kept, file.read_bytes())

    def kept(self, sha256: str) -> Path:
        """Returns the path of the copy that `keep` made of a file with this SHA-256; it may not exist."""
        return self.root / "files" / sha256

    @contextmanager
    def write(self, kind: str, key: str, spec: dict[str, Any], n_frames: Mapping[str, int] = {}) -> Iterator[Path]:
        """Gives an empty folder to write a stage's output into; stores it if the block ends without an error.

        `n_frames` is the number of frames of each part, which later estimates of seconds are scaled by. The seconds of
        earlier tries that were interrupted are counted (`tries.begin`).

        Hold `lease(key)` meanwhile. If it was lost and another process stored the output first, that one is kept: both
        are equal. Raises StoreError if the disk is full.
        """
        self._remove_leftovers(key)
        started = time.monotonic()
        compute.forget_peak_memory()
        temporary = self.root / "tmp" / f"{key}-{uuid.uuid4().hex}"  # process ids repeat on other machines
        try:
            before = tries.begin(self.work(key))
            with atomic_folder(self._folder(kind, key), temporary, replace=False) as folder:
                yield folder
                peak = compute.peak_memory()
                seconds = round(before + time.monotonic() - started, 3)
                manifest = {"spec": spec, "seconds": seconds, "files": _digests(folder)}
                manifest |= {"peak_bytes": peak} if peak else {}
                manifest |= {"n_frames": dict(n_frames)} if n_frames else {}
                manifest["digest"] = canonical.digest(manifest)
                (folder / MANIFEST).write_text(canonical.dumps(manifest), encoding="utf-8")
            shutil.rmtree(self.root / "work" / key, ignore_errors=True)
        except Exception as reason:
            if is_full(reason, self.root):
                raise _store_error(self.root, reason) from reason
            raise

    def _folder(self, kind: str, key: str) -> Path:
        return self.root / "stages" / kind / key

    def _remove_leftovers(self, key: str) -> None:
        """Remove the incomplete outputs of this stage that killed processes left."""
        for leftover in (self.root / "tmp").glob(f"{key}-*"):
            shutil.rmtree(leftover, ignore_errors=True)


def touch(path: Path) -> None:
    """Notes that a file was used, where that can be noted."""
    with suppress(OSError):
        os.utime(path)


def is_full(reason: BaseException, folder: Path) -> bool:
    """Returns whether an error means that the disk is full. Libraries raise errors of their own for it."""
    if isinstance(reason, OSError):
        return reason.errno in tries.FULL
    try:
        return "No space left" in str(reason) or shutil.disk_usage(folder).free < 1 << 16
    except OSError:
        return False


def _store_error(root: Path, reason: BaseException) -> StoreError:
    problem = reason.strerror if isinstance(reason, OSError) else str(reason)
    fix = "Free some space there, or choose" if is_full(reason, root) else "Choose"
    return StoreError(
        f"The store {root} cannot be written: {problem}. {fix} another folder with --store. Finished stages are kept."
    )


def scan(folder: str | Path) -> Iterator[os.DirEntry[str]]:
    """Yields the entries of a folder; none if it does not exist."""
    with suppress(FileNotFoundError), os.scandir(folder) as found:
        yield from found


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p != folder / MANIFEST)
    return {p.relative_to(folder).as_posix(): canonical.file_digest(p) for p in files}


def verify(folder: Path) -> tuple[str | None, dict[str, Any]]:
    """Returns what is wrong with an output (None: nothing), and its manifest without the manifest's own digest."""
    try:
        manifest = read_json(folder / MANIFEST, MAX_STATE_BYTES, "manifest", StoreError)
        claimed = manifest.pop("digest")
        if canonical.digest(manifest) != claimed:
            return f"{MANIFEST} does not match its digest", {}
        wrong = sorted(_digests(folder).items() ^ manifest["files"].items())
        manifest["seconds"] = float(manifest["seconds"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, StoreError) as reason:
        return f"{MANIFEST}: {reason}", {}
    if canonical.digest(manifest.get("spec")) != folder.name:
        return f"the spec in {MANIFEST} does not match its key", {}
    return (f"{wrong[0][0]} is missing or changed, or was added" if wrong else None), manifest
