"""Checks a record: whether it is as it was written, and whether its numbers follow from its own detections."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mitobench.errors import MitobenchError, RecordError
from mitobench.evaluate import StoredDetections
from mitobench.foreign import printable
from mitobench.pipeline.stages.candidate_threshold import above
from mitobench.results import archive, fused
from mitobench.results.consistency import contradictions
from mitobench.results.known import KnownRecords, known_records
from mitobench.results.mismatch import Mismatch, mismatches
from mitobench.results.recompute import Recomputation
from mitobench.results.record import ENDINGS, read, renamed, spelled, text_of
from mitobench.results.record_files import packed_otherwise, read_bytes, record_files, stem_of
from mitobench.results.schema import Record

FIX = "Make the record again."
MAX_SHOWN = 3  # problems of one record, where it is left out
MAX_CHARACTERS = 300  # shown of one value

# The numbers that do not follow from anything else in a record, by path (`*`: any name or index), and what they are.
# docs/protocol.md has the same table.
NOT_DERIVED = {
    "run.seconds*": "time that a stage, a frame or a candidate took, with tries that were interrupted; from 0 to a "
    "billion seconds",
    "training_info.*": "what a fit reported about its training",
    "data.*.frames.*": "number of frames of a part that neither chose nor was scored",
    "chosen.fuser.*": "parameters that the fuser fitted; those of the core's fusers must give the fused scores",
}
# The same for columns of the detections.
NOT_DERIVED_COLUMNS = {
    "x, y, x1, y1, x2, y2": "position; `--data` finds one that has other mitoses within the radius",
    "detector_score, verifier_score": "scores of plugins, if all numbers that follow from them were changed as well",
    "score": "fused score of a fuser outside the core package, if all numbers that follow from it were changed as well",
    "mitosis, distance_um, also_within": "mitoses within the radius, if all numbers that follow from them were changed "
    "as well; `--data` finds them",
}

# Compares a record and its detections with the annotation, and yields what does not agree.
AnnotationCheck = Callable[[Recomputation], Iterable[Mismatch]]


@dataclass
class RecordCheck:
    """The check of one record.

    Attributes:
        path: its file.
        record: None if it cannot be read.
        problems: what is wrong, one line each, with file and fix.
    """

    path: Path
    record: Record | None = None
    problems: list[str] = field(default_factory=list)


def check(path: Path, annotation: AnnotationCheck | None = None) -> RecordCheck:
    """Check a record and its detections. Nothing in them raises an error.

    Args:
        path: the record's file, next to the files of its detections.
        annotation: compares the record with the annotation; None: it is not compared.
    """
    result = RecordCheck(path)
    try:
        result.record = read(path)
        result.problems += _byte_problems(path, result.record)
        for wrong in _wrong(path, result.record, annotation):
            result.problems.append(_line(path, wrong))
    except RecordError as reason:
        result.problems.append(_named(path, str(reason)))
    except MitobenchError as reason:  # the data sets are not as they should be
        result.problems.append(f"{path}: {reason}")
    return result


def _named(path: Path, message: str) -> str:
    """Returns what is wrong with a record, with its path in front unless the message starts with one of its files."""
    if f"{archive.ENDING}: " in message:
        return f"{path}: its detections cannot be read. {message}"
    # The second one: `path` is a file name in the working directory.
    if message.startswith((f"{path.parent}{os.sep}", str(path.with_name(stem_of(path))))):
        return message
    return f"{path}: {message}. {FIX}"


def verified(path: Path) -> Record:
    """Returns a record that `check` accepts. Raises RecordError with the first problems of any other."""
    return _good(check(path))


def _good(result: RecordCheck) -> Record:
    if result.record is None or result.problems:
        raise RecordError("\n".join(result.problems[:MAX_SHOWN]))
    return result.record


def check_unless_known(path: Path, known: KnownRecords) -> RecordCheck:
    """Check a record and its detections, unless they were checked before and have not changed since."""
    key, record = known.read(path)
    if record is not None:
        return RecordCheck(path, record)
    result = check(path)
    if result.record is not None and not result.problems:
        result.record = known.shared(result.record)
        known.add(path, key)
    return result


def verified_all(folder: Path) -> tuple[list[tuple[Path, Record]], list[str]]:
    """Returns the records of a folder and its subfolders that `check` accepts, and the problems of the others.

    Records that were checked before, and have not changed since, are not checked again. Two records of one identity
    have the same name: the second may be in a subfolder, with its detections.
    """
    good, broken = [], []
    with known_records() as known:
        for path in record_files(folder):
            try:
                good.append((path, _good(check_unless_known(path, known))))
            except RecordError as reason:
                broken.append(str(reason))
    return good, broken


def _byte_problems(path: Path, record: Record) -> Iterator[str]:
    """Yields where file name, spelling or packing differ from what `record.write` gives: every byte counts."""
    if stem_of(path) != record.stem:
        yield renamed(path, record)
    if spelled(record) != read_bytes(path):
        yield f"{path}: has the same content as when it was written, but other bytes. {FIX}"
    elif packed := packed_otherwise(path):
        yield packed
    for name, ending in ENDINGS.items():
        entry = getattr(record, name)
        if entry is None:
            continue
        if entry.file != f"{record.stem}{ending}":
            yield f"{path}: its {name} must be in {record.stem}{ending}. {FIX}"
        rows = text_of(path, entry).count("\n") - 1
        if rows != entry.rows:
            yield f"{path.with_name(entry.file)}: has {rows} rows, but its record says {entry.rows}. {FIX}"


def _line(path: Path, wrong: Mismatch) -> str:
    name, recorded, expected = (printable(value, MAX_CHARACTERS) for value in wrong)
    return f"{path}: {name} is {recorded}; it must be {expected}. {FIX}"


def _wrong(path: Path, record: Record, annotation: AnnotationCheck | None) -> Iterator[Mismatch]:
    yield from contradictions(record)
    if record.status == "ok":
        recomputation = Recomputation.read(path, record)
        yield from _wrong_numbers(recomputation)
        yield from fused.wrong_scores(recomputation)
        yield from annotation(recomputation) if annotation else ()


def _wrong_numbers(recomputation: Recomputation) -> Iterator[Mismatch]:
    """Yields the numbers that do not follow from the record's own frames and detections."""
    record = recomputation.record
    for name, value in recomputation.numbers.items():
        recorded = getattr(record, name)
        as_json: Any = None if recorded is None else recorded.model_dump(mode="json")
        if name == "chosen":  # the fuser and the candidate threshold are checked elsewhere
            as_json = {part: as_json[part] for part in value}
        yield from mismatches(as_json, value, name)
    assert record.chosen is not None
    threshold, possible = record.chosen.candidate_threshold, recomputation.possible_thresholds
    if possible is not None and threshold not in possible:
        yield Mismatch("chosen.candidate_threshold", threshold, " or ".join(map(str, possible)))
    for name, stored in (("detections", recomputation.test), ("validation_detections", recomputation.val)):
        if stored is not None:
            yield from _wrong_candidates(name, stored, threshold)


def _wrong_candidates(name: str, stored: StoredDetections, threshold: float | None) -> Iterator[Mismatch]:
    """Yields the first detection that has a fused score below the candidate threshold, or none above it."""
    wrong = np.flatnonzero(stored.is_candidate != above(stored.detector, threshold))
    if len(wrong):
        recorded = "a number" if stored.is_candidate[wrong[0]] else "empty"
        expected = f"a number where detector_score > {threshold}, and empty elsewhere"
        yield Mismatch(f"{name}: score of row {wrong[0] + 2}", recorded, expected)
