"""What a record's scores must be, by the counts of each frame and the detections that are stored with it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from mitobench.errors import RecordError
from mitobench.evaluate import Metrics, interval, total
from mitobench.evaluate.matching import closer

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

RATIOS = ("precision", "recall", "f1")
ROUNDED_UM = 5.1e-5  # a stored distance has four digits
MOST = 1_000_000  # of anything on one frame

Wrong = Iterator[tuple[str, Any, Any]]  # (name, as recorded, as recomputed)


@dataclass(frozen=True)
class Rows:
    """A record's detections, one row a candidate.

    Attributes:
        frame: id of each, [N].
        xy: [N, 2] px, rounded to .01.
        detector, score, distance_um: [N]; nan where there is none.
        above_gate, hit: bool [N]; `hit` only of those at or above the threshold.
    """

    frame: NDArray[np.str_]
    xy: Floats
    detector: Floats
    score: Floats
    distance_um: Floats
    above_gate: Bools
    hit: Bools

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, str]]) -> Rows:
        """From the rows of the file. Raises RecordError where a column is missing or holds no number."""
        try:
            numbers = {
                name: np.array([float(row[name] or "nan") for row in rows], dtype=np.float64)
                for name in ("x", "y", "score_detector", "score", "distance_um", "above_gate", "hit")
            }
            frame = np.array([row["frame"] for row in rows], dtype=np.str_)
        except (KeyError, TypeError, ValueError) as reason:
            raise RecordError(f"a column is missing or holds no number: {reason}") from reason
        xy = np.column_stack([numbers["x"], numbers["y"]])
        flags = numbers["above_gate"] == 1, numbers["hit"] == 1
        return cls(frame, xy, numbers["score_detector"], numbers["score"], numbers["distance_um"], *flags)

    def of_frames(self, names: Sequence[str]) -> Bools:
        """Which detections lie on these frames, bool [N]."""
        return np.isin(self.frame, np.array(names, dtype=np.str_))


def same(recorded: Any, recomputed: Any, tolerance: float = 1e-9) -> bool:
    """Whether two results are equal but for the last bits of a float; dictionaries and intervals item by item."""
    if isinstance(recorded, BaseModel) and isinstance(recomputed, BaseModel):
        return same(recorded.model_dump(), recomputed.model_dump(), tolerance)
    if isinstance(recorded, dict) and isinstance(recomputed, dict):
        return recorded.keys() == recomputed.keys() and all(
            same(recorded[name], recomputed[name], tolerance) for name in recorded
        )
    if isinstance(recorded, float) and isinstance(recomputed, float):
        return math.isclose(recorded, recomputed, rel_tol=1e-9, abs_tol=tolerance)
    return bool(recorded == recomputed)


# ------------------------------------------------------------------------------------------- counts of each frame


def from_counts(metrics: Metrics) -> dict[str, Any]:
    """What follows from the counts of each frame, by name; nothing is counted without a threshold or a label."""
    frames = metrics.frames
    if metrics.threshold is None or metrics.unlabelled:
        nothing = ["tp", "fp", "fn", *RATIOS, *(f"{name}_interval" for name in RATIOS), "localisation_um"]
        if metrics.unlabelled:
            nothing += ["oracle_f1", "oracle_threshold", "average_precision", "recall_ceiling"]
        return {**dict.fromkeys(nothing), "frames": [], "unlabelled": metrics.n_frames == 0}
    summed = total(frames)
    return {
        "n_frames": len(frames),
        "n_groups": len({frame.group for frame in frames}),
        "n_mitoses": summed.tp + summed.fn,
        "unlabelled": not frames,
        **summed.model_dump(),
        **{name: summed.ratio(name) for name in RATIOS},
        **{f"{name}_interval": interval(frames, name) for name in RATIOS},
    }


def wrong_counts(metrics: Metrics) -> Wrong:
    """Where the sums, ratios and intervals are not those of the counts of each frame."""
    for frame in metrics.frames:
        counts = frame.tp, frame.fp, frame.fn
        if not 0 <= min(counts) <= max(counts) <= MOST:
            yield f"counts of frame {frame.frame}", counts, f"numbers from 0 to {MOST}"
            return
    twice = [name for name, times in Counter(frame.frame for frame in metrics.frames).items() if times > 1]
    if twice:
        yield "frames", f"{twice[0]} more than once", "each once"
    for name, value in from_counts(metrics).items():
        if not same(getattr(metrics, name), value):
            yield name, getattr(metrics, name), value


# ------------------------------------------------------------------------------------------- stored detections


def wrong_detections(metrics: Metrics, rows: Rows) -> Wrong:
    """Where the scores of the fused ranking are not those of the stored detections."""
    known = rows.of_frames([frame.frame for frame in metrics.frames])
    if metrics.threshold is None:
        return
    kept = rows.above_gate & known
    counted = kept & (rows.score >= metrics.threshold)
    yield from _wrong_number(metrics, kept)
    yield from _wrong_a_frame(metrics, rows, counted)
    if metrics.matcher == "mitos":
        yield from _wrong_localisation(metrics, rows.distance_um[counted & rows.hit])
    near = closer(rows.distance_um - ROUNDED_UM, metrics.radius_um)
    if (counted & rows.hit & ~near).any():
        yield "hits", f"one at {np.nanmax(rows.distance_um[counted & rows.hit]):g} um", f"< {metrics.radius_um:g} um"


def wrong_detector_alone(metrics: Metrics, rows: Rows) -> Wrong:
    """Where the scores of the detector alone are not those of the stored detections."""
    if metrics.threshold is None:
        return
    known = rows.of_frames([frame.frame for frame in metrics.frames])
    yield from _wrong_number(metrics, known)
    yield from _wrong_a_frame(metrics, rows, known & (rows.detector >= metrics.threshold), hits=False)


def _wrong_number(metrics: Metrics, kept: Bools) -> Wrong:
    if metrics.n_detections != kept.sum():
        yield "n_detections", metrics.n_detections, int(kept.sum())


def _wrong_a_frame(metrics: Metrics, rows: Rows, counted: Bools, hits: bool = True) -> Wrong:
    """Detections at or above the threshold of each frame, and the hits among them."""
    detections = Counter(rows.frame[counted].tolist())
    found = Counter(rows.frame[counted & rows.hit].tolist())
    for frame in metrics.frames:
        if frame.tp + frame.fp != detections[frame.frame]:
            yield f"detections of frame {frame.frame}", frame.tp + frame.fp, detections[frame.frame]
        if hits and frame.tp != found[frame.frame]:
            yield f"hits of frame {frame.frame}", frame.tp, found[frame.frame]


def _wrong_localisation(metrics: Metrics, distance_um: Floats) -> Wrong:
    median = float(np.median(distance_um)) if len(distance_um) else None
    if not same(metrics.localisation_um, median, ROUNDED_UM):
        yield "localisation_um", metrics.localisation_um, median
