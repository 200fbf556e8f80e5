"""Migrates records of earlier schema versions to the current one, and keeps the digest of each earlier version.

Every new schema version comes with a step from the one before, so no record has to be made again because of it.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from mitobench import foreign
from mitobench.datasets import Dataset
from mitobench.datasets.splits import assign, named_split
from mitobench.errors import DataError, MitobenchError, RecordError
from mitobench.evaluate import FrameEntry, Metrics, StoredDetections
from mitobench.evaluate.stored import of_frames, to_csv
from mitobench.foreign import limits
from mitobench.pipeline import canonical
from mitobench.pipeline.frame_prediction import frame_prediction
from mitobench.pipeline.rounding import significant
from mitobench.pipeline.workspace import Workspace
from mitobench.results import record as records
from mitobench.results.command import command_of
from mitobench.results.local_datasets import LocalDatasets, split_digest
from mitobench.results.mismatch import Mismatch, mismatches
from mitobench.results.recompute import Recomputation
from mitobench.results.record import RecordDraft
from mitobench.results.record_files import record_files, stem_of
from mitobench.results.schema import SCHEMA_VERSION, Record, ValidationChoices


@dataclass
class MigrationReport:
    """The result of migrating the records of a folder.

    Attributes:
        migrated: the new files.
        current: number of records that had the current version already.
        problems: why records could not be migrated, one line each.
    """

    migrated: list[Path] = field(default_factory=list)
    current: int = 0
    problems: list[str] = field(default_factory=list)


Content = dict[str, Any]
Step = Callable[[Path, Content, LocalDatasets], RecordDraft]


def migrate_folder(folder: Path, data: Path | None) -> MigrationReport:
    """Migrate every record of a folder and its subfolders in place; records that cannot be migrated stay unchanged.

    Args:
        folder: of the records.
        data: folder that holds the data sets, at any depth. Missing synthetic frames are generated.
    """
    report, local = MigrationReport(), LocalDatasets(data)
    for path in record_files(folder):
        try:
            migrated = migrate(path, local)
        except MitobenchError as reason:
            message = str(reason)
            report.problems.append(message if message.startswith(str(path)) else f"{path}: {message}")
            continue
        if migrated is None:
            report.current += 1
        else:
            report.migrated.append(replace_files(path, migrated))
    return report


def migrate(path: Path, local: LocalDatasets) -> RecordDraft | None:
    """Returns a record in the current schema version; None if it has that version already.

    Args:
        path: the record's file, next to the file of its detections.
        local: the available data sets.

    Raises RecordError if the record was changed or cannot be migrated, MitobenchError if its data is missing.
    """
    content = records.read_json(path)
    version = content.get("schema_version")
    if version == SCHEMA_VERSION:
        return None
    if type(version) is not int or version not in STEPS:
        raise RecordError(f"{path}: has schema version {version!r}; there is no migration from it.")
    try:
        migrated = STEPS[version](path, content, local)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, csv.Error) as reason:
        raise RecordError(f"{path}: is not a complete record of version {version}: {reason!r:.200}.") from reason
    wrong = records.incomplete(migrated.record, written=False)
    if wrong:
        raise RecordError(f"{path}: is not a complete record of version {version}: {wrong}.")
    return migrated


def replace_files(path: Path, migrated: RecordDraft) -> Path:
    """Write a migrated record, remove the old files, and return the new record's path."""
    old = [path, path.with_name(f"{stem_of(path)}{records.DETECTIONS}")]
    written = records.write(path.parent, migrated.record, migrated.detections)
    for file in old:
        if file not in (written, written.with_name(f"{stem_of(written)}{records.DETECTIONS}")):
            file.unlink(missing_ok=True)
    return written


# ------------------------------------------------------------------------------------------------- version 1 to 2

_LATER = ("fitted", "seconds_a_candidate")  # fields that are not in a digest of version 1 if they are empty


