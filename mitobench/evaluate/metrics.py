"""Counts true positives, false positives and misses over all frames of a split, and computes the ratios of the sums.

Frames without predictions count too. An undefined ratio is nan in arrays and None in results, never 0 or 1: precision
without detections, recall without mitoses, F1 without either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from mitobench.api import Detections, Frame, Mitoses
from mitobench.evaluate.matching import (
    DISTANCE_DIGITS,
    Match,
    Matcher,
    closer,
    distances,
    find_matcher,
    match_distances,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class FramePrediction:
    """One frame of a split with its annotation and detections.

    Attributes:
        frame: its id.
        group: the slide or case; intervals are computed over groups.
        mpp: um/px along x and y.
        truth_xy: annotated mitoses, [N, 2] px.
        xy: detections above the candidate threshold, [M, 2] px.
        score: their scores, [M]; higher means more likely a mitosis.
        labelled: False if the annotation is withheld. Such a frame is not scored; it is not a frame without mitoses.
        distance_um: distances from the detections to the mitoses, [M, N] um, if read from a record, which does not
            store the mitoses' coordinates; inf beyond the radius. None: computed from `truth_xy`.
        boxes: the detections' boxes, [M, 4] px, for a matcher that compares boxes; None: squares around the centres.
        domains: the frame's domains by kind: scanner, tumour type, ...
        area_mm2: what the frame shows, mm2; None if unknown.
        contested: which mitoses the annotators disagreed on, bool [N]; None if the data set does not say.
        contested_imposters: the same of each annotated imposter, bool [K].
        imposter_xy: the annotated imposters, [K, 2] px; None if the frame was read from a record.
        imposter: index of the nearest imposter closer than the radius to each detection, or -1, [M]; None: computed
            from `imposter_xy`.
    """

    frame: str
    group: str
    mpp: tuple[float, float]
    truth_xy: Floats
    xy: Floats
    score: Floats
    labelled: bool = True
    distance_um: Floats | None = None
    boxes: Floats | None = None
    domains: Mapping[str, str] = field(default_factory=dict)
    area_mm2: float | None = None
    contested: NDArray[np.bool_] | None = None
    contested_imposters: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=bool))
    imposter_xy: Floats | None = None
    imposter: Ints | None = None

    @classmethod
    def of(cls, frame: Frame, mitoses: Mitoses, found: Detections | None) -> FramePrediction:
        """Combines a frame, its annotation and its detections; None means no detections."""
        found = found if found is not None else Detections.none()
        return cls(
            frame.id,
            frame.group,
            frame.mpp,
            mitoses.xy,
            found.xy,
            found.score,
            mitoses.labelled,
            boxes=found.boxes,
            domains=dict(frame.domains),
            area_mm2=_area_mm2(frame),
            contested=_contested(mitoses.confidence),
            contested_imposters=_contested_imposters(mitoses),
            imposter_xy=mitoses.imposters,
        )

    @property
    def n_mitoses(self) -> int:
        """Number of annotated mitoses."""
        return len(self.truth_xy)

    def keep(self, kept: NDArray[np.bool_], score: Floats | None = None) -> FramePrediction:
        """The same frame with the detections `kept` (bool [M]) only, with new scores [kept] if given."""
        distance = None if self.distance_um is None else self.distance_um[kept]
        boxes = None if self.boxes is None else self.boxes[kept]
        imposter = None if self.imposter is None else self.imposter[kept]
        score = self.score[kept] if score is None else score
        return replace(self, xy=self.xy[kept], score=score, distance_um=distance, boxes=boxes, imposter=imposter)

    def above(self, threshold: float) -> FramePrediction:
        """The same frame with the detections that have score >= threshold."""
        return self.keep(self.score >= threshold)

    def distances(self, rule: Matcher) -> tuple[Floats, Ints]:
        """Distances [M, N] um in the order of mitoses that the matcher needs, and that order: mitosis indices [N]."""
        if self.distance_um is None:
            return distances(rule, self.truth_xy, self.xy, self.mpp, self.boxes)
        return self.distance_um, np.arange(self.distance_um.shape[1])

    def nearest_imposter(self, radius_um: float) -> Ints:
        """Index of the nearest annotated imposter closer than the radius to each detection, or -1; [M]."""
        if self.imposter is not None:
            return self.imposter
        nowhere = np.full(len(self.xy), -1)
        if self.imposter_xy is None or not len(self.imposter_xy):
            return nowhere
        offset = (self.xy[:, None] - self.imposter_xy[None]) * np.asarray(self.mpp)
        distance = np.round(np.hypot(offset[..., 0], offset[..., 1]), DISTANCE_DIGITS)
        return np.where(closer(distance, radius_um).any(axis=1), distance.argmin(axis=1), nowhere)

    def match(self, matcher: str, radius_um: float) -> Match:
        """Matches the detections to the mitoses."""
        rule = find_matcher(matcher)
        return match_distances(rule, *self.distances(rule), self.xy, self.score, radius_um)

    def near(self, matcher: str, radius_um: float) -> NDArray[np.bool_]:
        """Which detections are within the radius of any mitosis, by the matcher's own distance; bool [M]."""
        rule = find_matcher(matcher)
        inside: NDArray[np.bool_] = np.any(rule.within(self.distances(rule)[0], radius_um), axis=1)
        return inside


