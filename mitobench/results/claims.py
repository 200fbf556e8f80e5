"""Which detections in archives belong to the records next to them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from mitobench.results import archive
from mitobench.results.schema import DetectionsEntry, Record

Claims = Mapping[tuple[Path, str], str]


def entries_of(record: Record) -> Iterator[DetectionsEntry]:
    """Yields the detections that a record has."""
    yield from (entry for entry in (record.detections, record.validation_detections) if entry)


def claims(records: Iterable[tuple[Path, Record]]) -> Claims:
    """Returns the SHA-256 of the texts that records claim, by folder and name in an archive."""
    return {
        (path.parent, entry.file.removesuffix(archive.PACKED)): entry.sha256
        for path, record in records
        for entry in entries_of(record)
    }


def archive_orphans(path: Path, claimed: Claims) -> list[str]:
    """Returns the names of texts that no record next to their archive claims. Raises RecordError as `archive.read`."""
    return sorted(
        name
        for name, text in archive.read(path).items()
        if claimed.get((path.parent, name)) != hashlib.sha256(text).hexdigest()
    )