def _one_to_two(path: Path, old: Content, local: LocalDatasets) -> RecordDraft:
    """Matches the detections with the annotation; all numbers must be the recorded ones."""
    if old["status"] != "ok":
        raise RecordError(f"{path}: failed when it was made, and holds no number. Remove it, or make it again.")
    _check_seal(path, old)
    rows = _rows(path, old)
    workspace = _tested_on(old, local)
    new = _fields(old, workspace)
    frames, stored = _stored(old, rows, workspace)
    detector, verifier, score = map(significant, (stored.detector, stored.verifier, stored.score))
    rounded = replace(stored, detector=detector, verifier=verifier, score=score)
    for detections in (rounded, stored):  # rounded as in new records, if that changes no number
        record = _recomputed(new, old, detections, frames)
        wrong = list(_changed(old, record))
        if not wrong:
            return RecordDraft(record, to_csv(detections))
    name, before, now = wrong[0]
    raise RecordError(f"{path}: {name} was {before}; matched with the annotation it is {now}. Make the record again.")


def _check_seal(path: Path, old: Content) -> None:
    def digested(fields: Mapping[str, Any]) -> Content:
        return {name: value for name, value in fields.items() if value or name not in _LATER}

    content = {name: value for name, value in old.items() if name not in ("run", "digest", "run_digest")}
    found = canonical.digest(digested(content)), canonical.digest(digested(old["run"]))
    if found != (old["digest"], old["run_digest"]):
        raise RecordError(f"{path}: was changed after it was written: its digest does not match. {records.RESTORE}")


def _rows(path: Path, old: Content) -> list[dict[str, str]]:
    file = path.with_name(f"{stem_of(path)}{records.DETECTIONS}")
    packed = foreign.read_bytes(file, limits.MAX_PACKED_BYTES, "record's detections", RecordError)
    try:
        text = foreign.gunzip(packed, limits.MAX_DETECTIONS_BYTES)
    except ValueError as reason:
        raise RecordError(f"{file}: cannot be read: {reason}.") from reason
    if hashlib.sha256(text).hexdigest() != old["detections"]["sha256"]:
        raise RecordError(f"{file}: was changed after it was written: its digest does not match. {records.RESTORE}")
    return list(csv.DictReader(io.StringIO(text.decode())))


def _tested_on(old: Content, local: LocalDatasets) -> Workspace:
    """Finds the record's test frames. Version 1 does not say which scanners took part, so their digest decides."""
    name, protocol = old["combination"]["dataset"], old["combination"]["protocol"]
    whole, split = local.dataset(name), named_split(name, protocol)
    for dataset in _scanner_subsets(whole):
        try:
            workspace = Workspace({name: dataset}, {name: assign(split, dataset)})
        except DataError:
            continue
        if workspace.digest(workspace.part([name], "test")) == old["data"][name]["digest"]["test"]:
            return workspace
    raise DataError(
        f"{whole.root}: the test frames of {name}, protocol {protocol}, are not those of the record. Give "
        "the copy that the record was made with (--data)."
    )


def _scanner_subsets(dataset: Dataset) -> Iterator[Dataset]:
    """Yields the data set with all of its scanners, then with fewer and fewer."""
    for number in range(len(dataset.scanners), 0, -1):
        for scanners in combinations(dataset.scanners, number):
            yield dataset.select(scanners)


def _fields(old: Content, workspace: Workspace) -> Content:
    """Returns the fields of version 2 that follow from those of version 1, apart from the scores."""
    kept = ("status", "reason", "combination", "profile", "overrides", "plugins", "notes", "versions", "device")
    shortened = re.search(r"schedules shortened to (\S+) of", "; ".join(old["notes"]))
    pipeline = {"processes": 1, **old["pipeline"]}
    pipeline["candidate_threshold"] = pipeline.pop("gate")
    return {
        **{name: old[name] for name in kept},
        "scale": float(shortened[1]) if shortened else 1.0,
        "only_scanners": _only_scanners(old),
        "pipeline": pipeline,
        "data": {name: _data(name, entry, workspace) for name, entry in old["data"].items()},
        "stages": {role.replace("verdicts", "verifier-scores"): key for role, key in old["stages"].items()},
        "training_info": old.get("fitted", {}),
        "boxes": old["boxes"],
        "migrated": [{"schema_version": 1, "digest": old["digest"]}],
        "run": {**old["run"], "command": ""},
    }


def _only_scanners(old: Content) -> list[str] | None:
    found = re.search(r"--scanner[ =](\S+)", old["run"]["command"] or "")
    return found[1].split(",") if found else None


