"""The matchers: hand-computed cases, brute force on dense frames, and properties that hold for any frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mitobench.errors import MitobenchError
from mitobench.evaluate import MATCHERS, Match, Sweep, count_frames, match, total
from mitobench.evaluate.matching import SUPPRESSED, radius_um_for, requested_matcher

from . import brute_force
from .cases import RADIUS_UM, detections, frame, truths

Points = Sequence[tuple[float, float]]
Scored = Sequence[tuple[float, float, float]]

STRICT = [name for name, rule in MATCHERS.items() if not rule.inclusive]
INCLUSIVE = [name for name, rule in MATCHERS.items() if rule.inclusive]
ONE_TO_ONE = [name for name, rule in MATCHERS.items() if not rule.many]

any_matcher = pytest.mark.parametrize("matcher", MATCHERS)
strict = pytest.mark.parametrize("matcher", STRICT)
one_to_one = pytest.mark.parametrize("matcher", ONE_TO_ONE)


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
    for matcher in ("greedy", "hungarian", "evalutils", "midog-strict"):
        assert found(matcher, truth, dets).truth.tolist() == [0, 1]


def test_only_hungarian_trades_a_nearer_match_for_an_additional_one() -> None:
    # The best detection is 4 px from the mitosis on the left, which alone is near the other detection, and 16 px from
    # the mitosis on the right, which nothing else is near.
    truth, dets = [(50, 50), (70, 50)], [(54, 50, 0.9), (40, 50, 0.8)]
    assert found("hungarian", truth, dets).truth.tolist() == [1, 0]
    assert found("greedy", truth, dets).truth.tolist() == [0, -1]
    assert found("mitos", truth, dets).truth.tolist() == [0, -1]
    assert found("evalutils", truth, dets).truth.tolist() == [0, -1]
    assert found("midog-strict", truth, dets).truth.tolist() == [0, -1]


def test_hungarian_takes_no_match_beyond_the_radius_to_shorten_the_sum() -> None:
    # Assigning first and gating then would pair 1-0 and 0-1 (21 px, lost); gating first keeps both.
    truth, dets = [(0, 0), (19, 0)], [(19, 0, 0.9), (38, 0, 0.8)]
    assert found("hungarian", truth, dets).truth.tolist() == [0, 1]


@pytest.mark.parametrize("matcher", ["evalutils", "midog-strict"])
def test_evalutils_depends_on_the_file_order_of_mitoses(matcher: str) -> None:
    # Left takes the shared detection when it comes first, and right has none; the other way about both are found.
    left, right, dets = (50.0, 50.0), (70.0, 50.0), [(54, 50, 0.9), (40, 50, 0.8)]
    assert sum(hits(matcher, [left, right], dets)) == 1
    assert sum(hits(matcher, [right, left], dets)) == 2


@strict
@pytest.mark.parametrize(("x", "hit"), [(69.99, True), (70.0, False), (70.01, False)])
def test_a_hit_is_strictly_closer_than_the_radius(matcher: str, x: float, hit: bool) -> None:
    assert hits(matcher, [(50, 50)], [(x, 50, 0.9)]) == [hit]


@strict
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


@pytest.mark.parametrize("matcher", [name for name in MATCHERS if name != "midog25-guide"])
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


@pytest.mark.parametrize(("x", "hit"), [(74.99, True), (75.0, True), (75.01, False)])
@pytest.mark.parametrize("matcher", ["evalutils", "kdtree"])
def test_25_px_are_a_hit_at_a_radius_of_25_px(matcher: str, x: float, hit: bool) -> None:
    one = frame([(50, 50)], [(x, 50, 0.9)], mpp=(0.2456, 0.2456))
    assert one.match(matcher, 25 * 0.2456).hit.tolist() == [hit]


@pytest.mark.parametrize(("offset", "hit"), [(17.6, True), (17.7, False)])
def test_equal_squares_hit_within_25_px_divided_by_the_root_of_2(offset: float, hit: bool) -> None:
    one = frame([(50, 50)], [(50 + offset, 50, 0.9)])
    assert one.match("midog25-guide", 25 * 0.25).hit.tolist() == [hit]


def test_boxes_of_another_size_are_farther_away() -> None:
    # Each of the 4 numbers of the 30 px box differs by 10 px from those of the square of 50 px: 20 px in all, 5 um.
    boxes = np.array([[35.0, 35.0, 65.0, 65.0]])
    result = match(
        "midog25-guide", np.array([[50.0, 50.0]]), np.array([[50.0, 50.0]]), np.ones(1), (0.25, 0.25), 5, boxes
    )
    assert result.distance_um.tolist() == [5.0]
    assert result.hit.tolist() == [True]
    assert not match(
        "midog25-guide", np.array([[50.0, 50.0]]), np.array([[50.0, 50.0]]), np.ones(1), (0.25, 0.25), 4.9, boxes
    ).hit.any()


def test_kdtree_suppresses_within_25_px_of_a_better_detection_and_ignores_it() -> None:
    # The second is 25 px from the first and is suppressed; the third is 50 px from the first, so it stays.
    result = found("kdtree", [(0, 0)], [(0, 0, 0.9), (25, 0, 0.8), (50, 0, 0.7)])
    assert result.truth.tolist() == [0, SUPPRESSED, -1]
    assert result.false.tolist() == [False, False, True]


def test_kdtree_is_many_to_many() -> None:
    between = found("kdtree", [(40, 50), (60, 50)], [(50, 50, 0.9)])
    assert (between.found.tolist(), between.false.sum()) == ([True, True], 0)
    twice = found("kdtree", [(50, 50)], [(37, 50, 0.9), (63, 50, 0.8)])
    assert (twice.found.sum(), twice.false.sum(), twice.truth.tolist()) == (1, 0, [0, 0])


def test_midog_of_a_record_is_midog_strict_and_midog_of_a_user_is_evalutils() -> None:
    at_radius = ([(50, 50)], [(70, 50, 0.9)])
    assert hits("midog", *at_radius) == hits("midog-strict", *at_radius) == [False]
    name, notice = requested_matcher("midog")
    assert (name, hits(name, *at_radius)) == ("evalutils", [True])
    assert notice is not None
    assert "deprecated" in notice
    assert "'midog-strict'" in notice
    assert requested_matcher("mitos") == ("mitos", None)


def test_a_radius_in_px_needs_frames_of_one_resolution() -> None:
    assert radius_um_for("kdtree", 7.5, [(0.25, 0.25), (0.25, 0.25)]) == 6.25
    assert radius_um_for("mitos", 7.5, [(0.25, 0.25), (0.5, 0.5)]) == 7.5
    with pytest.raises(
        MitobenchError, match=r"25 px, which is 6\.25 to 12\.5 um on these frames of 0\.25 to 0\.5 um/px"
    ):
        radius_um_for("kdtree", 7.5, [(0.25, 0.25), (0.5, 0.5)])


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


@pytest.mark.parametrize("matcher", ["mitos", "greedy", "kdtree"])
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


@one_to_one
@given(truth=truths, dets=detections)
def test_each_mitosis_is_found_at_most_once_and_within_the_radius(matcher: str, truth: Points, dets: Scored) -> None:
    result = found(matcher, truth, dets)
    matched = result.truth[result.hit].tolist()
    assert len(set(matched)) == len(matched)
    assert set(matched) <= set(range(len(truth)))
    assert (result.error_um[result.hit] <= RADIUS_UM).all()
    assert sorted(matched) == np.flatnonzero(result.found).tolist()
    assert (result.error_um[result.hit] >= result.distance_um[result.hit]).all()


@given(truth=truths, dets=detections)
def test_no_strict_matcher_finds_more_than_hungarian_and_greedy_no_fewer_than_mitos(
    truth: Points, dets: Scored
) -> None:
    n = {matcher: sum(hits(matcher, truth, dets)) for matcher in STRICT}
    assert max(n.values()) == n["hungarian"]
    assert n["greedy"] >= n["mitos"]


@pytest.mark.parametrize("matcher", ["mitos", "greedy", "kdtree"])
@given(truth=truths, dets=detections, threshold=st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9]))
def test_hits_above_a_threshold_do_not_depend_on_what_is_below(
    matcher: str, truth: Points, dets: Scored, threshold: float
) -> None:
    one = frame(truth, dets)
    everything, kept = one.match(matcher, RADIUS_UM), one.above(threshold).match(matcher, RADIUS_UM)
    assert kept.truth.tolist() == everything.truth[one.score >= threshold].tolist()


def test_hungarian_and_evalutils_must_be_matched_again_at_each_threshold() -> None:
    truth, dets = [(50.0, 50.0)], [(50.0, 50.0, 0.4), (60.0, 50.0, 0.9)]
    for matcher in ("hungarian", "evalutils", "midog-strict"):
        assert hits(matcher, truth, dets) == [True, False]
        assert hits(matcher, truth, dets[1:]) == [True]


# ------------------------------------------------------------------------------------------- against brute force

_dense = st.integers(0, 12).map(lambda n: 5.0 * n)  # 60 px across: everything is within a few radii
dense_truths = st.lists(st.tuples(_dense, _dense), max_size=5)
dense_detections = st.lists(st.tuples(_dense, _dense, st.sampled_from([0.2, 0.4, 0.6, 0.8])), max_size=6)


@pytest.mark.parametrize("matcher", brute_force.RULES)
@given(truth=dense_truths, dets=dense_detections, mpp=st.sampled_from([(0.25, 0.25), (0.25, 0.5)]))
def test_counts_are_those_of_brute_force_on_dense_frames(
    matcher: str, truth: Points, dets: Scored, mpp: tuple[float, float]
) -> None:
    one = total(count_frames([frame(truth, dets, mpp=mpp)], 0.0, matcher, RADIUS_UM))
    assert (one.tp, one.fp, one.fn) == brute_force.counts(matcher, truth, dets, mpp, RADIUS_UM)


@pytest.mark.parametrize("matcher", brute_force.RULES)
@given(truth=dense_truths, dets=dense_detections)
def test_curves_are_those_of_brute_force_on_dense_frames(matcher: str, truth: Points, dets: Scored) -> None:
    one = frame(truth, dets)
    curve = Sweep([one], matcher, RADIUS_UM).curve(one.score)
    for threshold, tp, fp, fn in zip(curve.threshold, curve.tp, curve.fp, curve.fn, strict=True):
        kept = [detection for detection in dets if detection[2] >= threshold]
        assert (tp, fp, fn) == brute_force.counts(matcher, truth, kept, one.mpp, RADIUS_UM)


def test_brute_force_knows_every_matcher() -> None:
    assert set(brute_force.RULES) == set(MATCHERS)
