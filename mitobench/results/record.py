"""One JSON file a combination and seed, with its detections gzipped beside it.

A record's content (what was computed, from what) is apart from its run (when, where, how long): two runs of one
command on one machine give equal content. The spelling is canonical, so that equal records are equal bytes, and the
record carries the digest of itself and of its detections.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mitobench import foreign
from mitobench.atomic import write_whole
from mitobench.errors import RecordError
from mitobench.evaluate import BoxScores, Metrics, OperatingPoint
from mitobench.foreign import limits
from mitobench.pipeline import canonical
from mitobench.results.ranges import broken_row, impossible

log = logging.getLogger("mitobench")

SCHEMA_VERSION: Literal[1] = 1

# Fields that the first records of this version lack: no part of a digest where empty, so that those keep theirs.
LATER = {"fitted", "seconds_a_candidate"}

SCORES = ("chosen", "validation", "test", "detector_alone", "detections")  # of a run that came to its end
DETECTIONS = ".detections.csv.gz"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PluginEntry(_Strict):
    """A plugin as it took part; `variant` are the options that a table shows beside its name."""

    name: str
    version: str
    source: str
    options: dict[str, Any]
    variant: dict[str, Any] = {}


class DataEntry(_Strict):
    """A data set as it took part.

    Attributes:
        digest: over files and annotation of all frames used, by part.
        frames: number of frames, by part.
        coverage: what part of the data set was there; None: all of it.
        split: name of the split; `note` what it says about itself.
    """

    digest: dict[str, str]
    frames: dict[str, int]
    coverage: str | None
    split: str
    note: str


class Chosen(_Strict):
    """What validation chose.

    Attributes:
        gate: detections at or below it leave the ranking; None: nothing was dropped.
        gates: the gates that were tried, with their best validation F1.
        fuser: what the fuser chose (for `linear` the weight and the curve over it).
        point: threshold and scores on validation.
        detector_alone: the same for the detector's own score.
    """

    gate: float | None
    gates: list[tuple[float | None, float]]
    fuser: dict[str, Any]
    point: OperatingPoint
    detector_alone: OperatingPoint


class Run(_Strict):
    """When, where and how long; no part of the content.

    Attributes:
        command: what was typed; None for a run from Python.
        seconds: of each stage, by role; `cached` ones took theirs in an earlier run.
        seconds_a_frame: detection plus verification, mean over test frames.
        seconds_a_candidate: verification alone, mean over the test candidates above the gate.
    """

    command: str | None
    started: str
    seconds: dict[str, float]
    cached: list[str]
    seconds_a_frame: float | None
    seconds_a_candidate: float | None = None
    host: dict[str, str]
    git: str | None


class Record(_Strict):
    """One row of a leaderboard.

    Attributes:
        status: `ok`, or `failed` with a reason and no scores.
        combination: names of the parts, data and seed.
        stages: keys of the stages in the store.
        profile, overrides: where the options came from: the profile's name and every `--set`.
        fitted: what each fit said of itself, by role: counts of its training samples, for example.
        notes: what every table must say of this row (synthetic, from scratch, partial data, shared slides).
        detections: name, SHA-256 and number of rows of the detections' file; None where it failed.
        digest: over all of the above (the content), `run_digest` over `run`.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    status: Literal["ok", "failed"]
    reason: str | None = None
    combination: dict[str, Any]
    profile: str
    overrides: list[str] = []
    plugins: dict[str, PluginEntry]
    pipeline: dict[str, Any]
    data: dict[str, DataEntry]
    stages: dict[str, str] = {}
    fitted: dict[str, dict[str, Any]] = {}
    notes: list[str] = []
    chosen: Chosen | None = None
    validation: Metrics | None = None
    test: Metrics | None = None
    detector_alone: Metrics | None = None
    boxes: BoxScores | None = None
    versions: dict[str, str]
    device: str
    detections: dict[str, Any] | None = None
    digest: str = ""
    run: Run
    run_digest: str = ""

    def content(self) -> dict[str, Any]:
        """Everything but the run and the digests: equal for equal results."""
        return _known(self.model_dump(mode="json", exclude={"run", "digest", "run_digest"}))

    def sealed(self) -> Record:
        """The record with its digests."""
        run = canonical.digest(_known(self.run.model_dump(mode="json")))
        return self.model_copy(update={"digest": canonical.digest(self.content()), "run_digest": run})

    @property
    def stem(self) -> str:
        """The file's name without ending: readable, and unique by what was computed."""
        c = self.combination
        parts = [c["dataset"], c["protocol"], c["estimator"], c["detector"], c["verifier"], c["fuser"], f"s{c['seed']}"]
        safe = re.sub(r"[^A-Za-z0-9._-]+", "_", "-".join(str(part) for part in parts if part != "-"))
        return f"{safe}-{self.identity[:10]}"

    @property
    def identity(self) -> str:
        """Digest of what was asked for: equal for a repetition, whatever came out and on whatever device."""
        asked = {
            "combination": self.combination,
            "plugins": {role: [p.name, p.options] for role, p in self.plugins.items()},
            "pipeline": self.pipeline,
            "data": {name: entry.digest for name, entry in self.data.items()},
        }
        return canonical.digest(asked)

    @property
    def series(self) -> str:
        """The identity without the seed, with all it was computed with: records that share it are seeds of one row."""
        without = {**self.combination, "seed": None}
        computed = {
            "identity": self.model_copy(update={"combination": without}).identity,
            "code": {role: [plugin.version, plugin.source] for role, plugin in self.plugins.items()},
            "versions": self.versions,
            "device": self.device,
        }
        return canonical.digest(computed)


