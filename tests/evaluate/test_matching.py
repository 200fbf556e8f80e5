"""The four matchers: hand-computed cases, and properties that hold for any frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mitobench.errors import MitobenchError
from mitobench.evaluate import MATCHERS, Match, match

from .cases import RADIUS_UM, detections, frame, truths

Points = Sequence[tuple[float, float]]
Scored = Sequence[tuple[float, float, float]]

any_matcher = pytest.mark.parametrize("matcher", MATCHERS)


def found(matcher: str, truth: Points, dets: Scored, mpp: tuple[float, float] = (0.25, 0.25)) -> Match:
    return frame(truth, dets, mpp=mpp).match(matcher, RADIUS_UM)


def hits(matcher: str, truth: Points, dets: Scored, mpp: tuple[float, float] = (0.25, 0.25)) -> list[bool]:
    return [bool(hit) for hit in found(matcher, truth, dets, mpp).hit]


# ------------------------------------------------------------------------------------------ worked out by hand


@any_matcher
def test_an_empty_frame_without_detections_has_no_matches(matcher: str) -> None:
    assert hits(matcher, [], []) == []
    assert hits(matcher, [(50, 50)], []) == []


@any_matcher
def test_on_a_frame_without_mitoses_every_detection_is_false_and_has_no_distance(matcher: str) -> None:
    result = found(matcher, [], [(50, 50, 0.9), (90, 90, 0.2)])
    assert not result.hit.any()
    assert np.isnan(result.distance_um).all()
    assert np.isnan(result.error_um).all()


@any_matcher
def test_a_second_hit_on_one_mitosis_is_false(matcher: str) -> None:
    assert sum(hits(matcher, [(50, 50)], [(52, 50, 0.4), (50, 50, 0.9), (50, 53, 0.6)])) == 1


def test_of_duplicate_hits_the_best_score_counts_and_not_the_nearest() -> None:
    assert hits("mitos", [(50, 50)], [(50, 50, 0.4), (60, 50, 0.9)]) == [False, True]
    assert hits("hungarian", [(50, 50)], [(50, 50, 0.4), (60, 50, 0.9)]) == [True, False]


@any_matcher
def test_one_detection_between_two_mitoses_finds_one(matcher: str) -> None:
    assert found(matcher, [(40, 50), (60, 50)], [(50, 50, 0.9)]).truth.tolist() == [0]


def test_two_detections_nearest_to_the_same_of_two_mitoses() -> None:
    # The second detection is 2 px from the mitosis that is found already and 18 px from the other.
    truth, dets = [(40, 50), (60, 50)], [(40, 50, 0.9), (42, 50, 0.8)]
    assert found("mitos", truth, dets).truth.tolist() == [0, -1]
    for matcher in ("greedy", "hungarian", "midog"):
        assert found(matcher, truth, dets).truth.tolist() == [0, 1]


def test_only_hungarian_trades_a_nearer_match_for_an_additional_one() -> None:
    # The best detection is 4 px from the mitosis on the left, which alone is near the other detection, and 16 px from
    # the mitosis on the right, which nothing else is near.
    truth, dets = [(50, 50), (70, 50)], [(54, 50, 0.9), (40, 50, 0.8)]
    assert found("hungarian", truth, dets).truth.tolist() == [1, 0]
    assert found("greedy", truth, dets).truth.tolist() == [0, -1]
    assert found("mitos", truth, dets).truth.tolist() == [0, -1]
    assert found("midog", truth, dets).truth.tolist() == [0, -1]


def test_hungarian_takes_no_match_beyond_the_radius_to_shorten_the_sum() -> None:
    # Assigning first and gating then would pair 1-0 and 0-1 (21 px, lost); gating first keeps both.
    truth, dets = [(0, 0), (19, 0)], [(19, 0, 0.9), (38, 0, 0.8)]
    assert found("hungarian", truth, dets).truth.tolist() == [0, 1]


def test_midog_depends_on_the_file_order_of_mitoses() -> None:
    # Left takes the shared detection when it comes first, and right has none; the other way about both are found.
    left, right, dets = (50.0, 50.0), (70.0, 50.0), [(54, 50, 0.9), (40, 50, 0.8)]
    assert sum(hits("midog", [left, right], dets)) == 1
    assert sum(hits("midog", [right, left], dets)) == 2


@any_matcher
@pytest.mark.parametrize(("x", "hit"), [(69.99, True), (70.0, False), (70.01, False)])
def test_a_hit_is_strictly_closer_than_the_radius(matcher: str, x: float, hit: bool) -> None:
    assert hits(matcher, [(50, 50)], [(x, 50, 0.9)]) == [hit]


@any_matcher
@pytest.mark.parametrize(
    ("truth", "detection", "mpp", "radius_um"),
    [((50.1, 50), (70.1, 50), 0.25, 5.0), ((50, 50), (74, 57), 0.2456, 25 * 0.2456), ((0, 0), (18, 24), 0.2274, 6.822)],
)
def test_exactly_the_radius_is_not_a_hit_even_if_rounding_makes_it_less(
    matcher: str, truth: tuple[float, float], detection: tuple[float, float], mpp: float, radius_um: float
) -> None:
    result = frame([truth], [(*detection, 0.9)], mpp=(mpp, mpp)).match(matcher, radius_um)
    assert result.distance_um[0] == pytest.approx(radius_um)
    assert not result.hit.any()


@any_matcher
def test_unequal_um_per_px(matcher: str) -> None:
    # 18 px are 4.5 um along x and 9 um along y; the radius is 5 um.
    assert hits(matcher, [(50, 50)], [(68, 50, 0.9)], mpp=(0.25, 0.5)) == [True]
    assert hits(matcher, [(50, 50)], [(50, 68, 0.9)], mpp=(0.25, 0.5)) == [False]


def test_unequal_um_per_px_decide_which_mitosis_is_nearest() -> None:
    # 12 px along x are 3 um, 8 px along y are 4 um.
    assert found("mitos", [(62, 50), (50, 58)], [(50, 50, 0.9)], mpp=(0.25, 0.5)).truth.tolist() == [0]


def test_distances_are_to_the_nearest_mitosis_and_errors_to_the_one_found() -> None:
    result = found("greedy", [(40, 50), (60, 50)], [(40, 50, 0.9), (42, 50, 0.8), (140, 50, 0.7)])
    assert result.distance_um.tolist() == [0.0, 0.5, 20.0]
    np.testing.assert_array_equal(result.error_um, [0.0, 4.5, np.nan])


def test_equal_scores_are_ordered_by_x_then_y() -> None:
    assert hits("mitos", [(50, 50)], [(52, 40, 0.5), (48, 60, 0.5), (48, 50, 0.5)]) == [False, False, True]


def test_an_unknown_matcher_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(MitobenchError, match=r"'hungrian'\. Did you mean hungarian\?.*greedy.*mitos"):
        match("hungrian", np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0), (0.25, 0.25), 5.0)


# ------------------------------------------------------------------------------------------- for any frame


def _outcome(matcher: str, truth: Points, dets: Scored) -> list[tuple[float, float, float, bool]]:
    """Each detection and whether it hit. Of equal detections it does not matter which one hit."""
    return sorted((x, y, s, h) for (x, y, s), h in zip(dets, hits(matcher, truth, dets), strict=True))


@any_matcher
@given(truth=truths, dets=detections, data=st.data())
def test_the_order_of_detections_does_not_matter(
    matcher: str, truth: Points, dets: Scored, data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(dets))
    assert _outcome(matcher, truth, shuffled) == _outcome(matcher, truth, dets)


@pytest.mark.parametrize("matcher", ["mitos", "greedy"])
@given(truth=truths, dets=detections, data=st.data())
def test_the_order_of_mitoses_does_not_matter(matcher: str, truth: Points, dets: Scored, data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(truth))
    assert _outcome(matcher, shuffled, dets) == _outcome(matcher, truth, dets)


@given(truth=truths, dets=detections, data=st.data())
def test_the_order_of_mitoses_changes_neither_number_nor_total_error_of_hungarian(
    truth: Points, dets: Scored, data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(truth))
    one, other = found("hungarian", truth, dets), found("hungarian", shuffled, dets)
    assert one.hit.sum() == other.hit.sum()
    assert np.nansum(one.error_um) == pytest.approx(np.nansum(other.error_um))


@any_matcher
@given(truth=truths, dets=detections)
def test_each_mitosis_is_found_at_most_once_and_within_the_radius(matcher: str, truth: Points, dets: Scored) -> None:
    result = found(matcher, truth, dets)
    matched = result.truth[result.hit].tolist()
    assert len(set(matched)) == len(matched)
    assert set(matched) <= set(range(len(truth)))
    assert (result.error_um[result.hit] < RADIUS_UM).all()
    assert (result.error_um[result.hit] >= result.distance_um[result.hit]).all()


@given(truth=truths, dets=detections)
def test_no_matcher_finds_more_than_hungarian_and_greedy_no_fewer_than_mitos(truth: Points, dets: Scored) -> None:
    n = {matcher: sum(hits(matcher, truth, dets)) for matcher in MATCHERS}
    assert max(n.values()) == n["hungarian"]
    assert n["greedy"] >= n["mitos"]


@pytest.mark.parametrize("matcher", ["mitos", "greedy"])
@given(truth=truths, dets=detections, threshold=st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9]))
def test_hits_above_a_threshold_do_not_depend_on_what_is_below(
    matcher: str, truth: Points, dets: Scored, threshold: float
) -> None:
    one = frame(truth, dets)
    everything, kept = one.match(matcher, RADIUS_UM), one.above(threshold).match(matcher, RADIUS_UM)
    assert kept.truth.tolist() == everything.truth[one.score >= threshold].tolist()


def test_hungarian_and_midog_must_be_matched_again_at_each_threshold() -> None:
    truth, dets = [(50.0, 50.0)], [(50.0, 50.0, 0.4), (60.0, 50.0, 0.9)]
    for matcher in ("hungarian", "midog"):
        assert hits(matcher, truth, dets) == [True, False]
        assert hits(matcher, truth, dets[1:]) == [True]