def _data(name: str, entry: Content, workspace: Workspace) -> Content:
    """Returns a data set's entry. If it was only trained on, its scanners are those that its coverage names."""
    protocol = entry["split"].removeprefix(f"{name}-")
    named = sorted(set(re.findall(r"\d+ of \d+ ([A-Za-z0-9]+) ", entry["coverage"] or "")))
    here = list(workspace.datasets[name].scanners) if name in workspace.datasets else named or None
    split = {
        "name": entry["split"],
        "protocol": protocol,
        "digest": split_digest(named_split(name, protocol)),
        "note": entry["note"],
    }
    return {**{key: entry[key] for key in ("digest", "frames", "coverage")}, "scanners": here, "split": split}


def _stored(
    old: Content, rows: list[dict[str, str]], workspace: Workspace
) -> tuple[list[FrameEntry], StoredDetections]:
    """Returns the test frames, and the detections with the mitoses near them, frame by frame."""

    def column(name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
        return np.array([float(row[name] or "nan") for row in rows], dtype=np.float64)

    keys = workspace.part(workspace.datasets, "test")
    frame_of = np.array([row["frame"] for row in rows], dtype=np.str_)
    xy, boxes = (np.column_stack([column(name) for name in names]) for names in (("x", "y"), ("x1", "y1", "x2", "y2")))
    detector, verifier, score = (column(name) for name in ("score_detector", "score_verifier", "score"))
    places = [np.flatnonzero(frame_of == workspace.item(key).frame.id) for key in keys]
    if sum(map(len, places)) != len(rows):
        raise RecordError("its detections lie on frames that are not test frames")
    frames = [
        frame_prediction(workspace, key, "test", xy[at], detector[at]) for key, at in zip(keys, places, strict=True)
    ]
    order = np.concatenate(places)
    pipeline = old["pipeline"]
    rule = pipeline["matcher"], float(pipeline["radius_um"])
    stored = of_frames(frames, [boxes[order]], verifier[order], score[order], *rule)
    return [FrameEntry.of(frame) for frame in frames], stored


def _recomputed(new: Content, old: Content, stored: StoredDetections, frames: list[FrameEntry]) -> Record:
    """Returns the record of version 2 with all numbers recomputed; on validation only the counts of frames are kept."""
    chosen, validation = old["chosen"], old["validation"]
    entries = {
        "test": frames,
        "val": [
            FrameEntry(frame=frame["frame"], group=frame["group"], mitoses=frame["tp"] + frame["fn"])
            for frame in validation["frames"]
        ],
    }
    bare = dict.fromkeys(("chosen", "validation", "test", "detector_alone"))
    record = Record.model_validate({**new, **bare, "frames": entries, "run": new["run"]})
    counts = Metrics.model_validate({**validation, **_OVER_THRESHOLDS, **_INTERVALS})
    record = record.model_copy(
        update={
            "chosen": ValidationChoices.model_validate(
                {
                    "candidate_threshold": chosen["gate"],
                    **{name: chosen[name] for name in ("fuser", "point", "detector_alone")},
                }
            ),
            "validation": counts,
        }
    )
    numbers = Recomputation(record, stored, None).numbers
    numbers["chosen"] = {**record.chosen.model_dump(), **numbers["chosen"]} if record.chosen else None
    record = Record.model_validate({**record.model_dump(), **numbers})
    command = command_of(record)
    return record.model_copy(update={"run": record.run.model_copy(update={"command": command})})


_INTERVALS = dict.fromkeys(("precision_interval", "recall_interval", "f1_interval"))
_OVER_THRESHOLDS: Content = {
    "n_detections": None,
    "froc": {},
    **dict.fromkeys(("oracle_f1", "oracle_threshold", "average_precision", "recall_ceiling", "localisation_um")),
}
_COUNTS = ("tp", "fp", "fn", "frames", "n_frames", "n_unlabelled", "n_mitoses")
_UNCHANGED = (*_COUNTS, "precision", "recall", "f1", "threshold")
_UNCHANGED_ON_TEST = (*_UNCHANGED, "n_detections", "oracle_f1", "average_precision", "froc", "recall_ceiling")


def _changed(old: Content, record: Record) -> Iterator[Mismatch]:
    """Yields the numbers of version 1 that have changed; intervals and the median distance are computed differently."""
    for part, names in (
        ("validation", _UNCHANGED),
        ("test", _UNCHANGED_ON_TEST),
        ("detector_alone", _UNCHANGED_ON_TEST),
    ):
        now = getattr(record, part).model_dump(mode="json", include=set(names))
        yield from mismatches({name: old[part][name] for name in names}, now, part)


STEPS: dict[int, Step] = {1: _one_to_two}
