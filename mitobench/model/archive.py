"""Unpacks an archive of a model folder (zip, or tar with any compression). Nothing is written outside the folder."""

from __future__ import annotations

import lzma
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from mitobench.atomic import lift
from mitobench.errors import MitobenchError, one_line
from mitobench.foreign.limits import MAX_FILES_OF_MODEL, MAX_MODEL_BYTES
from mitobench.model.card import CARD

_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+=-]*")
_STEP = 1 << 20
_DAMAGED = (  # RuntimeError: encrypted, or of an unknown compression
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError
)  # fmt: skip


class Member(NamedTuple):
    """A regular file in an archive; `open` gives its content."""

    name: str
    open: Callable[[], IO[bytes]]


def safe_name(name: str) -> bool:
    """Whether a file's name, with / between folders, stays in its folder and is ordinary on every system."""
    return 0 < len(name) <= 250 and all(_PART.fullmatch(part) for part in name.split("/"))


def unpack(archive: Path, folder: Path, what: str) -> None:
    """Unpacks an archive into an empty folder. If all of it is in one folder, that folder's content is unpacked.

    Args:
        archive: the file.
        folder: an existing, empty folder.
        what: where the archive is from, for messages.

    Raises MitobenchError if it is not an archive or damaged, for links and other special files, names that lead out of
    the folder, and too many files or bytes.
    """
    try:
        _unpack(archive, folder, what)
    except _DAMAGED as reason:
        raise MitobenchError(
            f"{what}: cannot be unpacked: {one_line(str(reason))}. Download it again; a model is a .zip or .tar.gz."
        ) from reason


def _unpack(archive: Path, folder: Path, what: str) -> None:
    left = MAX_MODEL_BYTES
    is_zip = zipfile.is_zipfile(archive)
    for number, member in enumerate(_of_zip(archive, what) if is_zip else _of_tar(archive, what), 1):
        if number > MAX_FILES_OF_MODEL:
            raise MitobenchError(f"{what}: holds more than {MAX_FILES_OF_MODEL:,} files, the limit for a model.")
        if not safe_name(member.name):
            raise MitobenchError(f"{what}: holds a file {one_line(ascii(member.name))}, which a model may not have.")
        path = folder / member.name
        path.parent.mkdir(parents=True, exist_ok=True)
        with member.open() as source, path.open("xb") as target:
            while block := source.read(_STEP):
                left -= len(block)
                if left < 0:
                    raise MitobenchError(f"{what}: holds more than {MAX_MODEL_BYTES:,} bytes, the limit for a model.")
                target.write(block)
    _lift(folder)


def _lift(folder: Path) -> None:
    """Moves the content of the only folder in `folder` up into it."""
    inside = list(folder.iterdir())
    if len(inside) == 1 and inside[0].is_dir() and (inside[0] / CARD).is_file():
        lift(inside[0])


def _of_zip(archive: Path, what: str) -> Iterator[Member]:
    with zipfile.ZipFile(archive) as opened:
        for entry in opened.infolist():
            if entry.is_dir():
                continue
            kind = stat.S_IFMT(entry.external_attr >> 16)
            if kind not in (0, stat.S_IFREG):
                raise _special(what, entry.filename)
            yield Member(_plain(entry.filename), lambda entry=entry: opened.open(entry))  # type: ignore[misc]


def _of_tar(archive: Path, what: str) -> Iterator[Member]:
    with tarfile.open(archive, "r:*") as opened:
        size = 0
        for entry in opened:
            if entry.isdir():
                continue
            size += entry.size
            if size > MAX_MODEL_BYTES:  # before the content is passed over
                raise MitobenchError(f"{what}: holds more than {MAX_MODEL_BYTES:,} bytes, the limit for a model.")
            content = opened.extractfile(entry) if entry.isreg() else None
            if content is None:
                raise _special(what, entry.name)
            yield Member(_plain(entry.name), lambda content=content: content)  # type: ignore[misc]


def _plain(name: str) -> str:
    """The name without `./` at its start, which tar writes."""
    return PurePosixPath(name).as_posix() if name.startswith("./") else name


def _special(what: str, name: str) -> MitobenchError:
    return MitobenchError(f"{what}: {one_line(ascii(name))} is a link or a special file, which a model may not have.")
