"""Reads and writes records: one JSON file for each combination and seed, with packed detections next to it.

The spelling is canonical, so equal records have equal bytes. A record holds its own digest and those of its detections.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from mitobench import foreign
from mitobench.atomic import atomic_file
from mitobench.errors import MitobenchError, RecordError, wrong_fields
from mitobench.evaluate import StoredDetections
from mitobench.evaluate import stored as stored_csv
from mitobench.foreign import limits
from mitobench.results import archive
from mitobench.results.claims import entries_of
from mitobench.results.open_fields import PipelineShape, SpecShape
from mitobench.results.ranges import impossible
from mitobench.results.record_files import PACKED, PLAIN, forms_of, pack, record_files, stem_of
from mitobench.results.schema import ROLES, SCHEMA_VERSION, SCORES, UNUSED, DetectionsEntry, Record, RecordedCombination

log = logging.getLogger("mitobench")

DETECTIONS = ".detections.csv.gz"
VALIDATION = ".validation.csv.gz"
VALIDATION_KIND = "mitobench validation scores"  # of files that are not records: `mitobench.validation` writes them
RESTORE = "Restore the original, or rerun the combination."
ENDINGS = {"detections": DETECTIONS, "validation_detections": VALIDATION}


@dataclass(frozen=True)
class RecordDraft:
    """A record that was not written yet, with the CSV texts of its detections on test and on validation frames.

    A record that failed has no detections; a migrated one has none on validation.
    """

    record: Record
    detections: str | None = None
    validation: str | None = None


# --------------------------------------------------------------------------------------------------------- writing


def write(folder: Path, record: Record, detections: str | None, validation: str | None = None) -> Path:
    """Write a record with its detections on test and validation frames (CSV text); returns the record's path.

    All files are written to temporary ones and then renamed, the record last. A failed record never replaces a good one
    of the same stages.
    """
    path, packed_path = forms_of(folder, record.stem)
    if record.status == "failed":
        for there in (path, packed_path):
            if _is_ok(there, record):
                log.warning("%s has a good record of the same stages: it is kept.", there)
                return there
    files: dict[Path, bytes] = {}
    entries: dict[str, DetectionsEntry | None] = {}
    for name, text in (("detections", detections), ("validation_detections", validation)):
        if text is not None:
            file = folder / f"{record.stem}{ENDINGS[name]}"
            files[file] = pack(text.encode())
            entries[name] = _entry(file.name, text, files[file])
    write_together({path: spelled(record.model_copy(update=entries).sealed()), **files})
    for earlier in (packed_path, *(folder / f"{record.stem}{ending}" for ending in ENDINGS.values())):
        if earlier not in files:
            earlier.unlink(missing_ok=True)
    return path


def write_together(contents: Mapping[Path, bytes]) -> None:
    """Write all files to temporary ones, then rename them, the first one last: a full disk changes none of them."""
    path = next(iter(contents))
    try:
        with ExitStack() as renames:
            for path, content in contents.items():
                renames.enter_context(atomic_file(path)).write_bytes(content)
    except OSError as reason:
        where = reason.filename2 or path  # the second one: what could not be renamed to
        raise MitobenchError(
            f"{where}: cannot be written: {reason.strerror or reason}. Fix this, or choose another path."
        ) from reason


def spelled(record: Record) -> bytes:
    """Returns the bytes of a record's file."""
    text = json.dumps(record.model_dump(mode="json"), sort_keys=True, indent=1, allow_nan=False)
    return f"{text}\n".encode()


def _entry(file: str, text: str, packed: bytes) -> DetectionsEntry:
    digests = (hashlib.sha256(content).hexdigest() for content in (text.encode(), packed))
    return DetectionsEntry(file=file, rows=text.count("\n") - 1, sha256=next(digests), packed=next(digests))


def _is_ok(path: Path, record: Record) -> bool:
    """Returns whether a good record of the same stages exists."""
    try:
        there = read(path)
    except RecordError:
        return False
    return there.status == "ok" and there.stages == record.stages


# --------------------------------------------------------------------------------------------------------- reading


