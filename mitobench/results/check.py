"""Whether a record is what was written, and its numbers are those of its own frames and detections."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mitobench.errors import MitobenchError, RecordError
from mitobench.evaluate import StoredDetections
from mitobench.pipeline.stages.candidate_threshold import above
from mitobench.results.consistency import contradictions
from mitobench.results.difference import Difference, differences
from mitobench.results.recompute import Recomputed
from mitobench.results.record import ENDINGS, read, spelled, text_of
from mitobench.results.schema import Record

FIX = "Make the record again."
MAX_SHOWN = 3  # problems of one record, where it is left out

# The numbers that do not follow from anything else in a record, by path (`*`: any name or index), and why. Everything
# else is recomputed. These are caught against the annotation (`--data`), or by doing the work again (`reproduce`).
NOT_DERIVED = {
    "run.seconds*": "time that a stage, a frame or a candidate took",
    "training_info.*": "what a fit reported of its training",
    "data.*.frames.train": "number of frames that were learned from",
    "data.*.frames.val": "of a data set that did not choose: number of its validation frames",
    "chosen.fuser.*": "parameters that the fuser fitted; the fused scores are stored",
}
# The columns of the detections that are measured, or annotated: a change of one that moves no number is not found.
NOT_DERIVED_COLUMNS = {
    "x, y, x1, y1, x2, y2": "position",
    "detector_score, verifier_score, score": "score, where counts and ranking stay as they are",
    "mitosis, distance_um, also_within": "which mitoses are near, where counts and ranking stay as they are",
}

# Checks more against the annotation: of a record and its detections, the leaves that are not as found there.
Against = Callable[[Recomputed], Iterable[Difference]]


@dataclass
class Checked:
    """One record's check.

    Attributes:
        path: its file.
        record: None where it cannot be read.
        problems: what is wrong, one line each, with file and fix.
    """

    path: Path
    record: Record | None = None
    problems: list[str] = field(default_factory=list)


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
        wrong = list(contradictions(checked.record))
        if checked.record.status == "ok":
            recomputed = Recomputed.read(path, checked.record)
            wrong += _wrong(recomputed)
            wrong += against(recomputed) if against else ()
        checked.problems += [
            f"{path}: {name} is {recorded}; recomputed it is {now}. {FIX}" for name, recorded, now in wrong
        ]
    except RecordError as reason:
        said = str(reason)
        checked.problems.append(said if said.startswith(str(path.with_suffix(""))) else f"{path}: {said}. {FIX}")
    except MitobenchError as reason:  # of the data
        checked.problems.append(f"{path}: {reason}")
    return checked


def verified(path: Path) -> Record:
    """A record whose numbers are those of its own frames and detections. Raises RecordError with what is wrong."""
    checked = check(path)
    if checked.record is None or checked.problems:
        raise RecordError("\n".join(checked.problems[:MAX_SHOWN]))
    return checked.record


def verified_all(folder: Path) -> tuple[list[tuple[Path, Record]], list[str]]:
    """The records of a folder and of its subfolders that are right, and of each other one what is wrong with it.

    Two records of one identity have one name: the second can lie in a subfolder, with its detections.
    """
    good, broken = [], []
    for path in sorted(folder.rglob("*.json")):
        try:
            good.append((path, verified(path)))
        except RecordError as reason:
            broken.append(str(reason))
    return good, broken


def _other_bytes(path: Path, record: Record) -> Iterator[str]:
    """Where file name, spelling or packing is not what `record.write` gives: every byte of a record counts."""
    if path.stem != record.stem:
        yield f"{path}: is a copy, or was renamed. Its name must be {record.stem}.json."
    if spelled(record) != path.read_bytes():
        yield f"{path}: is spelled otherwise than it was written, with the same content. {FIX}"
    for name, ending in ENDINGS.items():
        entry = getattr(record, name)
        if entry is None:
            continue
        if entry.file != f"{record.stem}{ending}":
            yield f"{path}: its {name} must be in {record.stem}{ending}. {FIX}"
        rows = text_of(path, entry).count("\n") - 1
        if rows != entry.rows:
            yield f"{path.with_name(entry.file)}: has {rows} rows, its record says {entry.rows}. {FIX}"


def _wrong(recomputed: Recomputed) -> Iterator[Difference]:
    """Where the numbers are not those of the record's own frames and detections."""
    record = recomputed.record
    for name, value in recomputed.numbers.items():
        recorded = getattr(record, name)
        as_json = None if recorded is None else recorded.model_dump(mode="json")
        yield from differences(as_json, value, name)
    assert record.chosen is not None
    threshold, possible = record.chosen.candidate_threshold, recomputed.possible_thresholds
    if possible is not None and threshold not in possible:
        yield Difference("chosen.candidate_threshold", threshold, " or ".join(map(str, possible)))
    for name, stored in (("detections", recomputed.test), ("validation_detections", recomputed.val)):
        if stored is not None:
            yield from _wrong_candidates(name, stored, threshold)


def _wrong_candidates(name: str, stored: StoredDetections, threshold: float | None) -> Iterator[Difference]:
    """Above the candidate threshold is what the detector scores higher; that alone has a fused score."""
    differing = np.flatnonzero(stored.is_candidate != above(stored.detector, threshold))
    if len(differing):
        row = differing[0] + 2
        said = "there" if stored.is_candidate[differing[0]] else "empty"
        yield Difference(
            f"{name}: score of row {row}", said, f"there where detector_score > {threshold}, and only there"
        )
