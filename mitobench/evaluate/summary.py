"""Computes all scores that a record holds for one combination on one split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

from mitobench.errors import MitobenchError
from mitobench.evaluate.agreement import Agreement, agreement
from mitobench.evaluate.case_counts import CaseCounts, CutOffs, case_counts
from mitobench.evaluate.curve import FROC_UNIT, Curve, sweep
from mitobench.evaluate.domains import ByDomain, area_mm2, by_domain, per_mm2
from mitobench.evaluate.matching import find_matcher
from mitobench.evaluate.metrics import FrameCounts, FramePrediction, count, defined, total
from mitobench.evaluate.operating_point import best_point
from mitobench.evaluate.uncertainty import METHOD, VERSION, Interval, interval

Method = tuple[str, int]
CURRENT: Method = (METHOD, VERSION)
ADDED = ("area_mm2", "fp_per_mm2", "domains", "annotators", "cases")  # fields that older records do not have


class Metrics(BaseModel):
    """The scores of a split. Undefined scores are None, never 0 or 1; without labels all of them are None.

    Attributes:
        matcher, radius_um: the matching rule; a hit is closer than the radius, with some matchers or at it.
        threshold: a detection counts if its score >= threshold; None if none could be chosen on validation.
        unlabelled: whether no frame has labels.
        n_frames, n_unlabelled, n_groups: numbers of scored (labelled) frames, unlabelled frames and scored groups.
        n_mitoses: annotated mitoses on the scored frames.
        n_detections: detections above the candidate threshold on the scored frames; None if the record lacks them.
        tp, fp, fn: sums over frames at the threshold. Precision, recall and f1 (with intervals) are computed from them.
        oracle_f1, oracle_threshold: the best F1 over all thresholds on the scored frames themselves; never ranks.
        average_precision: interpolated at all points, over the candidates.
        froc: sensitivity at 1/8 ... 8 false positives; `froc_unit` says per what.
        recall_ceiling: recall with all detections above the candidate threshold.
        localisation_um: median distance of the true positives from their mitoses, um; None with a matcher that
            compares boxes.
        frames: the counts of each scored frame; empty without a threshold.
        area_mm2: that the scored frames show, mm2; None if unknown, as in older records.
        fp_per_mm2: false positives per mm2.
        domains: the scores by each domain that has several values on these frames (scanner, tumour type, ...).
        annotators: what the annotations say about the errors; None if they have no imposters and nothing contested.
        cases: detected and annotated mitoses per mm2, compared over cases; None where it was not asked for, or if an
            area is unknown.

    Left out where there is nothing to say, so that older records keep their digests: the last five.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    matcher: str
    radius_um: float
    threshold: float | None
    unlabelled: bool
    n_frames: int
    n_unlabelled: int
    n_groups: int
    n_mitoses: int
    n_detections: int | None
    tp: int | None = None
    fp: int | None = None
    fn: int | None = None
    precision: float | None = None
    recall: float | None = None
    f1: float | None = None
    precision_interval: Interval | None = None
    recall_interval: Interval | None = None
    f1_interval: Interval | None = None
    oracle_f1: float | None = None
    oracle_threshold: float | None = None
    average_precision: float | None = None
    froc: dict[str, float | None] = {}
    froc_unit: str = FROC_UNIT
    recall_ceiling: float | None = None
    localisation_um: float | None = None
    frames: list[FrameCounts] = []
    area_mm2: float | None = None
    fp_per_mm2: float | None = None
    domains: dict[str, ByDomain] = {}
    annotators: Agreement | None = None
    cases: CaseCounts | None = None

    @model_serializer(mode="wrap")
    def _without_nothing(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = serialize(self)
        return {name: value for name, value in fields.items() if value or name not in ADDED}


def evaluate(
    frames: Sequence[FramePrediction],
    threshold: float | None,
    matcher: str,
    radius_um: float,
    method: Method = CURRENT,
    cut_offs: CutOffs | None = None,
) -> Metrics:
    """Scores the frames of a split at a given threshold.

    Args:
        frames: all frames of the split with their candidates, including frames without detections.
        threshold: chosen on validation; None leaves the scores that need a threshold undefined.
        matcher: a name in `matching.MATCHERS`, or the name that a record has for it.
        radius_um: from the data set's card.
        method: method of the intervals, and its version.
        cut_offs: of the data set's card, by tumour type (may be empty); None: cases are not compared.

    Raises MitobenchError for an empty split or an unknown matcher.
    """
    if not frames:
        raise MitobenchError(
            "No frames to score: this part of the split is empty. Add frames, or choose another split."
        )
    find_matcher(matcher)
    labelled = [frame for frame in frames if frame.labelled]
    known = Metrics(
        matcher=matcher,
        radius_um=radius_um,
        threshold=threshold,
        unlabelled=not labelled,
        n_frames=len(labelled),
        n_unlabelled=len(frames) - len(labelled),
        n_groups=len({frame.group for frame in labelled}),
        n_mitoses=sum(len(frame.truth_xy) for frame in labelled),
        n_detections=sum(len(frame.xy) for frame in labelled),
    )
    if not labelled:
        return known
    scores = _over_thresholds(sweep(labelled, matcher, radius_um))
    if threshold is not None:
        kept = [frame.above(threshold) for frame in labelled]
        scores |= _at_threshold(kept, matcher, radius_um, method, cut_offs)
    return known.model_copy(update=scores)


def _over_thresholds(curve: Curve) -> dict[str, object]:
    return {
        "oracle_f1": curve.best_f1(),
        "oracle_threshold": best_point(curve).threshold,
        "average_precision": curve.average_precision(),
        "froc": curve.froc(),
        "recall_ceiling": curve.recall_ceiling(),
    }


def _at_threshold(
    kept: list[FramePrediction], matcher: str, radius_um: float, method: Method, cut_offs: CutOffs | None
) -> dict[str, object]:
    matched = [frame.match(matcher, radius_um) for frame in kept]
    counts = [count(frame, found) for frame, found in zip(kept, matched, strict=True)]
    errors = np.concatenate([found.error_um[found.hit] for found in matched])
    centres = find_matcher(matcher).box_px is None and len(errors) > 0
    scores = of_counts(counts, method)
    area = area_mm2(kept)
    return scores | {
        "localisation_um": defined(np.median(errors)) if centres else None,
        "area_mm2": area,
        "fp_per_mm2": per_mm2(sum(one.fp for one in counts), area),
        "domains": by_domain(kept, counts),
        "annotators": agreement(kept, matched, matcher, radius_um),
        "cases": None if cut_offs is None else case_counts(kept, counts, cut_offs),
    }


def of_counts(counts: list[FrameCounts], method: Method = CURRENT) -> dict[str, object]:
    """Computes the fields that follow from the counts of each frame: sums, precision, recall, F1 and intervals."""
    summed = total(counts)
    ratios = ("precision", "recall", "f1")
    return {
        **summed.model_dump(),
        **{name: summed.ratio(name) for name in ratios},
        **{f"{name}_interval": interval(counts, name, method=method[0], version=method[1]) for name in ratios},
        "frames": counts,
    }
