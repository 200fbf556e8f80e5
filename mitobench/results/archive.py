"""Archives of detections: the files of detections of a packed leaderboard.

The detections of a split differ little from record to record, so one archive (tar, packed with xz) takes a quarter of
the space of single files. An archive is never written again, as a git repository keeps every version: records that are
added later get another one. `tar xf ARCHIVE` gives the CSV files.
"""

from __future__ import annotations

import functools
import hashlib
import io
import lzma
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from mitobench import foreign
from mitobench.atomic import write_atomic
from mitobench.errors import RecordError
from mitobench.foreign.limits import MAX_DETECTIONS_BYTES, MAX_PACKED_BYTES

ENDING = ".detections.tar.xz"
PACKED = ".gz"  # of a file of detections outside an archive
MAX_UNPACKED_BYTES = 2 * MAX_DETECTIONS_BYTES  # of all files of an archive
MAX_MEMBERS = 10_000
MAX_MEMORY = 256 * 2**20  # that unpacking may need, besides its result
RESTORE = "Restore the original archive."


def archives(folder: Path) -> list[Path]:
    """Returns the archives in a folder."""
    return sorted(folder.glob(f"*{ENDING}"))


def find(folder: Path, file: str) -> Iterator[tuple[Path, bytes]]:
    """Yields each archive in a folder that has a file of detections, with its text.

    There are several after a record was made again: its digest says which text is its own.

    Args:
        folder: of the records.
        file: name of the file outside an archive, which ends in `.csv.gz`.

    Raises RecordError for an archive that is damaged, too large, or holds anything but files of detections.
    """
    for archive in archives(folder):
        text = read(archive).get(file.removesuffix(PACKED))
        if text is not None:
            yield archive, text


def read(archive: Path) -> Mapping[str, bytes]:
    """Returns the texts in an archive by name, which ends in `.csv`. Raises RecordError as `find` does."""
    found = archive.stat()
    return _read(archive, found.st_mtime_ns, found.st_size)


@functools.lru_cache(maxsize=64)
def _read(archive: Path, modified: int, size: int) -> Mapping[str, bytes]:
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
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as tar:
            return _members(archive, tar)
    except (tarfile.TarError, EOFError, ValueError, OverflowError) as reason:
        raise RecordError(f"{archive}: is not a tar file: {reason}. {RESTORE}") from reason


def _members(archive: Path, tar: tarfile.TarFile) -> Mapping[str, bytes]:
    texts: dict[str, bytes] = {}
    total = 0
    while (member := tar.next()) is not None:
        plain = (
            member.type in tarfile.REGULAR_TYPES[:2]
            and Path(member.name).name == member.name
            and member.name.endswith(".csv")
        )
        if not plain or member.name in texts:
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


def write(folder: Path, label: str, texts: Mapping[str, bytes]) -> Path:
    """Write texts to an archive in a folder; returns its path. Equal texts give equal names.

    Args:
        folder: of the records.
        label: what its name starts with: the data set and the protocol.
        texts: CSV texts by the names of their files outside an archive. Must not be empty.
    """
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for file, text in sorted(texts.items()):
            member = tarfile.TarInfo(file.removesuffix(PACKED))
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text))
    digest = hashlib.sha256(content.getvalue()).hexdigest()[:10]
    target = folder / f"{label}-{digest}{ENDING}"
    write_atomic(target, lzma.compress(content.getvalue(), preset=9))
    return target