def _known(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value or name not in LATER}


def write(folder: Path, record: Record, detections: str | None) -> Path:
    """Write a record and its detections (CSV text), each aside and then renamed; returns the record's path."""
    if detections is not None:
        packed = gzip.compress(detections.encode(), compresslevel=9, mtime=0)
        name = f"{record.stem}{DETECTIONS}"
        rows = detections.count("\n") - 1
        digests = (hashlib.sha256(content).hexdigest() for content in (detections.encode(), packed))
        entry = {"file": name, "rows": rows, **dict(zip(("sha256", "packed"), digests, strict=True))}
        record = record.model_copy(update={"detections": entry})
        write_whole(folder / name, packed)
    path = folder / f"{record.stem}.json"
    if record.status == "failed":
        if _is_ok(path, record):
            log.warning("%s has a good record of the same stages: it is kept.", path)
            return path
        (folder / f"{record.stem}{DETECTIONS}").unlink(missing_ok=True)
    text = json.dumps(record.sealed().model_dump(mode="json"), sort_keys=True, indent=1, allow_nan=False)
    write_whole(path, (text + "\n").encode())
    return path


def _is_ok(path: Path, record: Record) -> bool:
    """Whether a good record of the same stages is there."""
    try:
        there = read(path)
    except RecordError:
        return False
    return there.status == "ok" and there.stages == record.stages


def read(path: Path) -> Record:
    """A record, verified.

    Raises RecordError for a file that is no record, one of another schema version, one that does not have the digest
    it claims, or one that lacks what a table needs, however well it is sealed.
    """
    content = foreign.read_json(path, limits.MAX_RECORD_BYTES, "record", RecordError)
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version != SCHEMA_VERSION:
        raise RecordError(
            f"{path}: has schema_version {version!r}, this mitobench reads {SCHEMA_VERSION}. "
            "Make the record again with this version, or read it with the one that wrote it."
        )
    try:
        record = Record.model_validate(content)
    except ValidationError as reason:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in reason.errors()[:5])
        raise RecordError(f"{path}: is no record: {wrong}.") from reason
    try:
        sealed = record.sealed()
    except (ValueError, RecursionError) as reason:  # infinity, half a character: what no record is written with
        raise RecordError(f"{path}: was changed after it was written: {reason}. Make it again.") from reason
    if (sealed.digest, sealed.run_digest) != (record.digest, record.run_digest):
        raise RecordError(f"{path}: was changed after it was written: its digest is another. Make it again.")
    lacking = _lacking(record)
    if lacking:
        raise RecordError(f"{path}: is no whole record: {lacking}. Make it again.")
    return record


def read_all(folder: Path) -> Iterator[tuple[Path, Record]]:
    """All records of a folder, in the order of their names. Raises RecordError at the first that is broken."""
    for path in sorted(folder.glob("*.json")):
        yield path, _read_whole(path)


