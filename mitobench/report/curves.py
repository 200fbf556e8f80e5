"""Computes the curves of a record from its stored frames and detections; no data set is needed."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mitobench.evaluate import Curve
from mitobench.results.recompute import Recomputation
from mitobench.results.record import read_detections
from mitobench.results.schema import Record

Floats = NDArray[np.float64]


class Curves(NamedTuple):
    """Curves over every distinct score above the candidate threshold, highest score first; each array is [K].

    Attributes:
        recall, precision: the precision-recall curve.
        fp_per_frame: false positives per labelled frame; with `recall` it is the FROC curve.
    """

    recall: Floats
    precision: Floats
    fp_per_frame: Floats


def curve_of(path: Path, record: Record) -> Curves | None:
    """The precision-recall and FROC curves of a record on its test frames.

    Args:
        path: the record's file, with its detections in the same folder.
        record: the record as read from there.

    Returns None where the record has no scores. Raises RecordError where the detections are broken or changed.
    """
    curve = counts_of(path, record)
    if curve is None:
        return None
    return Curves(curve.ratio("recall"), curve.ratio("precision"), curve.fp / curve.n_frames)


def counts_of(path: Path, record: Record) -> Curve | None:
    """The counts at every threshold, from which AP, FROC and the best F1 follow.

    None for a record without scores, and for one that sums folds, which have thresholds of their own.
    """
    if record.test is None or not record.test.n_mitoses or record.detections is None:  # it failed, or sums folds
        return None
    return Recomputation(record, read_detections(path, record), None).curve
