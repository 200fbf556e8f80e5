"""Counts are summed over all frames of the split; undefined ratios are None."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mitobench.api import Detections, Frame, Mitoses
from mitobench.evaluate import MATCHERS, Counts, FramePrediction, count_frames, over_split, total

from .cases import RADIUS_UM, frame, splits


def summed(frames: list[FramePrediction], threshold: float = 0.5) -> tuple[int, int, int]:
    counts = total(count_frames(frames, threshold, "mitos", RADIUS_UM))
    return counts.tp, counts.fp, counts.fn


def test_an_empty_frame_counts_nothing_and_has_no_ratio() -> None:
    counts = total(count_frames([frame()], 0.5, "mitos", RADIUS_UM))
    assert counts == Counts(tp=0, fp=0, fn=0)
    assert [counts.ratio(name) for name in ("precision", "recall", "f1")] == [None, None, None]


def test_without_detections_precision_is_undefined_and_f1_is_0() -> None:
    counts = Counts(tp=0, fp=0, fn=3)
    assert [counts.ratio(name) for name in ("precision", "recall", "f1")] == [None, 0.0, 0.0]


def test_without_mitoses_recall_is_undefined_and_f1_is_0() -> None:
    counts = Counts(tp=0, fp=2, fn=0)
    assert [counts.ratio(name) for name in ("precision", "recall", "f1")] == [0.0, None, 0.0]


def test_ratios() -> None:
    counts = Counts(tp=82, fp=14, fn=19)
    assert counts.ratio("precision") == 82 / 96
    assert counts.ratio("recall") == 82 / 101
    assert counts.ratio("f1") == 164 / 197


def test_a_score_at_the_threshold_is_kept() -> None:
    assert summed([frame([(50, 50)], [(50, 50, 0.5)])]) == (1, 0, 0)
    assert summed([frame([(50, 50)], [(50, 50, 0.4999)])]) == (0, 0, 1)


def test_counts_are_summed_before_the_ratio_is_taken() -> None:
    frames = [
        frame([(50, 50)], [(50, 50, 0.9)]),
        frame([(50, 50), (200, 50), (350, 50)], [(500, 500, 0.9)], id="A00_01"),
    ]
    assert summed(frames) == (1, 1, 3)
    assert Counts(tp=1, fp=1, fn=3).ratio("f1") == pytest.approx(1 / 3)  # the mean over frames would be 1/2


def test_counts_keep_frame_and_group() -> None:
    (counts,) = count_frames([frame(id="A03_07", group="03")], 0.5, "mitos", RADIUS_UM)
    assert (counts.frame, counts.group) == ("A03_07", "03")


def test_unlabelled_frames_are_not_counted() -> None:
    assert summed([frame([], [(50, 50, 0.9)], labelled=False)]) == (0, 0, 0)


def test_a_frame_without_predictions_counts_its_misses() -> None:
    def pixels() -> np.ndarray:
        raise AssertionError("scoring reads no pixel")

    split = [
        (Frame(id, "mitos2012", "00", "A", (0.25, 0.25), (512, 512), pixels), Mitoses(np.array([[50.0, 50.0]])))
        for id in ("A00_00", "A00_01")
    ]
    detections = {
        "A00_00": Detections.from_points([(52, 50)], [0.9]),
        "A04_00": Detections.from_points([(52, 50)], [0.9]),  # not of this split
    }
    frames = over_split(split, detections)
    assert [one.frame for one in frames] == ["A00_00", "A00_01"]
    assert summed(frames) == (1, 0, 1)


@pytest.mark.parametrize("matcher", MATCHERS)
@given(frames=splits(), threshold=st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]))
def test_counts_add_up(matcher: str, frames: list[FramePrediction], threshold: float) -> None:
    counts = total(count_frames(frames, threshold, matcher, RADIUS_UM))
    assert counts.tp + counts.fn == sum(len(one.truth_xy) for one in frames)
    detections = sum(int((one.score >= threshold).sum()) for one in frames)
    if MATCHERS[matcher].many:  # a detection may find several mitoses, and suppressed ones count as nothing
        assert counts.fp <= detections
    else:
        assert counts.tp + counts.fp == detections
