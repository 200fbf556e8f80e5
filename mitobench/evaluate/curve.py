"""Counts at every distinct score, and the metrics over all thresholds: average precision, FROC and best F1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mitobench.evaluate.matchers.matcher import nearest_within
from mitobench.evaluate.matchers.suppression import neighbours
from mitobench.evaluate.matching import find_matcher, gains, rank
from mitobench.evaluate.metrics import RATIOS, FramePrediction

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FROC_UNIT = "false positives per HPF (one frame)"
_FROC_RATES = {"1/8": 0.125, "1/4": 0.25, "1/2": 0.5, "1": 1.0, "2": 2.0, "4": 4.0, "8": 8.0}


@dataclass(frozen=True)
class Curve:
    """Counts over the frames of a split, at every distinct score in descending order.

    Attributes:
        threshold: the scores, [K]; a detection is kept if its score >= threshold.
        tp, fp: mitoses that the kept detections find, and kept detections that are false positives, int [K].
        n_mitoses: annotated mitoses.
        n_frames: labelled frames.
    """

    threshold: Floats
    tp: Ints
    fp: Ints
    n_mitoses: int
    n_frames: int

    @property
    def fn(self) -> Ints:
        """Misses, int [K]."""
        return self.n_mitoses - self.tp

    def ratio(self, metric: str) -> Floats:
        """`precision`, `recall` or `f1` at each threshold, [K]; nan where undefined."""
        ratio: Floats = RATIOS[metric](self.tp, self.fp, self.fn)
        return ratio

    def best_f1(self) -> float | None:
        """The highest F1 of any threshold; 0 if there are mitoses but no detections, None if there are neither."""
        return float(self.ratio("f1").max()) if len(self.threshold) else (0.0 if self.n_mitoses else None)

    def recall_ceiling(self) -> float | None:
        """Recall with every detection kept; None without mitoses."""
        if not self.n_mitoses:
            return None
        return float(self.ratio("recall")[-1]) if len(self.threshold) else 0.0

    def average_precision(self) -> float | None:
        """Area under the precision-recall curve, interpolated at all points (PASCAL VOC 2010); None without mitoses.

        The precision at a recall is the maximum at that recall or a higher one. Recall above the ceiling adds nothing.
        """
        if not self.n_mitoses:
            return None
        order = np.argsort(self.ratio("recall"), kind="stable")
        envelope = np.maximum.accumulate(self.ratio("precision")[order][::-1])[::-1]
        return float(np.sum(np.diff(self.ratio("recall")[order], prepend=0.0) * envelope))

    def froc(self) -> dict[str, float | None]:
        """Sensitivity at 1/8 ... 8 false positives per HPF; None without mitoses.

        A step function: each value is the highest recall of any threshold with at most that many false positives per
        frame, so some threshold attains every value.
        """
        if not self.n_mitoses:
            return dict.fromkeys(_FROC_RATES)
        recall, rate = self.ratio("recall"), self.fp / self.n_frames
        return {name: float(recall[rate <= limit].max(initial=0.0)) for name, limit in _FROC_RATES.items()}


class Sweep:
    """Computes the curves of many score vectors for the same detections. A fuser's grid search needs thousands.

    For `mitos` a new score vector costs one sort: the hits above a threshold are the distinct mitoses that are the
    nearest mitosis within the radius of any kept detection, in any order. Other matchers run again, frame by frame.
    What `kdtree` suppresses does not depend on worse detections, so its curve needs one pass as well.
    """

    def __init__(self, frames: Sequence[FramePrediction], matcher: str, radius_um: float) -> None:
        """Later score vectors are [M]: one score per detection of the labelled `frames`, frame after frame."""
        labelled = [frame for frame in frames if frame.labelled]
        self._rule, self._radius_um = find_matcher(matcher), radius_um
        self._xy = [frame.xy for frame in labelled]
        self._distance = [frame.distances(self._rule)[0] for frame in labelled]
        self._neighbours = [neighbours(self._rule, xy) for xy in self._xy]
        self._n_frames = len(labelled)
        self._n_mitoses = sum(len(frame.truth_xy) for frame in labelled)
        self._nearest = self._number_mitoses() if matcher == "mitos" else None

    def _number_mitoses(self) -> Ints:
        """The nearest mitosis within the radius of each detection, numbered across all frames, or -1: [M]."""
        claimed, first = [np.zeros(0, dtype=np.int64)], 0
        for distance in self._distance:
            truth = nearest_within(distance, self._rule.within(distance, self._radius_um))
            claimed.append(np.where(truth >= 0, truth + first, -1))
            first += distance.shape[1]
        return np.concatenate(claimed)

    def _gains(self, score: Floats, order: Ints) -> tuple[Ints, Ints]:
        """The true and false positives that each detection adds, two [M]. `order`: detections by descending score."""
        tp, fp = np.zeros(len(score), dtype=np.int64), np.zeros(len(score), dtype=np.int64)
        if self._nearest is not None:
            near = order[self._nearest[order] >= 0]
            tp[near[np.unique(self._nearest[near], return_index=True)[1]]] = 1
            return tp, 1 - tp
        first = 0
        for xy, distance, near_by in zip(self._xy, self._distance, self._neighbours, strict=True):
            part = slice(first, first + len(xy))
            tp[part], fp[part] = gains(self._rule, distance, self._radius_um, near_by, rank(xy, score[part]))
            first += len(xy)
        return tp, fp

    def curve(self, score: Floats) -> Curve:
        """The counts at every distinct value of `score` [M].

        Equal scores are added together, so their order within or between frames does not matter.
        """
        order = np.argsort(-score, kind="stable")
        ranked = score[order]
        last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)) if len(ranked) else order
        tp, fp = (np.cumsum(gain[order])[last] for gain in self._gains(score, order))
        return Curve(ranked[last], tp, fp, self._n_mitoses, self._n_frames)

    def best_f1(self, score: Floats) -> float:
        """The best F1 over all thresholds of `score` [M]; 0 if it is undefined."""
        return self.curve(score).best_f1() or 0.0


def sweep(frames: Sequence[FramePrediction], matcher: str, radius_um: float) -> Curve:
    """Computes the curve of the frames' own scores."""
    scores = [frame.score for frame in frames if frame.labelled]
    return Sweep(frames, matcher, radius_um).curve(np.concatenate([np.zeros(0), *scores]))
