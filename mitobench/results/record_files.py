"""The files of records in a folder: which there are, and what they are called.

A record is `STEM.json`, or the same packed, `STEM.json.gz`. Its detections are next to it, in files of their own or in
an archive. All commands read both.
"""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from mitobench import foreign
from mitobench.atomic import TMP
from mitobench.errors import RecordError
from mitobench.foreign import limits

PLAIN = ".json"
PACKED = ".json.gz"
_HEADER = b"\x1f\x8b\x08" + bytes(5)  # gzip without a name and a date


def record_files(folder: Path, below: bool = True) -> list[Path]:
    """Returns the files of the records in a folder and, with `below`, its subfolders, in the order of their names."""
    return files(folder, PLAIN, PACKED, below=below)


def files(folder: Path, *endings: str, below: bool = True) -> list[Path]:
    """Returns what has one of these endings in a folder and, with `below`, its subfolders, sorted.

    Raises RecordError for a folder that cannot be read: it would count as one without records.
    """
    found: list[Path] = []
    for place, folders, names in os.walk(folder, onerror=_refuse):
        folders[:] = [name for name in folders if not name.startswith(TMP)]  # of what is being written, by anybody
        found += [Path(place, name) for name in (*folders, *names) if name.endswith(endings)]
        if not below:
            break
    return sorted(found)


def _refuse(reason: OSError) -> None:
    if not isinstance(reason, FileNotFoundError):
        raise RecordError(
            f"{reason.filename}: cannot be read: {reason.strerror}. Give yourself the right to read it, or move it out "
            "of the folder of the records."
        ) from reason


def stem_of(path: Path) -> str:
    """Returns the name of a record's file without its ending."""
    return path.name.removesuffix(".gz").removesuffix(PLAIN)


def forms_of(folder: Path, stem: str) -> tuple[Path, Path]:
    """Returns the files that a record may be in: plain, and packed."""
    return folder / f"{stem}{PLAIN}", folder / f"{stem}{PACKED}"


def is_record_name(path: Path) -> bool:
    """Returns whether a file has the ending of a record."""
    return path.name.endswith((PLAIN, PACKED))


def doubled(paths: Iterable[Path]) -> Iterator[str]:
    """Yields a problem for each record that exists both plain and packed."""
    there = set(paths)
    for path in sorted(there):
        plain, packed = forms_of(path.parent, stem_of(path))
        if path == plain and packed in there:
            yield (
                f"{path}: {packed.name} is there as well. Keep the one that agrees with the files of its detections "
                "(`mitobench leaderboard check` on each alone), and remove the other."
            )


def read_bytes(path: Path) -> bytes:
    """Returns the JSON text of a record, unpacked. Raises RecordError if the file cannot be read."""
    return foreign.read_unpacked(path, limits.MAX_RECORD_BYTES, "record", RecordError)


def pack(content: bytes) -> bytes:
    """Returns bytes packed with gzip; equal contents give equal bytes."""
    return gzip.compress(content, compresslevel=9, mtime=0)


def packed_otherwise(path: Path) -> str | None:
    """Returns what is wrong with a record that another program packed; None for one that `pack` packed, or a plain one.

    Its content, and with it its digests, are as they were.
    """
    if not has_more(path):
        return None
    return (
        f"{path}: was packed by another program, into other bytes than mitobench does. Run `mitobench leaderboard "
        "pack`, or unpack it with `gunzip`."
    )


def has_more(path: Path) -> bool:
    """Returns whether a packed record holds bytes that `pack` does not write: a name, a date, something at its end.

    Compressed bytes themselves are not compared, since libraries compress differently.
    """
    if not path.name.endswith(PACKED):
        return False
    content = foreign.read_bytes(path, limits.MAX_RECORD_BYTES, "record", RecordError)
    member = zlib.decompressobj(zlib.MAX_WBITS | 16)
    member.decompress(content, limits.MAX_RECORD_BYTES)
    return not content.startswith(_HEADER) or bool(member.unused_data)