def read_good(folder: Path) -> tuple[list[tuple[Path, Record]], list[str]]:
    """The records of a folder and of its subfolders that can be read, and of each other one what is wrong with it.

    Two records of one identity have one name: the second can lie in a subfolder, with its detections.
    """
    good, broken = [], []
    for path in sorted(folder.rglob("*.json")):
        try:
            good.append((path, _read_whole(path)))
        except RecordError as reason:
            broken.append(str(reason))
    return good, broken


def _read_whole(path: Path) -> Record:
    """A record with its detections, verified, under its own name. Raises RecordError."""
    found = read(path)
    if found.detections:
        _detections_text(path, found)
    if path.stem != found.stem:
        raise RecordError(f"{path}: is a copy, or was renamed. Its name must be {found.stem}.json.")
    return found


class _Named(BaseModel):
    """What every table reads of a combination, and all there is in one."""

    model_config = ConfigDict(strict=True, extra="forbid")

    dataset: str
    protocol: str
    estimator: str
    detector: str
    verifier: str
    fuser: str
    train_on: list[str]
    seed: int = Field(ge=0, le=limits.MAX_SEED)


def _lacking(record: Record) -> str | None:
    """What a table needs and a record lacks; None: nothing."""
    try:
        names = _Named.model_validate(record.combination)
    except ValidationError as reason:
        return "; ".join(f"combination.{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in reason.errors()[:5])
    absent = [f"data.{name}" for name in (names.dataset, *names.train_on) if name not in record.data]
    if not absent and "test" not in record.data[names.dataset].digest:
        absent = [f"data.{names.dataset}.digest.test"]
    absent += [f"pipeline.{name}" for name in ("matcher", "radius_um") if name not in record.pipeline]
    there = [name for name in SCORES if getattr(record, name) is not None]
    if record.status == "ok":
        absent += [name for name in SCORES if name not in there]
    if record.detections is not None:
        absent += [f"detections.{name}" for name in ("file", "sha256", "rows") if name not in record.detections]
    if absent:
        return f"{', '.join(absent)} not there"
    if record.status != "ok" and there:
        return f"its status is {record.status}, but {', '.join(there)} there"
    wrong = impossible(record.model_dump(include={*SCORES, "boxes"}))
    return f"{', '.join(wrong[:5])} out of range" if wrong else None


def read_detections(path: Path, record: Record) -> list[dict[str, str]]:
    """The rows of a record's detections, verified. Raises RecordError."""
    try:
        rows = list(csv.DictReader(io.StringIO(_detections_text(path, record))))
    except csv.Error as reason:
        raise RecordError(f"{path}: its detections are not CSV: {reason}. Make the record again.") from reason
    broken = broken_row(rows)
    if broken:
        raise RecordError(f"{path}: its detections: {broken}. Make the record again.")
    for row in rows:
        row["frame"] = foreign.unguard_cell(row["frame"])
    return rows


def _detections_text(path: Path, record: Record) -> str:
    if record.detections is None:
        raise RecordError(f"{path}: a record that failed has no detections.")
    if record.detections["file"] != f"{record.stem}{DETECTIONS}":
        raise RecordError(f"{path}: its detections must be in {record.stem}{DETECTIONS}. Make the record again.")
    file = path.with_name(f"{record.stem}{DETECTIONS}")
    packed = foreign.read_bytes(file, limits.MAX_PACKED_BYTES, "record's detections", RecordError)
    found = hashlib.sha256(packed).hexdigest()
    if record.detections.get("packed", found) != found:  # before it is unpacked
        raise RecordError(f"{file}: was changed, or is packed otherwise than it was written: its digest is another.")
    try:
        text = foreign.gunzip(packed, limits.MAX_DETECTIONS_BYTES)
    except ValueError as reason:
        raise RecordError(f"{file}: {reason}. Make the record again.") from reason
    if text.count(b"\n") > limits.MAX_DETECTIONS:
        raise RecordError(f"{file}: has more than {limits.MAX_DETECTIONS:,} rows, which is the limit.")
    if hashlib.sha256(text).hexdigest() != record.detections["sha256"]:
        raise RecordError(f"{file}: was changed after it was written: its digest is another. Make the record again.")
    try:
        return text.decode()
    except UnicodeDecodeError as reason:
        raise RecordError(f"{file}: is not UTF-8 text. Make the record again.") from reason
