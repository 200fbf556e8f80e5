"""Writes the files that the contest's organisers score: detections on a test set whose labels are withheld."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mitobench.api import Detections
from mitobench.atomic import atomic_folder
from mitobench.datasets import Dataset, mitos2014
from mitobench.errors import MitobenchError, RecordError, nearest
from mitobench.results.local_datasets import LocalDatasets
from mitobench.results.record import read, read_detections
from mitobench.results.schema import Record

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


def submit(path: Path, dataset: str, data: Path, folder: Path) -> Submission:
    """Write the files of a record of the official test.

    Args:
        path: the record.
        dataset: name of the data set that the test belongs to.
        data: folder that holds the data set; a file is written for every test frame of the record's scanners.
        folder: to write to; must be empty or hold an earlier submission, which is replaced completely.

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
        folder: to write to; must be empty or hold an earlier submission, which is replaced completely.
        path: the record's file.
        record: its detections at or above its threshold are submitted.
        frames: ids of all test frames, with or without detections.

    Returns the number of detections. Raises RecordError for a record without detections or threshold, or with
    detections on other frames; MitobenchError for a folder that holds other files.
    """
    threshold = record.chosen.point.threshold if record.chosen else None
    if threshold is None:
        raise RecordError(f"{path}: has no threshold, so nothing can be submitted.")
    stored = read_detections(path, record)
    stray = sorted(set(stored.frame.tolist()) - set(frames))
    if stray:
        raise RecordError(f"{path}: has detections on {stray[0]}, which is not one of the test frames.")
    counted = np.nan_to_num(stored.score, nan=-np.inf) >= threshold
    found = {}
    for frame in frames:
        here = [row for row in stored.rows_of(frame) if counted[row]]
        found[frame] = Detections.from_points(stored.xy[here], stored.score[here])
    _replace(folder.resolve(), found)
    return sum(map(len, found.values()))


def _replace(folder: Path, detections: dict[str, Detections]) -> None:
    """Write the files to a temporary folder that then replaces the old one, so that no old file remains."""
    others = [path.name for path in folder.iterdir() if path.suffix != ".csv"] if folder.is_dir() else []
    if others or folder.is_file():
        raise MitobenchError(f"{folder}: holds {', '.join(others[:3]) or 'no files'}. Give an empty or a new folder.")
    with atomic_folder(folder) as new:
        mitos2014.write_submission(new, detections)
