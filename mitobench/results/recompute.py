"""Recomputes every number of a record from its frames and detections alone.

The same functions score a run and a record, on the same rounded values, so the results are equal to the last bit.
The leaderboard's page, its figures, the gallery, `compare` and `check` take their curves from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mitobench.errors import RecordError
from mitobench.evaluate import (
    BoxScores,
    Curve,
    FramePrediction,
    Metrics,
    OperatingPoint,
    StoredDetections,
    candidate_thresholds,
    choose_threshold,
    evaluate,
    sweep,
)
from mitobench.evaluate.domains import area_mm2, by_domain, per_mm2
from mitobench.evaluate.operating_point import between
from mitobench.evaluate.summary import CURRENT, of_counts
from mitobench.pipeline.pipeline_options import VALIDATION
from mitobench.results.case_counts import recorded_cut_offs
from mitobench.results.record import read_detections, read_validation
from mitobench.results.schema import Frames, Record

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Recomputation:
    """A record with its detections, and the numbers that follow from them.

    Attributes:
        record: a record with scores.
        test, val: its detections on test and validation frames; `val` is None for a migrated record.
    """

    record: Record
    test: StoredDetections
    val: StoredDetections | None

    @classmethod
    def read(cls, path: Path, record: Record) -> Recomputation:
        """Reads the detections of a record, and checks their digests. Raises RecordError."""
        return cls(record, read_detections(path, record), read_validation(path, record))

    # ---------------------------------------------------------------------------------------------- as recorded

    @property
    def _rule(self) -> tuple[str, float]:
        return str(self.record.pipeline["matcher"]), float(self.record.pipeline["radius_um"])

    @property
    def _entries(self) -> Frames:
        if self.record.frames is None:
            raise RecordError("the record has no frames")
        return self.record.frames

    def frames(self, alone: bool = False) -> list[FramePrediction]:
        """Returns the test frames with the candidates at their fused scores.

        Args:
            alone: return all detections at the detector's scores instead.

        Raises RecordError if the record has no frames, or its detections do not fit them.
        """
        return self.test.frames(self._entries.test, self.test.detector if alone else self.test.score, self._rule[0])

    @cached_property
    def found(self) -> Ints:
        """Index in its frame of the mitosis that each test detection found at the threshold, [N]; -1: none."""
        assert self.record.chosen is not None
        threshold, found = self.record.chosen.point.threshold, np.full(len(self.test), -1)
        if threshold is None:
            return found
        for frame in self.frames():
            rows = np.array(self.test.rows_of(frame.frame), dtype=np.int64)
            counted = rows[np.nan_to_num(self.test.score[rows], nan=-np.inf) >= threshold]
            found[counted] = frame.above(threshold).match(*self._rule).truth
        return found

    @cached_property
    def curve(self) -> Curve:
        """Counts on the test frames at every threshold of the fused score."""
        return sweep(self.frames(), *self._rule)

    # ----------------------------------------------------------------------------------------------- recomputed

    @cached_property
    def numbers(self) -> dict[str, Any]:
        """`chosen`, `validation`, `test`, `detector_alone` and `boxes` as the record must have them, as JSON.

        Of `chosen` only `point` and `detector_alone`. Raises RecordError if frames and detections do not fit together.
        """
        point, alone = self._point(), self._alone()
        numbers = {
            "chosen": {"point": point, "detector_alone": alone},
            "validation": self._validation(point),
            "test": evaluate(
                self.frames(),
                point.threshold,
                *self._rule,
                _method(self.record.test),
                recorded_cut_offs(self.record),
            ),
            "detector_alone": evaluate(
                self.frames(alone=True), alone.threshold, *self._rule, _method(self.record.detector_alone)
            ),
            "boxes": self._boxes(),
        }
        return {name: _json(value) for name, value in numbers.items()}

    def _point(self) -> OperatingPoint:
        assert self.record.chosen is not None
        if self.val is None:
            assert self.record.validation is not None
            counted = of_counts(self.record.validation.frames)
            scores = {name: counted[name] for name in ("f1", "precision", "recall")}
            return _midway(self.record.chosen.point).model_copy(update=scores)
        return choose_threshold(self.val.frames(self._entries.val, self.val.score, self._rule[0]), *self._rule)

    def _alone(self) -> OperatingPoint:
        assert self.record.chosen is not None
        if self.val is None:  # the scores of the detector alone on validation are unknown
            unknown: dict[str, Any] = dict.fromkeys(("f1", "precision", "recall"))
            return _midway(self.record.chosen.detector_alone).model_copy(update=unknown)
        return choose_threshold(self.val.frames(self._entries.val, self.val.detector, self._rule[0]), *self._rule)

    def _validation(self, point: OperatingPoint) -> Metrics:
        if self.val is not None:
            frames = self.val.frames(self._entries.val, self.val.score, self._rule[0])
            return evaluate(frames, point.threshold, *self._rule, _method(self.record.validation))
        assert self.record.validation is not None
        return counts_alone(self._entries, point.threshold, self.record.validation, *self._rule)

    def _boxes(self) -> BoxScores | None:
        boxes = self.record.boxes
        if boxes and boxes.blob is not None and len(boxes.blob) != len(boxes.iou or ()):
            raise RecordError(f"boxes.blob has {len(boxes.blob)} values, boxes.iou {len(boxes.iou or ())}")
        return boxes if boxes is None or boxes.iou is None else BoxScores.of(boxes.iou, boxes.blob)

    # ------------------------------------------------------------------------------------- the candidate threshold

    @property
    def verified(self) -> bool:
        """Whether a verifier took part. Without one no candidate threshold is chosen."""
        return "verifier-scores-test" in self.record.stages

    @property
    def possible_thresholds(self) -> list[float | None] | None:
        """The candidate thresholds that the record may have; None if that is unknown."""
        given = self.record.pipeline["candidate_threshold"]
        if not self.verified:
            return [None]
        if given != VALIDATION:
            return [given]
        return None if self.val is None else candidate_thresholds(self.val.detector, self.val.near)


def counts_alone(frames: Frames, threshold: float | None, recorded: Metrics, matcher: str, radius_um: float) -> Metrics:
    """Returns the scores on validation of a record without detections there, from the counts of each frame.

    Args:
        frames: of the record.
        threshold: that validation chose; None if there is none.
        recorded: holds the counts of each frame, and the method of the intervals.
        matcher, radius_um: how detections were matched, for the result.
    """
    labelled = [frame for frame in frames.val if frame.mitoses is not None]
    known = Metrics(
        matcher=matcher,
        radius_um=radius_um,
        threshold=threshold,
        unlabelled=not labelled,
        n_frames=len(labelled),
        n_unlabelled=len(frames.val) - len(labelled),
        n_groups=len({frame.group for frame in labelled}),
        n_mitoses=sum(frame.mitoses or 0 for frame in labelled),
        n_detections=None,
    )
    if threshold is None:
        return known
    scores = of_counts(recorded.frames, _method(recorded))
    if [counts.frame for counts in recorded.frames] == [frame.frame for frame in labelled]:
        area = area_mm2(labelled)
        scores |= {
            "area_mm2": area,
            "fp_per_mm2": per_mm2(sum(counts.fp for counts in recorded.frames), area),
            "domains": by_domain(labelled, recorded.frames),
            "annotators": recorded.annotators,  # cannot be computed without detections
        }
    return known.model_copy(update=scores)


def _method(recorded: Metrics | None) -> tuple[str, int]:
    """Returns the method of the recorded intervals, with its version; without intervals the current one."""
    found = recorded and (recorded.f1_interval or recorded.precision_interval or recorded.recall_interval)
    return (found.method, found.version) if found else CURRENT


def _midway(point: OperatingPoint) -> OperatingPoint:
    """Returns a chosen point with the threshold midway between its `lower` and `upper` score."""
    if point.upper is None:
        return point.model_copy(update={"threshold": None})
    return point.model_copy(
        update={"threshold": point.upper if point.lower is None else between(point.lower, point.upper)}
    )


def _json(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _json(item) for name, item in value.items()}
    return value.model_dump(mode="json") if value is not None else None
