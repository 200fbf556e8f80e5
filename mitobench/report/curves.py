"""The curves of a record, from the frames and detections stored with it: no data set is needed."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mitobench.evaluate import Curve
from mitobench.results.recompute import Recomputation
from mitobench.results.schema import Record

Floats = NDArray[np.float64]


class Curves(NamedTuple):
    """At every distinct score above the candidate threshold, highest first, [K] each; they unpack as three arrays.

    Attributes:
        recall, precision: of the precision-recall curve.
        fp_per_frame: false positives a labelled frame; with `recall` the FROC curve.
    """

    recall: Floats
    precision: Floats
    fp_per_frame: Floats


def curve_of(path: Path, record: Record) -> Curves | None:
    """The precision-recall and FROC curves of a record on its test frames.

    Args:
        path: of the record's file; its detections lie beside it.
        record: as read from there.

    None where the record has no scores. Raises RecordError where the detections are broken or changed.
    """
    curve = counts_of(path, record)
    if curve is None:
        return None
    return Curves(curve.ratio("recall"), curve.ratio("precision"), curve.fp / curve.n_frames)


def counts_of(path: Path, record: Record) -> Curve | None:
    """The same as counts at every threshold, from which AP, FROC and the best F1 can be taken."""
    if record.test is None or not record.test.n_mitoses:
        return None
    return Recomputation.read(path, record).curve
