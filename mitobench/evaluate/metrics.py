"""Counts of a split: over its frames (never over the files of predictions), summed, and the ratios taken once.

A ratio that is undefined is nan in arrays and None in results, never 0 or 1: precision without a detection, recall
without a mitosis, F1 without either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from mitobench.api import Detections, Frame, Mitoses
from mitobench.evaluate.matching import Match, Matcher, distances, find_matcher, match_distances, rank

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class FramePrediction:
    """One frame of the split as it is scored.

    Attributes:
        frame: its id.
        group: the slide or case, the unit of intervals.
        mpp: um/px along x and y.
        truth_xy: annotated mitoses, [N, 2] px.
        xy: detections above the candidate threshold, [M, 2] px.
        score: of each, [M]; higher is more likely a mitosis.
        labelled: False where the annotation is withheld; such a frame is not an empty one and is not counted.
        distance_um: of the detections to the mitoses, [M, N] um, where it is known without their places: read from a
            record, inf beyond the radius. None: it is computed from `truth_xy`.
    """

    frame: str
    group: str
    mpp: tuple[float, float]
    truth_xy: Floats
    xy: Floats
    score: Floats
    labelled: bool = True
    distance_um: Floats | None = None

    @classmethod
    def of(cls, frame: Frame, mitoses: Mitoses, found: Detections | None) -> FramePrediction:
        """A frame with its annotation and what was found on it; None: nothing."""
        found = found if found is not None else Detections.none()
        return cls(frame.id, frame.group, frame.mpp, mitoses.xy, found.xy, found.score, mitoses.labelled)

    @property
    def n_mitoses(self) -> int:
        """Number of annotated mitoses."""
        return len(self.truth_xy)

    def keep(self, kept: NDArray[np.bool_], score: Floats | None = None) -> FramePrediction:
        """The same frame with the detections `kept` (bool [M]), at new scores [kept] where those are given."""
        distance = None if self.distance_um is None else self.distance_um[kept]
        return replace(self, xy=self.xy[kept], score=self.score[kept] if score is None else score, distance_um=distance)

    def above(self, threshold: float) -> FramePrediction:
        """The same frame with the detections of score >= threshold."""
        return self.keep(self.score >= threshold)

    def distances(self, rule: Matcher) -> tuple[Floats, Ints]:
        """Distances [M, N] um, and the index of the mitosis of each column, [N], in the order that the rule wants."""
        if self.distance_um is None:
            return distances(rule, self.truth_xy, self.xy, self.mpp)
        return self.distance_um, np.arange(self.distance_um.shape[1])

    def match(self, matcher: str, radius_um: float) -> Match:
        """What became of each detection."""
        rule = find_matcher(matcher)
        return match_distances(rule, *self.distances(rule), rank(self.xy, self.score), radius_um)


def over_split(split: Iterable[tuple[Frame, Mitoses]], detections: Mapping[str, Detections]) -> list[FramePrediction]:
    """The frames of a split with their detections, by frame id; a frame that has none is kept, with all its misses.

    Detections of frames outside the split are not scored.
    """
    return [FramePrediction.of(frame, mitoses, detections.get(frame.id)) for frame, mitoses in split]


def _ratio(part: Any, whole: Any) -> Any:
    part, whole = np.asarray(part, dtype=np.float64), np.asarray(whole)
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)


# Each of tp, fp, fn (numbers or arrays of one shape): the ratio, nan where it is undefined.
RATIOS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "precision": lambda tp, fp, fn: _ratio(tp, tp + fp),
    "recall": lambda tp, fp, fn: _ratio(tp, tp + fn),
    "f1": lambda tp, fp, fn: _ratio(2 * tp, 2 * tp + fp + fn),
}


def defined(value: Any) -> float | None:
    """A result as a record has it: None for nan."""
    return None if np.isnan(value) else float(value)


class Counts(BaseModel):
    """True positives, false positives and misses."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tp: int
    fp: int
    fn: int

    def ratio(self, metric: str) -> float | None:
        """`precision`, `recall` or `f1`; None where it is undefined."""
        return defined(RATIOS[metric](self.tp, self.fp, self.fn))


class FrameCounts(Counts):
    """The counts of one frame."""

    frame: str
    group: str


def count(frame: FramePrediction, matched: Match) -> FrameCounts:
    """The counts of one frame whose detections have been matched."""
    tp = int(matched.hit.sum())
    return FrameCounts(
        frame=frame.frame, group=frame.group, tp=tp, fp=len(matched.hit) - tp, fn=len(frame.truth_xy) - tp
    )


def count_frames(
    frames: Sequence[FramePrediction], threshold: float, matcher: str, radius_um: float
) -> list[FrameCounts]:
    """Counts of each labelled frame, its detections of score >= threshold matched within `radius_um`."""
    kept = [frame.above(threshold) for frame in frames if frame.labelled]
    return [count(frame, frame.match(matcher, radius_um)) for frame in kept]


def total(frames: Iterable[Counts]) -> Counts:
    """The sum over frames, from which P, R and F1 are taken once (micro)."""
    tp, fp, fn = np.sum([(f.tp, f.fp, f.fn) for f in frames] or [(0, 0, 0)], axis=0).tolist()
    return Counts(tp=tp, fp=fp, fn=fn)