def read(path: Path) -> Record:
    """Reads a record and checks its digests.

    Raises RecordError for a file that is not a record, has another schema version, was changed after it was written, or
    lacks what a table needs.
    """
    content = read_json(path)
    if content.get("kind") == VALIDATION_KIND:
        raise RecordError(
            f"{path}: holds scores on validation frames (`mitobench run --part val`) and is not a record: no test "
            "frame was scored. Run the same command without --part and --sweep."
        )
    version = content.get("schema_version")
    if version != SCHEMA_VERSION:
        raise RecordError(
            f"{path}: has schema version {version!r}, this mitobench reads {SCHEMA_VERSION}. {_fix(version)}"
        )
    try:
        record = Record.model_validate(content)
    except ValidationError as reason:
        raise RecordError(f"{path}: is not a record: {wrong_fields(reason)}.") from reason
    try:
        sealed = record.sealed()
    except (ValueError, RecursionError) as reason:  # infinity or half a character, which no record is written with
        raise RecordError(f"{path}: was changed after it was written: {reason}. {RESTORE}") from reason
    if (sealed.digest, sealed.run_digest) != (record.digest, record.run_digest):
        raise RecordError(f"{path}: was changed after it was written: its digest does not match. {RESTORE}")
    problem = incomplete(record)
    if problem:
        raise RecordError(f"{path}: is not a complete record: {problem}. {RESTORE}")
    return record


def _fix(version: object) -> str:
    if version == 1:
        return "Migrate it with `mitobench leaderboard migrate --data DIR`."
    return "Read it with the mitobench that wrote it, or make the record again with this one."


def read_json(path: Path) -> dict[str, Any]:
    """Reads the JSON object in a file. Raises RecordError."""
    content = foreign.read_json(path, limits.MAX_RECORD_BYTES, "record", RecordError)
    if not isinstance(content, dict):
        raise RecordError(f"{path}: is not a record: its JSON is not an object.")
    return content


def read_all(folder: Path) -> Iterator[tuple[Path, Record]]:
    """Yields the records of a folder, in the order of their names. Raises RecordError at the first broken one."""
    for path in record_files(folder, below=False):
        yield path, read_with_detections(path)


def read_good(folder: Path) -> tuple[list[tuple[Path, Record]], list[str]]:
    """Returns the records of a folder and its subfolders that can be read, and the problems of the others.

    Two records of one identity have the same name: the second may be in a subfolder, with its detections.
    """
    good, broken = [], []
    for path in record_files(folder):
        try:
            good.append((path, read_with_detections(path)))
        except RecordError as reason:
            broken.append(str(reason))
    return good, broken


def read_with_detections(path: Path) -> Record:
    """Reads a record and checks its digests, its name, and the digests of its detections. Raises RecordError."""
    found = read(path)
    for entry in entries_of(found):
        text_of(path, entry)
    if stem_of(path) != found.stem:
        raise RecordError(renamed(path, found))
    return found


def renamed(path: Path, record: Record) -> str:
    """Returns what is wrong with a record whose file has another name than it must have."""
    return f"{path}: is a copy, or was renamed. Its name must be {record.stem}{PLAIN} (or {PACKED})."


def incomplete(record: Record, written: bool = True) -> str | None:
    """Returns why no table could show a record although it has the schema's form; None if one can.

    Args:
        record: the record.
        written: whether it was written, so that it must name the files of its detections.
    """
    try:
        names = RecordedCombination.model_validate(record.combination)
    except ValidationError as reason:
        return wrong_fields(reason, "combination.")
    absent = [f"data.{name}" for name in (names.dataset, *names.train_on) if name not in record.data]
    if not absent and "test" not in record.data[names.dataset].digest:
        absent = [f"data.{names.dataset}.digest.test"]
    there = [name for name in (*SCORES, "frames") if getattr(record, name) is not None]
    if record.status == "ok":
        absent += [name for name in (*SCORES, "frames") if name not in there and (written or name != "detections")]
        absent += _missing_plugins(record)
    if absent:
        return f"{', '.join(absent)} missing"
    if record.status != "ok" and there:
        return f"its status is {record.status}, but it has {', '.join(there)}"
    misshapen = next(_misshapen(record), None)
    if misshapen:
        return misshapen
    wrong = impossible(record.model_dump(include={*SCORES, "boxes"}))
    return f"{', '.join(wrong[:5])} out of range" if wrong else None


