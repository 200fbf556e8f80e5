"""Whether a record is what was written, and says what its own counts and detections say."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mitobench import foreign
from mitobench.errors import MitobenchError, RecordError
from mitobench.evaluate import Metrics
from mitobench.foreign.limits import MAX_DETECTIONS_BYTES
from mitobench.results import bounds, recount
from mitobench.results.record import DETECTIONS, Record, read, read_detections

MEND = "Make the record again."

# Checks more against the annotation: of a record and its detections, (name, as recorded, as found) where they differ.
Against = Callable[[Record, recount.Rows], recount.Wrong]


@dataclass
class Checked:
    """One record's check.

    Attributes:
        path: its file.
        record: None where it cannot be read.
        problems: what is wrong, one line each, with file and mend.
        exact: whether the scores over all thresholds follow from the stored detections; None where they are not there.
    """

    path: Path
    record: Record | None = None
    problems: list[str] = field(default_factory=list)
    exact: bool | None = None


def check(path: Path, against: Against | None = None) -> Checked:
    """Check a record and its detections; never raises for what is in them.

    Args:
        path: the record's .json file; its detections lie beside it.
        against: checks more, against the annotation.
    """
    checked = Checked(path)
    try:
        checked.record = read(path)
        checked.problems += _other_bytes(path, checked.record)
        if checked.record.detections is not None:
            _check_scores(checked, checked.record, checked.record.detections, against)
    except RecordError as reason:
        checked.problems.append(str(reason))
    except MitobenchError as reason:  # of the data
        checked.problems.append(f"{path}: {reason}")
    return checked


def _other_bytes(path: Path, record: Record) -> Iterator[str]:
    """Where file name or spelling is not what `record.write` gives: every byte of a record counts."""
    if path.stem != record.stem:
        yield f"{path}: is a copy, or was renamed. Its name must be {record.stem}.json."
    if record.detections is not None and record.detections["file"] != f"{record.stem}{DETECTIONS}":
        yield f"{path}: its detections must be in {record.stem}{DETECTIONS}. {MEND}"
    content = record.model_dump(mode="json", exclude_unset=True)  # an older record lacks fields that came later
    text = json.dumps(content, sort_keys=True, indent=1, allow_nan=False) + "\n"
    if path.read_bytes() != text.encode():
        yield f"{path}: is spelled otherwise than it was written, with the same content. {MEND}"


def _check_scores(checked: Checked, record: Record, entry: Mapping[str, Any], against: Against | None) -> None:
    found = read_detections(checked.path, record)
    file = checked.path.with_name(str(entry["file"]))
    if not _packed_as_written(file.read_bytes(), entry):
        checked.problems.append(f"{file}: is packed otherwise than it was written, with the same rows. {MEND}")
    if len(found) != entry["rows"]:
        checked.problems.append(f"{file}: has {len(found)} rows, its record says {entry['rows']}. {MEND}")
    try:
        rows = recount.Rows.of(found)
    except RecordError as reason:
        raise RecordError(f"{file}: {reason}. {MEND}") from reason
    wrong = [*_wrong(record, rows), *(against(record, rows) if against else ())]
    assert record.test is not None
    known = None if wrong else bounds.bounds(record.test, rows)
    if known is not None:
        wrong = [(f"test.{name}", *values) for name, *values in known.wrong(record.test)]
        checked.exact = known.meet
    checked.problems += [
        f"{checked.path}: {name} is {recorded}; recomputed it is {now}. {MEND}" for name, recorded, now in wrong
    ]


def _packed_as_written(packed: bytes, entry: Mapping[str, Any]) -> bool:
    """Whether a file that unpacks well has the very bytes it was written with; older records hold no digest of them."""
    again = gzip.compress(foreign.gunzip(packed, MAX_DETECTIONS_BYTES), compresslevel=9, mtime=0)
    written: str = entry.get("packed", hashlib.sha256(again).hexdigest())
    return hashlib.sha256(packed).hexdigest() == written


def _wrong(record: Record, rows: recount.Rows) -> recount.Wrong:
    """Where the scores are not those of the record's own counts, choices and detections."""
    assert record.validation is not None
    assert record.test is not None
    assert record.detector_alone is not None
    parts = {"validation": record.validation, "test": record.test, "detector_alone": record.detector_alone}
    for part, metrics in parts.items():
        yield from _named(part, recount.wrong_counts(metrics))
        yield from _named(part, _wrong_rule(record, metrics))
    yield from _wrong_choices(record, record.validation, record.test, record.detector_alone)
    yield from _wrong_frames(record, record.validation, record.test, record.detector_alone)
    yield from _wrong_gate(record, rows)
    yield from _named("test", recount.wrong_detections(record.test, rows))
    yield from _named("detector_alone", recount.wrong_detector_alone(record.detector_alone, rows))


