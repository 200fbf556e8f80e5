"""Archives of detections: the files of detections of a packed leaderboard.

The detections of a split differ little from record to record, so one archive (tar, packed with xz) takes a quarter of
the space of single files. A git repository keeps every version, so an archive stays as it is when records are added:
they get another one. `tar xf ARCHIVE` gives the CSV files.
"""

from __future__ import annotations

import functools
import hashlib
import io
import lzma
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mitobench import foreign
from mitobench.atomic import write_atomic
from mitobench.errors import RecordError
from mitobench.foreign.limits import MAX_PACKED_BYTES
from mitobench.results.record_files import files

ENDING = ".detections.tar.xz"
PACKED = ".gz"  # of a file of detections outside an archive
MAX_UNPACKED_BYTES = 128 * 2**20  # of an archive
MAX_MEMBERS = 10_000
MAX_MEMORY = 256 * 2**20  # that unpacking may need, besides its result
MAX_LABEL = 100  # characters of a name before its digest
HEADERS = 4096  # bytes that a file takes in a tar besides its text, at most
RESTORE = "Restore the original archive."


def archives(folder: Path) -> list[Path]:
    """Returns the archives in a folder. Raises RecordError if it cannot be read."""
    return [path for path in files(folder, ENDING, below=False) if path.is_file()]


def find(folder: Path, file: str) -> Iterator[tuple[Path, bytes]]:
    """Yields each archive in a folder that has a file of detections, with its text.

    There are several after a record was made again: its digest says which text is its own.

    Args:
        folder: of the records.
        file: name of the file outside an archive, which ends in `.csv.gz`.

    Raises RecordError, after the others were yielded, for an archive that `read` refuses.
    """
    index = _index(_stamps(folder))
    for archive, _ in index.places.get(file.removesuffix(PACKED), ()):
        yield archive, read(archive)[file.removesuffix(PACKED)]
    if index.broken:
        raise RecordError(index.broken[0])


def digests(folder: Path, file: str) -> list[str]:
    """Returns the SHA-256 of each text that `find` yields, without reading the archives again."""
    return [digest for _, digest in _index(_stamps(folder)).places.get(file.removesuffix(PACKED), ())]


@dataclass(frozen=True)
class _Index:
    """What is in the archives of a folder.

    Attributes:
        places: by the name of a text, the archives that have it, with its SHA-256.
        broken: what is wrong with archives that cannot be read.
    """

    places: Mapping[str, Sequence[tuple[Path, str]]]
    broken: Sequence[str]


Stamp = tuple[Path, int, int]  # an archive, its time of modification in ns, and its size


def _stamps(folder: Path) -> tuple[Stamp, ...]:
    return tuple(_stamp(path) for path in archives(folder))


def _stamp(archive: Path) -> Stamp:
    try:
        found = archive.stat()
    except OSError as reason:
        raise RecordError(f"{archive}: cannot be read: {reason.strerror}. {RESTORE}") from reason
    return archive, found.st_mtime_ns, found.st_size


@functools.lru_cache(maxsize=16)
def _index(stamps: tuple[Stamp, ...]) -> _Index:
    places: dict[str, list[tuple[Path, str]]] = {}
    broken = []
    for stamp in stamps:
        try:
            texts = _read(*stamp)
        except RecordError as reason:
            broken.append(str(reason))
            continue
        for name, text in texts.items():
            places.setdefault(name, []).append((stamp[0], hashlib.sha256(text).hexdigest()))
    return _Index(places, broken)


def read(archive: Path) -> Mapping[str, bytes]:
    """Returns the texts in an archive by name, which ends in `.csv`.

    Raises RecordError for an archive that is damaged, too large, or not as `write` makes them.
    """
    return _read(*_stamp(archive))


@functools.lru_cache(maxsize=8)
def _read(archive: Path, modified: int, size: int) -> Mapping[str, bytes]:
    content = _unpacked(archive)
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as tar:
            texts = _members(archive, tar)
    except (tarfile.TarError, EOFError, ValueError, OverflowError, RecursionError) as reason:
        raise RecordError(f"{archive}: is not a tar file, or is damaged ({reason}). {RESTORE}") from reason
    if _tar(texts) != content:
        raise RecordError(f"{archive}: holds more than its files, or is not as mitobench writes it. {RESTORE}")
    return texts


