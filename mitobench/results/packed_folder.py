"""Packs the records of a folder, so that a leaderboard of hundreds of rows is small enough for a repository."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from mitobench.atomic import write_atomic
from mitobench.errors import RecordError
from mitobench.results import archive
from mitobench.results.record import read, text_of
from mitobench.results.record_files import PLAIN, doubled, forms_of, pack, read_bytes, record_files, stem_of
from mitobench.results.schema import Record


@dataclass(frozen=True)
class Packing:
    """What `pack_folder` did.

    Attributes:
        records: number of records that it packed.
        before, after: bytes of all files in the folder, before and after.
    """

    records: int
    before: int
    after: int


def pack_folder(folder: Path) -> Packing:
    """Pack the records of a folder and its subfolders: JSON with gzip, detections into one archive for each split.

    Digests of content stay. All records are read before the first is packed, and a file is removed only after what
    replaces it was written: an interrupted call is completed by the next one. Archives that are there are not changed.

    Raises RecordError if a file is not a record, was changed, or is there in two forms with other content;
    MitobenchError if a file cannot be written.
    """
    before = _size(folder)
    paths = record_files(folder)
    for path in paths:
        _check_forms(path)
    records = [(path, read(path)) for path in paths]
    by_split: dict[tuple[Path, str], dict[Path, bytes]] = defaultdict(dict)
    for path, record in records:
        for file, text in _single_files(path, record).items():
            by_split[path.parent, f"{record.combination['dataset']}-{record.combination['protocol']}"][file] = text
    for (place, split), texts in by_split.items():
        _pack_detections(place, split, texts)
    plain = [path for path, _ in records if path.name.endswith(PLAIN)]
    for path in plain:
        write_atomic(forms_of(path.parent, stem_of(path))[1], pack(read_bytes(path)))
        path.unlink()
    return Packing(len(plain), before, _size(folder))


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _check_forms(path: Path) -> None:
    """Raises RecordError if a record is there in two forms that differ."""
    plain, packed = forms_of(path.parent, stem_of(path))
    if plain.is_file() and packed.is_file() and read_bytes(plain) != read_bytes(packed):
        raise RecordError(next(doubled([plain, packed])))


def _single_files(path: Path, record: Record) -> dict[Path, bytes]:
    """Returns the texts of a record's detections that are in files of their own."""
    entries = [entry for entry in (record.detections, record.validation_detections) if entry]
    return {file: text_of(path, entry).encode() for entry in entries if (file := path.with_name(entry.file)).is_file()}


def _pack_detections(place: Path, split: str, texts: dict[Path, bytes]) -> None:
    new = {file.name: text for file, text in texts.items() if not _is_archived(file, text)}
    if new:
        archive.write(place, split, new)
    for file in texts:
        file.unlink()


def _is_archived(file: Path, text: bytes) -> bool:
    """Returns whether an archive has the text already, as after an interrupted call."""
    return any(text == archived for _, archived in archive.find(file.parent, file.name))