def _area_mm2(frame: Frame) -> float:
    width, height = frame.size
    return round(width * frame.mpp[0] * height * frame.mpp[1] / 1e6, 6)


def _contested(confidence: Floats | None) -> NDArray[np.bool_] | None:
    """Returns which figures have a confidence that is neither 0 nor 1; None without confidences."""
    return None if confidence is None else (confidence > 0) & (confidence < 1)


def _contested_imposters(mitoses: Mitoses) -> NDArray[np.bool_]:
    contested = _contested(mitoses.imposter_confidence)
    return np.zeros(len(mitoses.imposters), dtype=bool) if contested is None else contested


def over_split(split: Iterable[tuple[Frame, Mitoses]], detections: Mapping[str, Detections]) -> list[FramePrediction]:
    """Combines the frames of a split with their detections, given by frame id.

    A frame without detections is kept; all its mitoses are misses. Detections on other frames are ignored.
    """
    return [FramePrediction.of(frame, mitoses, detections.get(frame.id)) for frame, mitoses in split]


def _ratio(part: Any, whole: Any) -> Any:
    part, whole = np.asarray(part, dtype=np.float64), np.asarray(whole)
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)


# Functions of tp, fp, fn (numbers, or arrays of the same shape). Undefined ratios are nan.
RATIOS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "precision": lambda tp, fp, fn: _ratio(tp, tp + fp),
    "recall": lambda tp, fp, fn: _ratio(tp, tp + fn),
    "f1": lambda tp, fp, fn: _ratio(2 * tp, 2 * tp + fp + fn),
}


def defined(value: Any) -> float | None:
    """Returns None for nan, as records have it."""
    return None if np.isnan(value) else float(value)


class Counts(BaseModel):
    """True positives, false positives and misses."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tp: int
    fp: int
    fn: int

    def ratio(self, metric: str) -> float | None:
        """`precision`, `recall` or `f1`; None if undefined."""
        return defined(RATIOS[metric](self.tp, self.fp, self.fn))


class FrameCounts(Counts):
    """The counts of one frame."""

    frame: str
    group: str


def count(frame: FramePrediction, matched: Match) -> FrameCounts:
    """Counts the found mitoses, false positives and misses of one matched frame."""
    tp, fp = int(matched.found.sum()), int(matched.false.sum())
    return FrameCounts(frame=frame.frame, group=frame.group, tp=tp, fp=fp, fn=len(frame.truth_xy) - tp)


def count_frames(
    frames: Sequence[FramePrediction], threshold: float, matcher: str, radius_um: float
) -> list[FrameCounts]:
    """Matches the detections with score >= threshold within `radius_um`; returns the counts of each labelled frame."""
    kept = [frame.above(threshold) for frame in frames if frame.labelled]
    return [count(frame, frame.match(matcher, radius_um)) for frame in kept]


def total(frames: Iterable[Counts]) -> Counts:
    """Sums counts over frames. P, R and F1 of the sums are micro-averages."""
    tp, fp, fn = np.sum([(f.tp, f.fp, f.fn) for f in frames] or [(0, 0, 0)], axis=0).tolist()
    return Counts(tp=tp, fp=fp, fn=fn)
