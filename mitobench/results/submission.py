"""The files that the contest's organisers score: detections of a withheld test set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mitobench.api import Detections
from mitobench.datasets import mitos2014
from mitobench.errors import RecordError
from mitobench.results.record import Record, read_detections


def write_submission(folder: Path, path: Path, record: Record, frames: Sequence[str]) -> None:
    """Write `folder/FRAME.csv` with `x,y,confidence` for every test frame, empty where nothing is found.

    Args:
        folder: takes the files.
        path: of the record.
        record: whose detections at or above its threshold are submitted.
        frames: ids of all test frames, those without a detection too.

    Raises RecordError for a record without detections or threshold.
    """
    threshold = record.chosen.point.threshold if record.chosen else None
    if threshold is None:
        raise RecordError(f"{path}: has no threshold, so nothing can be submitted.")
    found: dict[str, list[tuple[float, float, float]]] = {frame: [] for frame in frames}
    for row in read_detections(path, record):
        if row["score"] and float(row["score"]) >= threshold:
            found[row["frame"]].append((float(row["x"]), float(row["y"]), float(row["score"])))
    arrays = {frame: np.array(rows).reshape(-1, 3) for frame, rows in found.items()}
    folder.mkdir(parents=True, exist_ok=True)
    mitos2014.write_submission(
        folder, {frame: Detections.from_points(rows[:, :2], rows[:, 2]) for frame, rows in arrays.items()}
    )