def _misshapen(record: Record) -> Iterator[str]:
    """Yields what is wrong with the form of values that the schema leaves open."""
    shapes: list[tuple[str, type[BaseModel], Any]] = [
        ("pipeline.", PipelineShape, record.pipeline),
        *((f"specs.{key[:12]}.", SpecShape, spec) for key, spec in record.specs.items()),
    ]
    for where, shape, value in shapes:
        try:
            shape.model_validate(value)
        except ValidationError as reason:
            yield wrong_fields(reason, where)


def _missing_plugins(record: Record) -> list[str]:
    """Returns the parts of the combination whose plugin is not recorded, or has another name there."""
    named = {role: record.combination[role] for role in ROLES if record.combination[role] != UNUSED}
    there = {role: entry.name for role, entry in record.plugins.items()}
    return [f"plugins.{role} {name!r}" for role, name in named.items() if there.get(role) != name]


def read_detections(path: Path, record: Record) -> StoredDetections:
    """Reads a record's detections on the test frames. Raises RecordError, also if their digest does not match."""
    return _read_detections(path, record.detections)


def read_validation(path: Path, record: Record) -> StoredDetections | None:
    """Reads a record's detections on the validation frames; None for a migrated record. Raises RecordError."""
    return _read_detections(path, record.validation_detections) if record.validation_detections else None


def _read_detections(path: Path, entry: DetectionsEntry | None) -> StoredDetections:
    if entry is None:
        raise RecordError(f"{path}: a record that failed has no detections.")
    text = text_of(path, entry)
    try:
        return stored_csv.from_csv(text)
    except RecordError as reason:
        raise RecordError(f"{path.with_name(entry.file)}: {reason}. Make the record again.") from reason


def text_of(path: Path, entry: DetectionsEntry) -> str:
    """Reads the text of a record's detections, from their file or an archive, and checks its digests.

    In an archive, only the digest of the text counts. Raises RecordError.
    """
    if Path(entry.file).name != entry.file or not entry.file.endswith(tuple(ENDINGS.values())):
        raise RecordError(f"{path}: the file of its detections must be in the same folder. Make the record again.")
    file = path.with_name(entry.file)
    file, text = (file, _unpacked(file, entry)) if file.is_file() else _archived(path, entry)
    if text.count(b"\n") > limits.MAX_DETECTIONS:
        raise RecordError(f"{file}: has more than {limits.MAX_DETECTIONS:,} rows, which is the limit.")
    _check_digest(file, text, entry.sha256)
    try:
        return text.decode()
    except UnicodeDecodeError as reason:
        raise RecordError(f"{file}: is not UTF-8 text. Make the record again.") from reason


def _archived(path: Path, entry: DetectionsEntry) -> tuple[Path, bytes]:
    """Returns the archive with a record's detections, and their text; of several texts the one with its digest."""
    other = None
    for found in archive.find(path.parent, entry.file):
        if hashlib.sha256(found[1]).hexdigest() == entry.sha256:
            return found
        other = found
    if other is None:
        raise RecordError(
            f"{path}: neither {entry.file} nor an archive (*{archive.ENDING}) next to it has its detections. Copy the "
            "file or the archive from where the record came from."
        )
    return other


def _unpacked(file: Path, entry: DetectionsEntry) -> bytes:
    packed = foreign.read_bytes(file, limits.MAX_PACKED_BYTES, "record's detections", RecordError)
    _check_digest(file, packed, entry.packed)  # before it is unpacked
    try:
        return foreign.gunzip(packed, limits.MAX_DETECTIONS_BYTES)
    except ValueError as reason:
        raise RecordError(f"{file}: {reason}. Make the record again.") from reason


def _check_digest(file: Path, content: bytes, digest: str) -> None:
    if hashlib.sha256(content).hexdigest() != digest:
        raise RecordError(f"{file}: was changed after it was written: its digest does not match. {RESTORE}")
