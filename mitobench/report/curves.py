"""The curves of a record, from the detections stored with it: no data set is needed.

A stored detection says how far its nearest mitosis is, but not which one that is, and a second hit on one mitosis is
no hit. Two detections can have the same mitosis only where their distances to it and from each other make a triangle.
That rule is a guess, so its result is held against the record's own average precision and best F1, and thrown away
where it does not give both.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mitobench import registry
from mitobench.errors import RecordError
from mitobench.evaluate import Curve
from mitobench.evaluate.matching import closer, rank
from mitobench.results.record import Record, read_detections

Floats = NDArray[np.float64]

UNKNOWN_MPP = np.array([0.25, 0.25])  # x40, of a data set whose card is not ours
ROUNDING_UM = 0.01  # what places of two decimals (px) and distances of four (um) leave open
SAME = 1e-9


class Curves(NamedTuple):
    """At every distinct score above the gate, highest first, [K] each; they unpack as three arrays.

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

    None where the record has no scores, or where its detections do not tell the curve.
    Raises RecordError where the detections are broken or changed.
    """
    curve = counts_of(path, record)
    if curve is None:
        return None
    return Curves(curve.ratio("recall"), curve.ratio("precision"), curve.fp / curve.n_frames)


def counts_of(path: Path, record: Record) -> Curve | None:
    """The same as counts at every threshold, from which AP, FROC and the best F1 can be taken."""
    test = record.test
    if test is None or not test.n_mitoses:
        return None
    score, found = _ranked(_frames(path, record), record)
    last = np.flatnonzero(np.append(score[1:] != score[:-1], True)) if len(score) else np.zeros(0, dtype=np.int64)
    tp = np.cumsum(found, dtype=np.int64)[last]
    curve = Curve(score[last], tp, last + 1 - tp, test.n_mitoses, test.n_frames)
    told = [(curve.average_precision(), test.average_precision), (curve.best_f1(), test.oracle_f1)]
    return curve if all(_same(ours, theirs) for ours, theirs in told) else None


def _frames(path: Path, record: Record) -> dict[str, list[dict[str, str]]]:
    """The detections above the gate, by frame; of the labelled frames where some are not."""
    scored = {frame.frame for frame in record.test.frames} if record.test and record.test.n_unlabelled else None
    frames = defaultdict(list)
    for row in read_detections(path, record):
        if row.get("above_gate") == "1" and (scored is None or row["frame"] in scored):
            frames[row["frame"]].append(row)
    return frames


def _ranked(frames: Mapping[str, list[dict[str, str]]], record: Record) -> tuple[Floats, NDArray[np.bool_]]:
    """The scores of all frames, highest first, and which of them are the first on their mitosis: [M] each."""
    mpp = _mpp(str(record.combination["dataset"]))
    score, found = [np.zeros(0)], [np.zeros(0, dtype=bool)]
    for frame, rows in frames.items():
        xy, of_frame = _numbers(rows, "x", "y"), _numbers(rows, "score")[:, 0]
        order = rank(xy, of_frame)
        scale = next((mpp[scanner] for scanner in mpp if frame.startswith(scanner)), UNKNOWN_MPP)
        score.append(of_frame[order])
        distance_um = _numbers(rows, "distance_um")[order, 0]
        found.append(_first_on_mitosis(xy[order] * scale, distance_um, float(record.pipeline["radius_um"])))
    scores = np.concatenate(score)
    order = np.argsort(-scores, kind="stable")
    return scores[order], np.concatenate(found)[order]


def _first_on_mitosis(xy_um: Floats, distance_um: Floats, radius_um: float) -> NDArray[np.bool_]:
    """Which detections of a frame, best first, are near a mitosis that none before them is near to: bool [M]."""
    first = np.zeros(len(xy_um), dtype=bool)
    for i in np.flatnonzero(closer(distance_um, radius_um)):
        apart = np.hypot(*(xy_um[first] - xy_um[i]).T)
        least, most = np.abs(distance_um[first] - distance_um[i]), distance_um[first] + distance_um[i]
        first[i] = not ((apart > least - ROUNDING_UM) & (apart < most + ROUNDING_UM)).any()
    return first


def _numbers(rows: Sequence[Mapping[str, str]], *columns: str) -> Floats:
    """Columns as numbers, [N, columns]; nan for an empty cell. Raises RecordError for what is no number."""
    try:
        return np.array([[float(row.get(column) or "nan") for column in columns] for row in rows])
    except ValueError as reason:
        raise RecordError(f"The detections hold what is no number: {reason}. Make the record again.") from reason


@lru_cache
def _mpp(dataset: str) -> dict[str, Floats]:
    """um/px by scanner from the registry's card; none for a data set that another package brings."""
    path = registry.ROOT / "datasets" / f"{dataset}.toml"
    card = registry.read_toml(path) if path.is_file() else {}
    return {scanner: np.array(mpp) for scanner, mpp in card.get("mpp", {}).items()}


def _same(ours: float | None, theirs: float | None) -> bool:
    return ours is not None and theirs is not None and math.isclose(ours, theirs, abs_tol=SAME)
