"""Reads the annotations in a SlideRunner database (sqlite) as detections."""

from __future__ import annotations

from pathlib import Path

from mitobench.errors import MitobenchError
from mitobench.evaluate.files.frame_names import FrameNames
from mitobench.evaluate.files.table import Row, Table
from mitobench.foreign.classes import UNCLASSIFIED
from mitobench.foreign.sliderunner import SUFFIXES, read_sliderunner

__all__ = ["SUFFIXES", "read_annotations"]


def read_annotations(path: Path, frames: FrameNames) -> Table:
    """Reads the annotations that are not deleted; the centre is the mean of their coordinates. All scores are 1.

    The class is the name in the table `Classes`, or the number `agreedClass`.

    Raises MitobenchError for a file that is not such a database, is locked or damaged, or names an unknown frame, and
    for an annotation without coordinates.
    """
    database = read_sliderunner(path)
    table = Table("points", "SlideRunner database", classes_in="agreedClass")
    table.notes.append(f"{path}: annotations have no score: all are 1, so scores over thresholds say nothing")
    elsewhere = 0
    for annotation in database.annotations:
        where, agreed = annotation.where, annotation.agreed
        if annotation.slide is None or annotation.slide not in database.slides:
            elsewhere += 1
            continue
        if annotation.centre is None:
            raise MitobenchError(f"{where} has no coordinates. Correct or delete it.")
        frame = frames.find(where, database.slides[annotation.slide].filename)
        label = UNCLASSIFIED if agreed is None else database.classes.get(agreed, str(agreed))
        table.rows.append(Row(where, frame, annotation.centre, 1.0, label))
    if elsewhere:
        table.notes.append(f"{path}: {elsewhere} annotations are on slides that it does not list, and are left out")
    return table
