"""The files of records in a folder: which there are, what they are called, and how to make them smaller.

A record is `STEM.json`, or the same packed, `STEM.json.gz`; its detections are next to it. Packed, it is about a tenth
as large, which leaderboards of hundreds of rows need. All commands read both.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mitobench import foreign
from mitobench.atomic import write_atomic
from mitobench.errors import RecordError
from mitobench.foreign import limits

PLAIN = ".json"
PACKED = ".json.gz"


def record_files(folder: Path, below: bool = True) -> list[Path]:
    """Returns the files of the records in a folder and, with `below`, its subfolders, in the order of their names."""
    find = folder.rglob if below else folder.glob
    return sorted([*find(f"*{PLAIN}"), *find(f"*{PACKED}")])


def stem_of(path: Path) -> str:
    """Returns the name of a record's file without its ending."""
    return path.name.removesuffix(".gz").removesuffix(PLAIN)


def forms_of(folder: Path, stem: str) -> tuple[Path, Path]:
    """Returns the files that a record may be in: plain, and packed."""
    return folder / f"{stem}{PLAIN}", folder / f"{stem}{PACKED}"


def doubled(paths: Iterable[Path]) -> Iterator[str]:
    """Yields a problem for each record that is there both plain and packed."""
    there = set(paths)
    for path in sorted(there):
        plain, packed = forms_of(path.parent, stem_of(path))
        if path == plain and packed in there:
            yield f"{path}: is there twice, also as {packed.name}. Remove the older one of the two."


def read_bytes(path: Path) -> bytes:
    """Returns the JSON text of a record, unpacked. Raises RecordError if the file cannot be read."""
    return foreign.read_unpacked(path, limits.MAX_RECORD_BYTES, "record", RecordError)


def pack(content: bytes) -> bytes:
    """Returns bytes packed with gzip; equal contents give equal bytes."""
    return gzip.compress(content, compresslevel=9, mtime=0)


@dataclass(frozen=True)
class Packing:
    """What `pack_folder` did.

    Attributes:
        records: number of records that it packed.
        before, after: bytes of their files, before and after.
    """

    records: int = 0
    before: int = 0
    after: int = 0


def pack_folder(folder: Path) -> Packing:
    """Replace each plain record of a folder and its subfolders by a packed one. Digests and detections stay.

    A file is removed only after its packed form was written. Raises RecordError if a record is there in both forms or
    cannot be read, MitobenchError if a file cannot be written.
    """
    paths = record_files(folder)
    for problem in doubled(paths):
        raise RecordError(problem)
    done = Packing()
    for path in paths:
        if path.name.endswith(PACKED):
            continue
        content = read_bytes(path)
        packed = pack(content)
        write_atomic(path.with_name(f"{stem_of(path)}{PACKED}"), packed)
        path.unlink()
        done = Packing(done.records + 1, done.before + len(content), done.after + len(packed))
    return done
