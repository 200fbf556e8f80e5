"""The threshold is midway between two scores, and None if there is nothing to choose it by."""

from __future__ import annotations

import math

import pytest
from hypothesis import given

from mitobench.evaluate import MATCHERS, FramePrediction, choose_threshold, count_frames, total

from .cases import RADIUS_UM, frame, splits

HIT, MISS = (50, 50), (400, 400)


def one_hit_each(*scores: float) -> list[FramePrediction]:
    """A frame with one mitosis per score, found at that score."""
    return [frame([HIT], [(*HIT, score)], id=f"A00_0{n}") for n, score in enumerate(scores)]


def test_it_is_midway_between_the_lowest_score_kept_and_the_next() -> None:
    point = choose_threshold([*one_hit_each(0.9, 0.8), frame([], [(*MISS, 0.4)])], "mitos", RADIUS_UM)
    assert point.threshold == pytest.approx(0.6)
    assert (point.lower, point.upper) == (0.4, 0.8)
    assert (point.f1, point.precision, point.recall) == (1.0, 1.0, 1.0)


def test_if_all_are_kept_it_is_the_lowest_score() -> None:
    point = choose_threshold(one_hit_each(0.9, 0.8), "mitos", RADIUS_UM)
    assert (point.threshold, point.lower, point.upper) == (0.8, None, 0.8)


def test_between_neighbouring_floats_it_still_drops_the_lower_one() -> None:
    lower = math.nextafter(0.9, 0)
    point = choose_threshold([*one_hit_each(0.9), frame([], [(*MISS, lower)])], "mitos", RADIUS_UM)
    assert point.threshold == 0.9


def test_of_equally_good_thresholds_it_is_the_highest() -> None:
    # F1 is 2/4 with the first detection alone and 4/8 with all five.
    frames = [*one_hit_each(0.9, 0.1), frame([(50, 50)], [(400, 100 * n, 0.5) for n in range(1, 4)])]
    assert choose_threshold(frames, "mitos", RADIUS_UM).threshold == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        ([], "no annotated mitosis"),
        ([frame([], [(50, 50, 0.9)])], "no annotated mitosis"),
        ([frame([], [(50, 50, 0.9)], labelled=False)], "no annotated mitosis"),
        ([frame([HIT])], "no detection"),
        ([frame([HIT], [(*MISS, 0.9)])], "no detection hits"),
    ],
)
def test_it_is_none_with_a_reason(frames: list[FramePrediction], reason: str) -> None:
    point = choose_threshold(frames, "mitos", RADIUS_UM)
    assert point.threshold is None
    assert point.f1 is None
    assert reason in str(point.reason)


@pytest.mark.parametrize("matcher", MATCHERS)
@given(frames=splits())
def test_no_other_threshold_is_better_and_its_scores_are_correct(matcher: str, frames: list[FramePrediction]) -> None:
    def f1_at(threshold: float) -> float:
        return total(count_frames(frames, threshold, matcher, RADIUS_UM)).ratio("f1") or 0.0

    point = choose_threshold(frames, matcher, RADIUS_UM)
    best = max((f1_at(score) for one in frames for score in one.score), default=0.0)
    if point.threshold is None:
        assert best == 0.0
    else:
        assert f1_at(point.threshold) == point.f1 == best