def _named(part: str, wrong: recount.Wrong) -> recount.Wrong:
    return ((f"{part}.{name}", recorded, now) for name, recorded, now in wrong)


def _wrong_rule(record: Record, metrics: Metrics) -> recount.Wrong:
    for name in ("matcher", "radius_um"):
        if getattr(metrics, name) != record.pipeline[name]:
            yield name, getattr(metrics, name), record.pipeline[name]


def _wrong_choices(record: Record, validation: Metrics, test: Metrics, alone: Metrics) -> recount.Wrong:
    """Thresholds are validation's, whatever was scored; what validation chose is the best that it saw."""
    assert record.chosen is not None
    point = record.chosen.point
    expected = [
        ("validation.threshold", validation.threshold, point.threshold),
        ("test.threshold", test.threshold, point.threshold),
        ("detector_alone.threshold", alone.threshold, record.chosen.detector_alone.threshold),
    ]
    if point.threshold is not None:
        expected += [
            (f"chosen.point.{name}", getattr(point, name), getattr(validation, name)) for name in recount.RATIOS
        ]
        expected += [("validation.oracle_f1", validation.oracle_f1, validation.f1)]
    return (wrong for wrong in expected if not recount.same(wrong[1], wrong[2]))


def _wrong_frames(record: Record, validation: Metrics, test: Metrics, alone: Metrics) -> recount.Wrong:
    """As many frames as the data had, and the same mitoses for the detector alone."""
    combination = record.combination
    dataset, train_on = combination["dataset"], combination["train_on"]
    chose = [dataset] if dataset in train_on else train_on
    entries = [record.data[name] for name in chose if name in record.data]
    of_test = record.data[combination["dataset"]].frames.get("test")
    expected = [
        ("validation.n_frames", validation, sum(entry.frames.get("val", 0) for entry in entries)),
        ("test.n_frames", test, of_test),
        ("detector_alone.n_frames", alone, of_test),
    ]
    for name, metrics, frames in expected:
        if metrics.n_frames + metrics.n_unlabelled != frames:
            yield f"{name} with n_unlabelled", metrics.n_frames + metrics.n_unlabelled, frames
    mitoses = [{frame.frame: frame.tp + frame.fn for frame in part.frames} for part in (alone, test)]
    if all(mitoses) and mitoses[0] != mitoses[1]:
        differing = sorted(dict(mitoses[0].items() ^ mitoses[1].items()))[0]
        counts = [part.get(differing, "no") for part in mitoses]
        yield f"detector_alone.frames: {differing}", f"{counts[0]} mitoses", f"{counts[1]} by test.frames"


def _wrong_gate(record: Record, rows: recount.Rows) -> recount.Wrong:
    """Above the gate is what the detector scores higher; that alone has a fused score."""
    assert record.chosen is not None
    gate = -np.inf if record.chosen.gate is None else record.chosen.gate
    differing = int((rows.above_gate != (rows.detector > gate)).sum())
    if differing:
        yield f"above_gate of {differing} detections", "not by chosen.gate", f"score_detector > {gate}"
    differing = int((np.isnan(rows.score) == rows.above_gate).sum())
    if differing:
        yield f"score of {differing} detections", "not by above_gate", "there where above the gate, and nowhere else"