def _unpacked(archive: Path) -> bytes:
    packed = foreign.read_bytes(archive, MAX_PACKED_BYTES, "archive of detections", RecordError)
    try:
        unpacker = lzma.LZMADecompressor(lzma.FORMAT_XZ, MAX_MEMORY)
        content = unpacker.decompress(packed, MAX_UNPACKED_BYTES)
    except lzma.LZMAError as reason:
        raise RecordError(f"{archive}: is not packed with xz, or is damaged ({reason}). {RESTORE}") from reason
    if not unpacker.eof:
        raise RecordError(f"{archive}: is cut short, or holds more than {MAX_UNPACKED_BYTES:,} bytes. {RESTORE}")
    if unpacker.unused_data:
        raise RecordError(f"{archive}: holds bytes behind its end. {RESTORE}")
    return content


def _members(archive: Path, tar: tarfile.TarFile) -> Mapping[str, bytes]:
    texts: dict[str, bytes] = {}
    total = 0
    while (member := tar.next()) is not None:
        plain = member.type == tarfile.REGTYPE and member.sparse is None and not member.pax_headers
        named = Path(member.name).name == member.name and member.name.endswith(".csv")
        if not (plain and named) or member.name in texts:
            raise RecordError(f"{archive}: may hold files NAME.csv only, each once; it has {member.name!r:.100}.")
        if len(texts) == MAX_MEMBERS:
            raise RecordError(f"{archive}: holds more than {MAX_MEMBERS:,} files, which is the limit.")
        total += member.size
        if total > MAX_UNPACKED_BYTES:
            raise RecordError(f"{archive}: holds more than {MAX_UNPACKED_BYTES:,} bytes, which is the limit.")
        file = tar.extractfile(member)
        assert file is not None  # it is a regular file
        texts[member.name] = file.read()
    return texts


def write(folder: Path, label: str, texts: Mapping[str, bytes]) -> list[Path]:
    """Write texts to an archive in a folder, or to several where one would be too large; returns their paths.

    Equal texts give equal names. Each archive is read again before this returns.

    Args:
        folder: of the records.
        label: what the names start with, the data set and the protocol; characters that a name may not have are
            replaced.
        texts: CSV texts by the names of their files outside an archive.

    Raises RecordError if an archive cannot be read again, or one text is too large for any.
    """
    start = re.sub(r"[^A-Za-z0-9._-]+", "_", label)[:MAX_LABEL]
    return [_write(folder, start, part) for part in _parts(texts)]


def _parts(texts: Mapping[str, bytes]) -> Iterator[dict[str, bytes]]:
    """Yields the texts by the names in an archive, divided so that each part is within the limits."""
    part: dict[str, bytes] = {}
    total = tarfile.RECORDSIZE
    for file, text in sorted(texts.items()):
        name = file.removesuffix(PACKED)
        size = len(text) + HEADERS
        if part and (len(part) == MAX_MEMBERS or total + size > MAX_UNPACKED_BYTES):
            yield part
            part, total = {}, tarfile.RECORDSIZE
        part[name] = text
        total += size
    if part:
        yield part


def _write(folder: Path, start: str, texts: Mapping[str, bytes]) -> Path:
    content = _tar(texts)
    target = folder / f"{start}{_end(content)}"
    write_atomic(target, lzma.compress(content, preset=9))
    if read(target) != texts:
        raise RecordError(f"{target}: does not give back what was written. Check the disk.")
    return target


def is_original(archive: Path) -> bool:
    """Returns whether an archive's name ends with the digest of its content: it is not a copy, and was not renamed.

    Raises RecordError as `read` does.
    """
    return archive.name.endswith(_end(_tar(read(archive))))


def name_by_content(archive: Path) -> None:
    """Rename an archive that is not original, or replace an equal one that is by it.

    Raises RecordError as `read` does, and if the new name is that of another archive.
    """
    texts = read(archive)
    end = _end(_tar(texts))
    if archive.name.endswith(end):
        return
    alike = (one for one in archives(archive.parent) if one.name.endswith(end) and read(one) == texts)
    target = next(alike, archive.with_name(f"renamed{end}"))
    if target.exists() and read(target) != texts:
        raise RecordError(f"{archive}: should be called {target.name}, which is another archive. Rename that one.")
    write_atomic(target, foreign.read_bytes(archive, MAX_PACKED_BYTES, "archive of detections", RecordError))
    archive.unlink()


def _end(tar: bytes) -> str:
    """Returns how the name of an archive with this content ends."""
    return f"-{hashlib.sha256(tar).hexdigest()[:10]}{ENDING}"


def _tar(texts: Mapping[str, bytes]) -> bytes:
    """Returns the tar file of texts by name; equal texts give equal bytes."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, text in sorted(texts.items()):
            member = tarfile.TarInfo(name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text))
    return content.getvalue()
