"""Remembers which records were found to be right, so that an unchanged record is not computed again.

The key of a record is a digest of its files, their names, and the code that checked them, with the versions of numpy
and of all other packages that it imports. Equal parts of many records are kept in memory once.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mitobench import content_cache, foreign
from mitobench.content_cache import ContentCache
from mitobench.errors import MitobenchError, RecordError
from mitobench.evaluate import Metrics
from mitobench.foreign import limits
from mitobench.pipeline import canonical
from mitobench.pipeline.code import code_of
from mitobench.results import archive
from mitobench.results.record import ENDINGS
from mitobench.results.record_files import read_bytes, stem_of
from mitobench.results.schema import Record

CACHE = "records"
RIGHT = b"right"
WITH_COUNTS = ("validation", "test", "detector_alone")


class KnownRecords:
    """The records that were found to be right, now or earlier."""

    def __init__(self, cache: ContentCache) -> None:
        self._cache = cache
        self._shared: dict[Any, Any] = {}

    def read(self, path: Path) -> tuple[str | None, Record | None]:
        """Returns the key of a record (None: it has none), and the record itself if its key is that of a right one."""
        with suppress(MitobenchError, OSError, ValidationError):
            content, key = read_bytes(path), _key(path)
            if self._cache.get(key) != RIGHT:
                return key, None
            return key, self.shared(Record.model_validate_json(content))
        return None, None

    def add(self, path: Path, key: str | None) -> None:
        """Remembers that a record is right, if it is still the one that had this key before it was checked."""
        with suppress(MitobenchError, OSError):
            if key is not None and _key(path) == key:
                self._cache.add(key, RIGHT)

    def shared(self, record: Record) -> Record:
        """Returns an equal record, whose frames and counts are those of other records where these are equal."""
        changed: dict[str, Any] = {}
        if record.frames is not None:
            key = hashlib.sha256(record.frames.model_dump_json().encode()).digest()
            changed["frames"] = self._shared.setdefault(key, record.frames)
        for name in WITH_COUNTS:
            metrics: Metrics | None = getattr(record, name)
            if metrics is not None:
                counts = [self._shared.setdefault(one, one) for one in metrics.frames]
                changed[name] = metrics.model_copy(update={"frames": counts})
        return record.model_copy(update=changed)


@contextmanager
def known_records() -> Iterator[KnownRecords]:
    """Opens what is remembered about records."""
    with content_cache.opened(CACHE) as cache:
        yield KnownRecords(cache)


def _key(path: Path) -> str:
    content = foreign.read_bytes(path, limits.MAX_RECORD_BYTES, "record", RecordError)
    parts = [_code(), stem_of(path), hashlib.sha256(content).hexdigest()]
    for ending in ENDINGS.values():
        file = path.with_name(f"{stem_of(path)}{ending}")
        if file.exists():
            packed = foreign.read_bytes(file, limits.MAX_PACKED_BYTES, "record's detections", RecordError)
            parts.append(f"{ending} {hashlib.sha256(packed).hexdigest()}")
            continue
        parts += [f"{ending} in an archive {digest}" for digest in archive.digests(path.parent, file.name)]
    return canonical.digest(parts)


@functools.cache
def _code() -> str:
    return code_digest("mitobench.results.check")


@functools.cache
def code_digest(module: str) -> str:
    """Returns a digest of a module's code, of all that it imports, and of the versions of other packages."""
    code = code_of([module])
    return canonical.digest([code.digest, dict(code.versions)])
