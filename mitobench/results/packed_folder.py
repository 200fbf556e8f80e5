"""Packs the records of a folder, so that a leaderboard of hundreds of rows is small enough for a repository."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from mitobench import foreign
from mitobench.atomic import remove_file, write_atomic
from mitobench.errors import RecordError
from mitobench.foreign import limits
from mitobench.results import archive
from mitobench.results.claims import archive_orphans, claims, entries_of
from mitobench.results.record import read, renamed, text_of
from mitobench.results.record_files import (
    PLAIN,
    doubled,
    files,
    forms_of,
    has_more,
    pack,
    read_bytes,
    record_files,
    stem_of,
)
from mitobench.results.schema import Record


@dataclass(frozen=True)
class Packing:
    """What `pack_folder` did.

    Attributes:
        records: number of records in the folder.
        before, after: bytes of all its files, before and after.
        left_out: files of detections in archives that no record claimed, and that are gone.
    """

    records: int
    before: int
    after: int
    left_out: Sequence[str] = ()


def pack_folder(folder: Path) -> Packing:
    """Pack the records of a folder and its subfolders: JSON with gzip, detections into one archive for each split.

    Digests of content stay. All records are read before the first is packed, and a file is removed only after what
    replaces it was written and read again: an interrupted call is completed by the next one. An archive stays as it is
    unless it has detections that no record next to it claims, which are left out of the one that replaces it. One that
    was renamed gets a name of its content. A packed record with a name, a date or bytes at its end is packed again.

    Raises RecordError if a file is not a record, was changed or renamed, or is there in two forms with other content;
    MitobenchError if a file cannot be written.
    """
    before = _size(folder)
    paths = record_files(folder)
    for path in paths:
        _check_forms(path)
    by_split: dict[tuple[Path, str], list[tuple[Path, Record]]] = defaultdict(list)
    for path in paths:
        record = read(path)
        if stem_of(path) != record.stem:  # two records may then claim different texts of one name
            raise RecordError(renamed(path, record))
        by_split[path.parent, f"{record.combination['dataset']}-{record.combination['protocol']}"].append(
            (path, record)
        )
    claimed = claims((path, record) for records in by_split.values() for path, record in records)
    for found in files(folder, archive.ENDING):
        archive.name_by_content(found)  # so that one that is written has the name of none that is there
    orphans = {found: archive_orphans(found, claimed) for found in files(folder, archive.ENDING)}
    superseded = [found for found, names in orphans.items() if names]
    for (place, split), records in by_split.items():
        _pack_detections(place, split, records, superseded)
    for found in superseded:
        found.unlink()
    for path in paths:
        _pack_record(path)
    left_out = [name for names in orphans.values() for name in names]
    return Packing(len(paths), before, _size(folder), left_out)


def _pack_record(path: Path) -> None:
    content = read_bytes(path)
    if path.name.endswith(PLAIN) or has_more(path):
        write_atomic(forms_of(path.parent, stem_of(path))[1], pack(content))
    if path.name.endswith(PLAIN):
        remove_file(path, content)  # not one that a run wrote meanwhile


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _check_forms(path: Path) -> None:
    """Raises RecordError if a record is there in two forms that differ."""
    plain, packed = forms_of(path.parent, stem_of(path))
    if plain.is_file() and packed.is_file() and read_bytes(plain) != read_bytes(packed):
        raise RecordError(next(doubled([plain, packed])))


def _pack_detections(
    place: Path, split: str, records: Sequence[tuple[Path, Record]], superseded: Collection[Path]
) -> None:
    """Writes what is in no archive that stays to new ones, then removes the single files."""
    new, single = {}, {}
    for path, record in records:
        for entry in entries_of(record):
            file = path.with_name(entry.file)
            if file.is_file():
                single[file] = foreign.read_bytes(file, limits.MAX_PACKED_BYTES, "record's detections", RecordError)
            text = text_of(path, entry).encode()
            if not _is_archived(file, text, superseded):
                new[file.name] = text
    archive.write(place, split, new)
    for file, content in single.items():
        remove_file(file, content)  # not one that a run wrote meanwhile


def _is_archived(file: Path, text: bytes, superseded: Collection[Path]) -> bool:
    """Returns whether an archive that stays has a text."""
    return any(text == archived and found not in superseded for found, archived in archive.find(file.parent, file.name))
