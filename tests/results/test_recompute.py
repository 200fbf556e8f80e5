"""Every number of a record follows from its frames and detections."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from records import FRAME, complete_record, frame, metrics, ok

from mitobench.errors import RecordError
from mitobench.evaluate import BoxScores, FrameCounts, OperatingPoint
from mitobench.evaluate.stored import from_csv
from mitobench.results import record as records
from mitobench.results.mismatch import mismatches
from mitobench.results.recompute import Recomputation, counts_alone
from mitobench.results.schema import Frames

pytestmark = pytest.mark.slow


def recomputation(path: Path) -> Recomputation:
    return Recomputation.read(path, records.read(path))


def changed(true: Recomputation, **changes: Any) -> Recomputation:
    """The same with another record."""
    return replace(true, record=true.record.model_copy(update=changes))


def test_the_numbers_of_a_run_are_recomputed(toy_records: list[Path], core_records: dict[str, Path]) -> None:
    for path in (*toy_records, *core_records.values()):
        true = recomputation(path)
        recorded = true.record.model_dump(mode="json")
        assert true.numbers.keys() == {"chosen", "validation", "test", "detector_alone", "boxes"}
        recorded["chosen"] = {name: recorded["chosen"][name] for name in true.numbers["chosen"]}
        assert list(mismatches({name: recorded[name] for name in true.numbers}, true.numbers)) == []


def test_counts_and_threshold_are_those_that_one_works_out_by_hand() -> None:
    made, text = complete_record(ok(), [frame("A", tp=2, fp=1, fn=1), frame("B", tp=1, fp=0, fn=0)])
    numbers = Recomputation(made, from_csv(text), from_csv(text)).numbers
    test = numbers["test"]
    assert (test["tp"], test["fp"], test["fn"]) == (3, 1, 1)
    assert (test["precision"], test["recall"], test["f1"]) == (0.75, 0.75, 0.75)
    assert numbers["chosen"]["point"] == {
        "threshold": 0.7,
        "f1": 0.75,
        "precision": 0.75,
        "recall": 0.75,
        "lower": None,
        "upper": 0.7,
        "reason": None,
    }


def test_each_detection_knows_the_mitosis_that_it_found() -> None:
    made, text = complete_record(ok(), [frame("A", tp=2, fp=1, fn=1)])
    stored = from_csv(text)
    true = Recomputation(made, stored, stored)
    assert sorted(true.found.tolist()) == [-1, 0, 1]
    assert made.chosen is not None
    none = made.chosen.model_copy(update={"point": OperatingPoint(reason="there is no detection")})
    assert changed(true, chosen=none).found.tolist() == [-1, -1, -1]


def test_without_detections_on_validation_the_counts_of_each_frame_remain() -> None:
    made, text = complete_record(ok(), [frame("A", tp=2, fp=1, fn=1)])
    true = Recomputation(made, from_csv(text), None)
    validation = true.numbers["validation"]
    assert (validation["tp"], validation["fp"], validation["fn"], validation["f1"]) == (2, 1, 1, 2 / 3)
    assert (validation["n_detections"], validation["froc"], validation["average_precision"]) == (None, {}, None)
    assert true.numbers["chosen"]["point"]["f1"] == 2 / 3
    assert true.numbers["chosen"]["detector_alone"]["f1"] is None, "not known"


@pytest.mark.parametrize(("lower", "upper", "threshold"), [(0.25, 0.75, 0.5), (None, 0.75, 0.75), (None, None, None)])
def test_without_detections_on_validation_a_threshold_lies_between_its_bounds(
    lower: float | None, upper: float | None, threshold: float | None
) -> None:
    made, text = complete_record(ok(), [frame("A", tp=2, fp=1, fn=1)])
    assert made.chosen is not None
    point = OperatingPoint(threshold=0.9, lower=lower, upper=upper)
    true = changed(Recomputation(made, from_csv(text), None), chosen=made.chosen.model_copy(update={"point": point}))
    assert true.numbers["chosen"]["point"]["threshold"] == threshold


def test_counts_alone_leave_out_unlabelled_frames() -> None:
    unlabelled = FRAME.model_copy(update={"frame": "U", "mitoses": None})
    counts = [FrameCounts(frame="A00_00", group="00", tp=1, fp=1, fn=2)]
    frames = Frames(val=[FRAME, unlabelled], test=[])
    found = counts_alone(frames, 0.5, metrics(frames=counts), "mitos", 5.0)
    assert (found.n_frames, found.n_unlabelled, found.n_mitoses, found.tp) == (1, 1, 3, 1)
    assert counts_alone(frames, None, metrics(frames=counts), "mitos", 5.0).tp is None


def test_the_threshold_of_candidates_is_known_as_far_as_the_record_says(
    core_records: dict[str, Path], toy_records: list[Path]
) -> None:
    assert recomputation(core_records["detector-only"]).possible_thresholds == [None], "no verifier, no candidates"
    true = recomputation(toy_records[0])
    possible = true.possible_thresholds
    assert possible is not None
    assert possible[0] is None
    assert len(possible) > 1
    assert replace(true, val=None).possible_thresholds is None
    assert changed(true, pipeline={**true.record.pipeline, "candidate_threshold": 0.3}).possible_thresholds == [0.3]


def test_scores_of_boxes_follow_from_their_overlaps(toy_records: list[Path]) -> None:
    true = recomputation(toy_records[0])
    boxes = BoxScores.of([0.5, 0.75], [True, False])
    forged = changed(true, boxes=boxes.model_copy(update={"mean_iou": 0.9}))
    assert forged.numbers["boxes"] == boxes.model_dump(mode="json")
    assert changed(true, boxes=None).numbers["boxes"] is None


def test_boxes_of_two_lengths_are_an_error(toy_records: list[Path]) -> None:
    boxes = BoxScores.of([0.5, 0.75], [True, False]).model_copy(update={"blob": [True]})
    with pytest.raises(RecordError, match=r"boxes\.blob has 1 values, boxes\.iou 2"):
        _ = changed(recomputation(toy_records[0]), boxes=boxes).numbers


def test_a_record_without_frames_is_an_error(toy_records: list[Path]) -> None:
    with pytest.raises(RecordError, match="the record has no frames"):
        changed(recomputation(toy_records[0]), frames=None).frames()


def test_alone_are_all_detections_at_the_detectors_scores(toy_records: list[Path]) -> None:
    true = recomputation(toy_records[0])
    score = true.test.score.copy()
    score[0] = np.nan
    true = replace(true, test=replace(true.test, score=score))
    fused, alone = true.frames(), true.frames(alone=True)
    assert sum(len(one.xy) for one in fused) == len(true.test) - 1
    assert sum(len(one.xy) for one in alone) == len(true.test)
    assert sorted(np.concatenate([one.score for one in alone])) == sorted(true.test.detector)


def test_intervals_are_recomputed_by_the_method_that_the_record_names(toy_records: list[Path]) -> None:
    true = recomputation(toy_records[0])
    test = true.record.test
    assert test is not None
    assert test.f1_interval is not None
    named = test.f1_interval.model_copy(update={"method": "bootstrap-percentile", "version": 1})
    old = changed(true, test=test.model_copy(update={"f1_interval": named})).numbers["test"]["f1_interval"]
    assert old["method"] == "bootstrap-percentile"
    assert old["low"] != test.f1_interval.low
