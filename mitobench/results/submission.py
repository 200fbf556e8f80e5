"""Writes the files that contests score: detections on a test set whose labels are withheld."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mitobench import foreign
from mitobench.api import Detections
from mitobench.atomic import atomic_folder
from mitobench.content import file_digest
from mitobench.datasets import Dataset, mitos2014
from mitobench.errors import MitobenchError, RecordError, nearest
from mitobench.evaluate.midog25 import RESULT_FILE, accepted, contest_json, points_mm
from mitobench.foreign.limits import MAX_SPLIT_BYTES
from mitobench.results.local_datasets import LocalDatasets
from mitobench.results.record import read, read_detections
from mitobench.results.schema import Record

FILES = "mitobench_submission.json"  # the digest of each file of a submission, by its path in the folder
PROTOCOLS = {mitos2014.Mitos2014.name: "official"}  # by data set that has a submission format


@dataclass(frozen=True)
class Submission:
    """What was written.

    Attributes:
        frames: ids of all frames for which a file was written.
        detections: number of detections in all files.
        missing: which test frames of a complete copy are missing here, in words; None if none are.
    """

    frames: Sequence[str]
    detections: int
    missing: str | None


def submit_midog25(path: Path, data: Path, folder: Path) -> Submission:
    """Write `folder/FRAME/mitotic-figures.json` for every test frame of a record, as a container of MIDOG 2025 would.

    Coordinates are mm. Candidates below the threshold stay as `non-mitotic figure`. Every file is checked by the rules
    of the contest's evaluator before anything is written.

    Args:
        path: the record, of any data set.
        data: folder that holds the data set, which has the um/px of the frames.
        folder: to write to; must be empty or hold an unchanged submission, which is replaced completely.

    Raises RecordError for a record without detections or threshold, DataError if the test frames are not those that the
    record was made on, MitobenchError for a point that the contest refuses, and a folder that holds other files.
    """
    record = read(path)
    threshold = _threshold(path, record)
    stored = read_detections(path, record)
    workspace = LocalDatasets(data).workspace(record)
    items = [workspace.item(key) for key in workspace.part(workspace.datasets, "test")]
    files, n_mitoses = {}, 0
    for frame in (item.frame for item in items):
        rows = [row for row in stored.rows_of(frame.id) if stored.is_candidate[row]]
        is_mitosis = stored.score[rows] >= threshold
        n_mitoses += int(is_mitosis.sum())
        points = points_mm(stored.xy[rows], stored.score[rows], is_mitosis, frame.mpp)
        files[frame.id] = accepted(contest_json(points), f"{path}: frame {frame.id}")
    with _replaced(folder) as new:
        for id, content in files.items():
            (new / id).mkdir()
            text = json.dumps(content, indent=1, allow_nan=False)
            (new / id / RESULT_FILE).write_text(f"{text}\n", encoding="utf-8")
    return Submission(list(files), n_mitoses, None)


def submit(path: Path, dataset: str, data: Path, folder: Path) -> Submission:
    """Write the files of a record of the official test.

    Args:
        path: the record.
        dataset: name of the data set that the test belongs to.
        data: folder that holds the data set; a file is written for every test frame of the record's scanners.
        folder: to write to; must be empty or hold an unchanged submission, which is replaced completely.

    Raises MitobenchError for a data set without a submission format, RecordError for a record of another data set or
    protocol, DataError if the test frames are not those that the record was made on.
    """
    record = read(path)
    if dataset not in PROTOCOLS:
        raise MitobenchError(
            f"--dataset {dataset}: mitobench has no submission format for it. {nearest(dataset, PROTOCOLS)}"
        )
    of = record.combination.get("dataset"), record.combination.get("protocol")
    if of != (dataset, PROTOCOLS[dataset]):
        raise RecordError(
            f"{path}: is a record of {of[0]}, protocol {of[1]}. The organisers score detections on the official test "
            f"of {dataset}: run with --dataset {dataset} --protocol {PROTOCOLS[dataset]}."
        )
    here = LocalDatasets(data).workspace(record).datasets[dataset]
    frames = _test_frames(here)
    return Submission(frames, write_submission(folder, path, record, frames), _missing(here))


def _test_frames(dataset: Dataset) -> list[str]:
    return [id for id, item in dataset.items.items() if item.part == "test"]


def _missing(dataset: Dataset) -> str | None:
    parts = []
    for scanner in dataset.scanners:
        expected = dataset.card.expected.get(scanner, {}).get("test")
        have = sum(dataset.items[id].frame.scanner == scanner for id in _test_frames(dataset))
        if expected and expected.frames and have < expected.frames:
            parts.append(f"{have} of {expected.frames} {scanner} test frames are here")
    return ", ".join(parts) or None


def write_submission(folder: Path, path: Path, record: Record, frames: Sequence[str]) -> int:
    """Write `folder/FRAME.csv` with lines `x,y,confidence` (px) for every test frame; empty without detections.

    Args:
        folder: to write to; must be empty or hold an unchanged submission, which is replaced completely.
        path: the record's file.
        record: its detections at or above its threshold are submitted.
        frames: ids of all test frames, with or without detections.

    Returns the number of detections. Raises RecordError for a record without detections or threshold, or with
    detections on other frames; MitobenchError for a folder that holds other files.
    """
    threshold = _threshold(path, record)
    stored = read_detections(path, record)
    stray = sorted(set(stored.frame.tolist()) - set(frames))
    if stray:
        raise RecordError(f"{path}: has detections on {stray[0]}, which is not one of the test frames.")
    counted = np.nan_to_num(stored.score, nan=-np.inf) >= threshold
    found = {}
    for frame in frames:
        here = [row for row in stored.rows_of(frame) if counted[row]]
        found[frame] = Detections.from_points(stored.xy[here], stored.score[here])
    with _replaced(folder) as new:
        mitos2014.write_submission(new, found)
    return sum(map(len, found.values()))


def _threshold(path: Path, record: Record) -> float:
    threshold = record.chosen.point.threshold if record.chosen else None
    if threshold is None:
        raise RecordError(f"{path}: has no threshold, so nothing can be submitted.")
    return threshold


@contextmanager
def _replaced(folder: Path) -> Iterator[Path]:
    """Gives an empty folder, which replaces `folder` at the end of the block, so that no old file remains.

    Its files are listed in `FILES`. Raises MitobenchError if `folder` is a file, or holds anything but a submission as
    it was written.
    """
    folder = folder.resolve()
    if folder.is_file():
        raise MitobenchError(f"{folder}: is not a directory. Give an empty or a new folder.")
    if others := _others(folder):
        raise MitobenchError(
            f"{folder}: holds {', '.join(others[:3])}, not written by `mitobench submit` or changed since. Give an "
            "empty or a new folder."
        )
    with atomic_folder(folder) as new:
        yield new
        listed = {path.relative_to(new).as_posix(): file_digest(path) for path in new.rglob("*") if path.is_file()}
        (new / FILES).write_text(json.dumps(listed, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _others(folder: Path) -> list[str]:
    """The files below a folder that are not listed in it, or were changed since."""
    path = folder / FILES
    listed = foreign.read_json(path, MAX_SPLIT_BYTES, "list of files") if path.is_file() else {}
    digests = listed if isinstance(listed, Mapping) else {}
    found = (path for path in sorted(folder.rglob("*")) if path.is_symlink() or not path.is_dir())
    names = {path.relative_to(folder).as_posix(): path for path in found if path != folder / FILES}
    return [
        name
        for name, path in names.items()
        if path.is_symlink() or name not in digests or not path.is_file() or digests[name] != file_digest(path)
    ]
