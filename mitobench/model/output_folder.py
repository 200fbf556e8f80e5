"""The folder that `predict` writes: it replaces files of its own only, and knows which images are finished.

`mitobench_files.jsonl` lists every file with its SHA-256 before the file is written. A file that is not listed, or that
was changed since, is somebody else's work, and is not replaced.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mitobench.atomic import move_files, staged_files, write_atomic
from mitobench.errors import MitobenchError, as_text
from mitobench.foreign import check_target, load_json
from mitobench.foreign.limits import MAX_LABELS_BYTES

FILES = "mitobench_files.jsonl"
WORK = ".mitobench-work"  # folder of unfinished work, deleted at the end
LOCK = ".mitobench-lock"


def written_in(folder: Path) -> frozenset[str]:
    """Returns the names of the files in a folder that mitobench wrote, and that of their list."""
    if not (folder / FILES).is_file():
        return frozenset()
    known = OutputFolder(folder)
    known.read()
    return frozenset([FILES, *known.names])


class OutputFolder:
    """A folder of results. Use it in a `with` statement: it is locked meanwhile.

    Attributes:
        path: the folder.
        work: folder of unfinished work in it.
    """

    def __init__(self, path: Path, overwrite: bool = False) -> None:
        self.path, self.work, self._overwrite = path, path / WORK, overwrite
        self._known: dict[str, set[str]] = {}
        self._images: dict[str, dict[str, Any]] = {}
        self._lock = FileLock(path / LOCK)

    def __enter__(self) -> OutputFolder:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
            self.read()
            self._end_line()
        except Timeout as reason:
            raise MitobenchError(
                f"{self.path}: another `mitobench predict` is writing to it. Wait for it, or give another folder."
            ) from reason
        except OSError as reason:
            self._lock.release()
            raise _unwritable(self.path, reason) from reason
        return self

    def __exit__(self, *exception: object) -> None:
        self._lock.release()
        (self.path / LOCK).unlink(missing_ok=True)

    def check(self, names: Iterable[str]) -> None:
        """Raises MitobenchError if one of these files exists and is not as mitobench wrote it."""
        for name in [*names, FILES]:
            check_target(self.path / name)
            if not self._overwrite and name != FILES and not self._is_ours(name):
                raise MitobenchError(
                    f"{self.path / name}: exists, and was not written by `mitobench predict` or was changed since. "
                    "Move it, give another folder with --out, or replace it with --overwrite."
                )

    def finished(self, name: str, identity: Mapping[str, Any]) -> dict[str, Any] | None:
        """Returns what was stored with an image that is finished, if its files are there and nothing has changed."""
        entry = self._images.get(as_text(name))
        if self._overwrite or entry is None or entry.get("identity") != _plain(dict(identity)):
            return None
        if not all((self.path / file).is_file() and self._is_ours(file) for file in self.files(name)):
            return None
        stored = entry.get("stored")
        return stored if isinstance(stored, dict) else None

    @contextmanager
    def staged(self) -> Iterator[Path]:
        """Gives an empty folder. The files that the block writes there are moved into this folder at its end.

        Raises MitobenchError if one of them would replace a file that is not ours, or the disk is full.
        """
        try:
            with staged_files(self.path, self.work, self._announce) as stage:
                yield stage
        except OSError as reason:
            raise _unwritable(self.path, reason) from reason

    def adopt(self, stage: Path) -> None:
        """Moves files that another process wrote into this folder. Raises as `staged` does."""
        try:
            move_files(stage, self.path, self._announce)
        except OSError as reason:
            raise _unwritable(self.path, reason) from reason

    def _announce(self, stage: Path) -> None:
        """Adds the files of a folder to the list, before they move here."""
        names = sorted(path.name for path in stage.iterdir())
        self.check(names)
        self._append({"file": name, "sha256": _sha256(stage / name)} for name in names)

    def finish(self, name: str, identity: Mapping[str, Any], files: Iterable[str], stored: Mapping[str, Any]) -> None:
        """Notes that an image is finished, with its files and what `finished` is to return.

        Files that an earlier run wrote of it, and this one did not, are deleted: an image that is not judged any more
        has no mitoses beside it.
        """
        files, earlier = set(files), self._earlier(name)
        endings = sorted(file.removeprefix(name) for file in files)
        self._append([{"image": name, "identity": dict(identity), "endings": endings, "stored": dict(stored)}])
        self._delete(file for file in earlier if file not in files)

    def failed(self, name: str, file: Sequence[Any]) -> None:
        """Deletes what an earlier run wrote of an image that could not be searched now, if its `file` is another one.

        Of an unchanged file, the earlier results still hold: memory may have been too little, or a plugin broken.
        """
        identity = self._images.get(as_text(name), {}).get("identity")
        if isinstance(identity, dict) and identity.get("file") != list(file):
            self._delete(self._earlier(name))

    def _earlier(self, name: str) -> list[str]:
        return self.files(name) if as_text(name) in self._images else []

    def _delete(self, names: Iterable[str]) -> None:
        """Deletes files that are as mitobench wrote them."""
        for name in names:
            if self._is_ours(name):
                try:
                    (self.path / name).unlink(missing_ok=True)
                except OSError as reason:
                    raise _unwritable(self.path / name, reason) from reason

    def close(self) -> None:
        """Deletes unfinished work, and what the list says about older versions of files."""
        shutil.rmtree(self.work, ignore_errors=True)
        entries: list[dict[str, Any]] = []
        for path in sorted(self.path.iterdir()):
            if as_text(path.name) in self._known and path.is_file() and self._is_ours(path.name):
                entries.append({"file": as_text(path.name), "sha256": _sha256(path)})
        entries += [entry for _, entry in sorted(self._images.items())]
        write_atomic(self.path / FILES, "".join(_line(entry) for entry in entries).encode())

    def _is_ours(self, name: str) -> bool:
        """Whether a file is missing or as it was written."""
        path = self.path / name
        return not path.exists() or _sha256(path) in self._known.get(as_text(name), set())

    def _append(self, entries: Iterable[dict[str, Any]]) -> None:
        entries = [_plain(entry) for entry in entries]
        try:
            with (self.path / FILES).open("ab") as file:
                file.write("".join(_line(entry) for entry in entries).encode())
        except OSError as reason:
            raise _unwritable(self.path / FILES, reason) from reason
        for entry in entries:
            self._take(entry)

    def _take(self, entry: dict[str, Any]) -> None:
        if isinstance(entry.get("file"), str) and isinstance(entry.get("sha256"), str):
            self._known.setdefault(entry["file"], set()).add(entry["sha256"])
        elif isinstance(entry.get("image"), str):
            self._images[entry["image"]] = entry

    @property
    def images(self) -> dict[str, dict[str, Any]]:
        """The entries of the images of which at least one file is there, by name."""
        every = self._images.items()
        return {name: one for name, one in every if any((self.path / file).exists() for file in self.files(name))}

    def files(self, name: str) -> list[str]:
        """The files of an image that is noted as finished."""
        endings = self._images[as_text(name)].get("endings")
        return [f"{name}{ending}" for ending in (endings if isinstance(endings, list) else [""])]

    @property
    def names(self) -> list[str]:
        """The files that are listed, also such as are gone or were changed since."""
        return sorted(self._known)

    def read(self) -> None:
        """Reads the list. Lines that are not valid, such as one that was not written in full, are ignored."""
        path = self.path / FILES
        if not path.is_file() or path.stat().st_size > MAX_LABELS_BYTES:
            return
        for line in path.read_bytes().splitlines():
            try:
                entry = load_json(line, path)
            except MitobenchError:
                continue
            if isinstance(entry, dict):
                self._take(entry)

    def _end_line(self) -> None:
        """Ends the last line of the list, if a kill left it open."""
        path = self.path / FILES
        if path.is_file() and path.read_bytes()[-1:] not in (b"", b"\n"):
            with path.open("ab") as file:
                file.write(b"\n")


class FolderElsewhere(OutputFolder):
    """The folder as a process on another machine sees it, which searches one image: it hands its files over.

    The process that has locked the folder moves the files of `handed` there, and repeats the call that is in `ended`.

    Attributes:
        handed: a folder with the image's files; None if there are none.
        ended: the arguments that `finish` was called with; None if it was not.
    """

    handed: Path | None = None
    ended: tuple[str, Mapping[str, Any], list[str], Mapping[str, Any]] | None = None

    def __enter__(self) -> OutputFolder:
        self.read()
        return self

    def __exit__(self, *exception: object) -> None:
        return

    @contextmanager
    def staged(self) -> Iterator[Path]:
        """Gives an empty folder, which is `handed` over if the block ends without an error."""
        folder = self.work / f"files-{uuid.uuid4().hex}"
        try:
            folder.mkdir(parents=True)
            yield folder
        except OSError as reason:
            raise _unwritable(self.path, reason) from reason
        self.handed = folder

    def finish(self, name: str, identity: Mapping[str, Any], files: Iterable[str], stored: Mapping[str, Any]) -> None:
        """Keeps the arguments in `ended`."""
        self.ended = name, identity, list(files), stored


def _line(entry: dict[str, Any]) -> str:
    return json.dumps(entry, sort_keys=True) + "\n"


def _plain(value: Any) -> Any:
    """Returns a value of JSON whose texts can be encoded, whatever bytes a file's name has."""
    if isinstance(value, str):
        return as_text(value)
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, (list, tuple)) else value


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _digest(file)


def _digest(file: Any) -> str:
    """As `hashlib.file_digest`, which Python 3.10 lacks."""
    content = hashlib.sha256()
    while block := file.read(1 << 20):
        content.update(block)
    return content.hexdigest()


def _unwritable(path: Path, reason: OSError) -> MitobenchError:
    return MitobenchError(
        f"{path}: cannot be written: {reason.strerror or reason}. Fix this, or give another folder with --out."
    )
