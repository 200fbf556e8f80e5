"""Outputs of stages on disk, each under the digest of everything that went into it.

    stages/KIND/KEY/   what the stage wrote, and manifest.json with the SHA-256 of every file
    work/KEY/          checkpoints of a stage that is under way; survives a killed run
    aside/             outputs being written; renamed into place when whole
    files/SHA256       content of the files that options named
    locks/KEY          held by the one process that does the stage

An output is there whole or not at all: it is written aside and renamed, and every byte of it is verified on
reading. What does not verify is thrown away and done again.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from mitobench.atomic import remove_whole, whole_folder, write_whole
from mitobench.content import File
from mitobench.errors import StoreError
from mitobench.foreign import check_target, read_json
from mitobench.foreign.limits import MAX_STATE_BYTES
from mitobench.pipeline import canonical

log = logging.getLogger("mitobench")

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Output:
    """A stage's verified output: its folder and its manifest (spec, seconds, files)."""

    folder: Path
    manifest: dict[str, Any]

    @property
    def seconds(self) -> float:
        """Wall-clock time that the stage took when it was done, s."""
        return float(self.manifest["seconds"])


class Store:
    """Outputs of stages below one folder, shared by any number of processes."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def open(self) -> Store:
        """This store, with its folders made and seen to be writable. Raises StoreError."""
        try:
            for folder in ("stages", "work", "aside", "locks"):
                (self.root / folder).mkdir(parents=True, exist_ok=True)
                tempfile.TemporaryFile(dir=self.root / folder).close()  # told now if it is not ours to write
        except OSError as reason:
            raise _store_error(self.root, reason) from reason
        return self

    def has(self, kind: str, key: str) -> bool:
        """Whether an output is there, not verified: for showing a plan."""
        return (self._folder(kind, key) / MANIFEST).is_file()

    def get(self, kind: str, key: str) -> Output | None:
        """The verified output, or None where there is none. A corrupt one is thrown away, and the log says so."""
        folder = self._folder(kind, key)
        if not folder.exists():
            return None
        problem, manifest = _verify(folder)
        if problem is None:
            return Output(folder, manifest)
        log.warning("%s is corrupt (%s): it is thrown away and the stage done again.", folder, problem)
        self.discard(kind, key)
        return None

    def discard(self, kind: str, key: str) -> None:
        """Throw an output away, at once for every reader."""
        (self.root / "aside").mkdir(parents=True, exist_ok=True)
        remove_whole(self._folder(kind, key), trash=self.root / "aside")

    def lock(self, key: str) -> FileLock:
        """The lock under which a stage is done; freed by the system when its holder dies. Raises StoreError."""
        path = self.root / "locks" / key
        check_target(path, StoreError)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)  # the store may have been deleted meanwhile
        except OSError as reason:
            raise _store_error(self.root, reason) from reason
        return FileLock(path)

    def work(self, key: str) -> Path:
        """The stage's work folder, kept until its output is in place."""
        folder = self.root / "work" / key
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def keep(self, file: File) -> None:
        """Keep the content of an option's file, for packing: it may be gone or changed by then."""
        kept = self.kept(file.sha256)
        if not kept.is_file():
            kept.parent.mkdir(parents=True, exist_ok=True)
            write_whole(kept, file.read_bytes())

    def kept(self, sha256: str) -> Path:
        """Where a file of that content is, if `keep` kept it."""
        return self.root / "files" / sha256

    @contextmanager
    def write(self, kind: str, key: str, spec: dict[str, Any]) -> Iterator[Path]:
        """An empty folder to write a stage's output into; it is in place when the block ends without an error.

        To be used under `lock(key)`. Raises StoreError when the disk is full or not writable.
        """
        self._sweep(key)
        started = time.monotonic()
        aside = self.root / "aside" / f"{key}-{os.getpid()}"
        try:
            with whole_folder(self._folder(kind, key), aside) as folder:
                yield folder
                manifest = {"spec": spec, "seconds": round(time.monotonic() - started, 3), "files": _digests(folder)}
                manifest["digest"] = canonical.digest(manifest)
                (folder / MANIFEST).write_text(canonical.dumps(manifest), encoding="utf-8")
            shutil.rmtree(self.root / "work" / key, ignore_errors=True)
        except Exception as reason:
            if is_full(reason, self.root):
                raise _store_error(self.root, reason) from reason
            raise

    def _folder(self, kind: str, key: str) -> Path:
        return self.root / "stages" / kind / key

    def _sweep(self, key: str) -> None:
        """Remove what a killed process left of this stage."""
        for left in (self.root / "aside").glob(f"{key}-*"):
            shutil.rmtree(left, ignore_errors=True)


def is_full(reason: BaseException, folder: Path) -> bool:
    """Whether an error means that the disk is full; libraries wrap it in errors of their own."""
    if isinstance(reason, OSError):
        return reason.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    try:
        return "No space left" in str(reason) or shutil.disk_usage(folder).free < 1 << 16
    except OSError:
        return False


def _store_error(root: Path, reason: BaseException) -> StoreError:
    said = reason.strerror if isinstance(reason, OSError) else str(reason)
    mend = "Free some space there, or give" if is_full(reason, root) else "Give"
    return StoreError(
        f"The store {root} cannot be written: {said}. {mend} another folder with --store; what is finished is kept."
    )


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != MANIFEST)
    return {p.relative_to(folder).as_posix(): canonical.file_digest(p) for p in files}


def _verify(folder: Path) -> tuple[str | None, dict[str, Any]]:
    """What is wrong with an output (None: nothing), and its manifest."""
    try:
        manifest = read_json(folder / MANIFEST, MAX_STATE_BYTES, "manifest", StoreError)
        claimed = manifest.pop("digest")
        if canonical.digest(manifest) != claimed:
            return f"{MANIFEST} has another digest", {}
        found = _digests(folder).items()
        wrong = sorted(found ^ manifest["files"].items())
        manifest["seconds"] = float(manifest["seconds"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, StoreError) as reason:
        return f"{MANIFEST}: {reason}", {}
    if canonical.digest(manifest.get("spec")) != folder.name:
        return "it is of another key than its own", {}
    return (f"{wrong[0][0]} has another digest" if wrong else None), manifest
