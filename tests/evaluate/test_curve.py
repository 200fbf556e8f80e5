"""The curve over all thresholds agrees with the counts at each single threshold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from mitobench.evaluate import MATCHERS, FramePrediction, Sweep, count_frames, sweep, total

from .cases import RADIUS_UM, frame, splits

# Two frames, four mitoses, by score: hit, miss, hit, miss, miss, hit; one mitosis is never found.
WORKED = [
    frame([(50, 50), (150, 50)], [(50, 50, 0.9), (300, 300, 0.8), (400, 300, 0.5)]),
    frame([(50, 50), (150, 50)], [(50, 52, 0.7), (300, 300, 0.6), (150, 50, 0.4)], id="A00_01"),
]


def test_counts_at_every_distinct_score() -> None:
    curve = sweep(WORKED, "mitos", RADIUS_UM)
    assert curve.threshold.tolist() == [0.9, 0.8, 0.7, 0.6, 0.5, 0.4]
    assert curve.tp.tolist() == [1, 1, 2, 2, 2, 3]
    assert curve.fp.tolist() == [0, 1, 1, 2, 3, 3]
    assert curve.fn.tolist() == [3, 3, 2, 2, 2, 1]


def test_average_precision_is_interpolated_at_all_points() -> None:
    # Recall rises by 1/4 at precision 1, at 2/3 and at 3/6; the last quarter is never reached.
    assert sweep(WORKED, "mitos", RADIUS_UM).average_precision() == pytest.approx((1 + 2 / 3 + 1 / 2) / 4)


def test_interpolation_takes_the_best_precision_at_that_recall_or_above() -> None:
    late = frame([(50, 50), (150, 50)], [(300, 300, 0.9), (50, 50, 0.8), (150, 50, 0.7)])
    # Precision is 1/2 at the first hit and 2/3 at the second, so 2/3 at both.
    assert sweep([late], "mitos", RADIUS_UM).average_precision() == pytest.approx(2 / 3)


def test_froc_is_the_best_recall_with_at_most_that_many_false_positives_per_frame() -> None:
    # Two frames: 1/2 a frame is one false positive, 1 two, 2 four.
    assert sweep(WORKED, "mitos", RADIUS_UM).froc() == {
        "1/8": 0.25,
        "1/4": 0.25,
        "1/2": 0.5,
        "1": 0.5,
        "2": 0.75,
        "4": 0.75,
        "8": 0.75,
    }


def test_recall_ceiling_is_the_recall_with_everything_kept() -> None:
    assert sweep(WORKED, "mitos", RADIUS_UM).recall_ceiling() == 0.75


def test_best_f1() -> None:
    # At the lowest score: TP 3, FP 3, FN 1.
    assert sweep(WORKED, "mitos", RADIUS_UM).best_f1() == pytest.approx(6 / 10)


def test_without_mitoses_nothing_but_precision_is_defined() -> None:
    curve = sweep([frame([], [(50, 50, 0.9)])], "mitos", RADIUS_UM)
    assert curve.average_precision() is None
    assert curve.recall_ceiling() is None
    assert set(curve.froc().values()) == {None}
    assert curve.best_f1() == 0.0


def test_without_detections_all_is_missed() -> None:
    curve = sweep([frame([(50, 50)])], "mitos", RADIUS_UM)
    assert (curve.average_precision(), curve.recall_ceiling(), curve.best_f1()) == (0.0, 0.0, 0.0)
    assert set(curve.froc().values()) == {0.0}


def test_without_either_no_f1_is_defined() -> None:
    assert sweep([frame()], "mitos", RADIUS_UM).best_f1() is None


def test_unlabelled_frames_are_left_out() -> None:
    curve = sweep([*WORKED, frame([], [(50, 50, 0.95)], labelled=False)], "mitos", RADIUS_UM)
    assert curve.threshold.max() == 0.9
    assert curve.n_frames == 2


@pytest.mark.parametrize("matcher", MATCHERS)
@given(frames=splits())
def test_every_point_of_the_curve_is_what_that_threshold_gives(matcher: str, frames: list[FramePrediction]) -> None:
    curve = sweep(frames, matcher, RADIUS_UM)
    assert curve.threshold.tolist() == sorted({s for one in frames for s in one.score}, reverse=True)
    for threshold, tp, fp, fn in zip(curve.threshold, curve.tp, curve.fp, curve.fn, strict=True):
        counts = total(count_frames(frames, threshold, matcher, RADIUS_UM))
        assert (tp, fp, fn) == (counts.tp, counts.fp, counts.fn)


@pytest.mark.parametrize("matcher", MATCHERS)
@given(frames=splits(), data=st.data())
def test_new_scores_give_the_same_curve_as_frames_with_those_scores(
    matcher: str, frames: list[FramePrediction], data: st.DataObject
) -> None:
    again = [
        frame(
            one.truth_xy.tolist(),
            [(x, y, data.draw(st.sampled_from([0.2, 0.4, 0.6]))) for x, y in one.xy],
            id=one.frame,
        )
        for one in frames
    ]
    best = [
        total(count_frames(again, threshold, matcher, RADIUS_UM)).ratio("f1") or 0.0 for threshold in (0.2, 0.4, 0.6)
    ]
    score = np.concatenate([one.score for one in again])
    assert Sweep(frames, matcher, RADIUS_UM).best_f1(score) == max(best)


@given(hits=st.lists(st.booleans(), min_size=1, max_size=12).filter(any))
def test_average_precision_is_at_least_the_uninterpolated_one(hits: list[bool]) -> None:
    score = np.linspace(0.9, 0.1, len(hits))
    truth = [(100.0 * n, 50.0) for n, hit in enumerate(hits) if hit]
    one = frame(truth, [(100.0 * n, 50.0 if hit else 500.0, score[n]) for n, hit in enumerate(hits)])
    found = sweep([one], "mitos", RADIUS_UM).average_precision()
    assert found is not None
    assert average_precision_score(hits, score) - 1e-12 <= found <= 1 + 1e-12
