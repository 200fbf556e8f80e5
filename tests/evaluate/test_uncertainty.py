"""Intervals are over slides, have the stated coverage, pair two methods, and stay within bounds for any counts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mitobench.errors import MitobenchError
from mitobench.evaluate import FrameCounts, Interval, coverage, interval, paired_difference, total
from mitobench.evaluate.jackknife import Score, t_interval, wilson_interval
from mitobench.evaluate.uncertainty import COVERAGE, METHODS, bootstrap_percentile

METRICS = ("precision", "recall", "f1")
Counts = tuple[int, int, int]


def counts(groups: int, frames_each: int = 2, tp: int = 3, fp: int = 1, fn: int = 1) -> list[FrameCounts]:
    return [
        FrameCounts(frame=f"A{g:02}_{n:02}", group=f"{g:02}", tp=tp, fp=fp, fn=fn)
        for g in range(groups)
        for n in range(frames_each)
    ]


def slides(*each: Counts) -> list[FrameCounts]:
    """One slide with one frame for each of the counts."""
    return [FrameCounts(frame=f"{n:03}", group=f"{n:03}", tp=tp, fp=fp, fn=fn) for n, (tp, fp, fn) in enumerate(each)]


def noisy(groups: int, seed: int = 0, shift: int = 0) -> list[FrameCounts]:
    """Frames with ten mitoses each; frames of one slide have similar counts."""
    rng = np.random.default_rng(seed)
    found = rng.integers(2, 8, groups) + shift
    return [
        FrameCounts(frame=f"A{g:02}_{n}", group=f"{g:02}", tp=int(found[g]), fp=2, fn=10 - int(found[g]))
        for g in range(groups)
        for n in range(4)
    ]


def ends(found: Interval | None) -> tuple[float, float]:
    assert found is not None
    return found.low, found.high


# ---------------------------------------------------------------------------------------------- units and widths


@pytest.mark.parametrize(
    ("groups", "unit", "n_units"), [(12, "group", 12), (5, "group", 5), (4, "frame", 8), (1, "frame", 2)]
)
def test_it_is_over_slides_and_for_fewer_than_five_over_frames(groups: int, unit: str, n_units: int) -> None:
    found = interval(counts(groups), "f1")
    assert found is not None
    assert (found.unit, found.n_units, found.method, found.version) == (unit, n_units, "jackknife-wilson", 1)


def test_similar_frames_of_a_slide_make_it_wider_than_an_interval_over_frames() -> None:
    by_slide = ends(interval(noisy(12), "recall"))
    by_frame = ends(interval([f.model_copy(update={"group": f.frame}) for f in noisy(12)], "recall"))
    assert by_slide[1] - by_slide[0] > 1.5 * (by_frame[1] - by_frame[0])


def test_it_approaches_the_normal_approximation_for_many_units() -> None:
    found = np.random.default_rng(1).integers(0, 11, 400)
    half = 1.96 * found.std() / 10 / 20
    result = ends(interval(slides(*((int(k), 0, 10 - int(k)) for k in found)), "recall"))
    assert result == pytest.approx((found.mean() / 10 - half, found.mean() / 10 + half), abs=0.005)


def test_one_slide_with_most_of_the_mitoses_makes_it_wider() -> None:
    even = ends(interval(slides(*[(6, 2, 2), (4, 2, 4)] * 4), "f1"))
    uneven = ends(interval(slides((34, 14, 18), *[(1, 0, 1), (1, 0, 1)] * 3, (0, 0, 0)), "f1"))
    assert uneven[1] - uneven[0] > even[1] - even[0]


# ------------------------------------------------------------------------------------------------- coverage


def simulated(tests: int, n_slides: int) -> tuple[np.ndarray, np.ndarray]:
    """Two methods on slides with different numbers of mitoses; recall and false positives vary between slides."""
    rng = np.random.default_rng(20)
    mitoses = rng.poisson(rng.gamma(1.0, 15, (tests, n_slides)))
    hard, crowded, found = rng.standard_normal(mitoses.shape), rng.gamma(0.8, 1 / 0.8, mitoses.shape), []
    for shift in (0.6, 0.4):
        own = 0.6 * rng.standard_normal(mitoses.shape)
        tp = rng.binomial(mitoses, 1 / (1 + np.exp(-shift - 0.8 * hard - own)))
        found.append(np.stack([tp, rng.poisson(6 * crowded), mitoses - tp], axis=-1))
    return found[0], found[1]


def f1_of(summed: np.ndarray) -> float:
    tp, fp, fn = summed.reshape(-1, 3).sum(axis=0)
    return float(2 * tp / (2 * tp + fp + fn))


TRUE = [f1_of(method) for method in simulated(50_000, 8)]


def covered(low: np.ndarray, high: np.ndarray, true: float) -> float:
    return float(((low <= true) & (true <= high)).mean())


def test_with_eight_slides_its_coverage_is_as_stated_and_that_of_the_bootstrap_is_not() -> None:
    one, _ = simulated(600, 8)
    assert covered(*wilson_interval(one, "f1"), TRUE[0]) >= 0.93
    assert covered(*bootstrap_percentile(one[:200], "f1"), TRUE[0]) < 0.90


def test_with_eight_slides_the_coverage_for_a_difference_is_as_stated() -> None:
    one, other = simulated(600, 8)
    assert covered(*t_interval(Score.of(one, "f1") - Score.of(other, "f1")), TRUE[0] - TRUE[1]) >= 0.93


@pytest.mark.parametrize("method", ["jackknife-wilson", "jackknife-t"])
def test_recorded_intervals_cover_93_percent_from_eight_slides_on(method: str) -> None:
    assert min(found for n, found in COVERAGE[method, 1].items() if n >= 8) >= 0.93


def test_coverage_depends_on_method_and_number_of_slides() -> None:
    found = interval(counts(6), "f1")
    old = interval(counts(9), "f1", method="bootstrap-percentile", version=1)
    over_frames = interval(counts(3), "f1")
    assert found is not None
    assert old is not None
    assert over_frames is not None
    assert coverage(found) == COVERAGE["jackknife-wilson", 1][6]
    assert coverage(old) == COVERAGE["bootstrap-percentile", 1][8]
    assert coverage(over_frames) == 0.75
    assert coverage(found.model_copy(update={"method": "another"})) is None


# --------------------------------------------------------------------------------------------- by the recorded method


def test_the_bootstrap_gives_its_old_numbers() -> None:
    """As in old records: 2,000 resamples, seed 0."""
    frames = noisy(12)
    drawn = np.random.default_rng(0).multinomial(12, np.full(12, 1 / 12), size=2000)
    tp, fp, fn = (drawn @ np.array([[4 * f.tp, 4 * f.fp, 4 * f.fn] for f in frames[::4]])).T
    expected = np.nanpercentile(2 * tp / (2 * tp + fp + fn), [2.5, 97.5])
    found = interval(frames, "f1", method="bootstrap-percentile", version=1)
    assert ends(found) == tuple(expected)
    assert found is not None
    assert (found.method, found.version) == ("bootstrap-percentile", 1)


def test_an_unknown_method_is_an_error_that_names_the_others() -> None:
    with pytest.raises(MitobenchError, match=r"'guess', version 3.*jackknife-wilson 1"):
        interval(counts(12), "f1", method="guess", version=3)


# ---------------------------------------------------------------------------------------------------- within bounds

TRIPLES = st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))


@pytest.mark.parametrize("method", METHODS)
@given(st.lists(TRIPLES, min_size=1, max_size=12), st.sampled_from(METRICS))
def test_it_contains_the_metric_and_is_between_0_and_1(
    method: tuple[str, int], each: Sequence[Counts], metric: str
) -> None:
    frames = slides(*each)
    value, found = total(frames).ratio(metric), interval(frames, metric, method=method[0], version=method[1])
    if found is not None:
        assert value is not None
        assert 0 <= found.low <= found.high <= 1
        if method[0] != "bootstrap-percentile":
            assert found.low - 1e-12 <= value <= found.high + 1e-12


@given(st.lists(st.tuples(TRIPLES, st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=12))
def test_a_difference_is_between_minus_1_and_1(each: Sequence[tuple[Counts, int, int]]) -> None:
    one = slides(*(first for first, _, _ in each))
    other = slides(*((min(tp, a + c), fp, a + c - min(tp, a + c)) for (a, _, c), tp, fp in each))
    found = paired_difference(one, other)
    if found is not None:
        assert -1 <= found.low <= found.delta <= found.high <= 1


def test_the_interval_has_a_width_even_if_all_slides_agree() -> None:
    few, many = ends(interval(counts(12), "precision")), ends(interval(counts(12, tp=300, fp=100), "precision"))
    assert few[0] < many[0] < 0.75 < many[1] < few[1]


def test_a_perfect_result_has_an_interval_from_below_1_to_1() -> None:
    low, high = ends(interval(slides(*[(2, 0, 0)] * 8), "f1"))
    assert high == 1
    assert 0.75 < low < 0.95
    assert low < ends(interval(slides(*[(20, 0, 0)] * 8), "f1"))[0]


def test_a_result_of_0_has_an_interval_from_0_to_above_0() -> None:
    low, high = ends(interval(slides(*[(0, 3, 2)] * 8), "recall"))
    assert low == 0
    assert 0 < high < 0.5


def test_a_slide_without_mitoses_does_not_count_for_recall() -> None:
    busy = [(3, 1, 2), (5, 0, 1), (2, 2, 2), (4, 1, 0), (1, 0, 3)]
    assert ends(interval(slides(*busy, (0, 4, 0)), "recall")) == ends(interval(slides(*busy), "recall"))


def test_an_undefined_metric_and_a_single_unit_have_none() -> None:
    assert interval(counts(12, tp=0, fp=0), "precision") is None
    assert interval(counts(1, frames_each=1), "f1") is None
    assert interval([], "f1") is None
    assert interval(slides(*[(0, 0, 4)] * 7, (3, 1, 1)), "precision") is None, "detections on one slide only"


def test_counts_summed_over_runs_do_not_add_mitoses() -> None:
    once = interval(slides(*[(2, 1, 1)] * 8), "f1")
    assert interval(slides(*[(6, 3, 3)] * 8), "f1", runs=3) == once


# ------------------------------------------------------------------------------------------------------- differences


def test_a_difference_is_paired() -> None:
    # One method finds one mitosis more on every frame: slides differ a lot, the difference hardly.
    difference = paired_difference(noisy(20, shift=1), noisy(20), "recall")
    alone = ends(interval(noisy(20), "recall"))
    assert difference is not None
    assert difference.delta == pytest.approx(0.1)
    assert 0 < difference.low < 0.1 < difference.high
    assert difference.high - difference.low < 0.5 * (alone[1] - alone[0])


def test_a_difference_that_is_the_same_on_every_slide_is_still_uncertain() -> None:
    few = paired_difference(slides(*[(2, 1, 1)] * 6), slides(*[(1, 1, 2)] * 6))
    many = paired_difference(slides(*[(20, 10, 10)] * 6), slides(*[(10, 10, 20)] * 6))
    assert few is not None
    assert many is not None
    assert few.low < many.low < many.delta
    assert few.delta == pytest.approx(many.delta)


def test_a_difference_with_itself_is_zero_and_swapping_changes_its_sign() -> None:
    a, b = noisy(12, seed=1), noisy(12, seed=2)
    same, forth, back = paired_difference(a, a), paired_difference(a, b), paired_difference(b, a)
    assert same is not None
    assert forth is not None
    assert back is not None
    assert (same.delta, same.low, same.high) == (0.0, 0.0, 0.0)
    assert (forth.delta, forth.low) == pytest.approx((-back.delta, -back.high))


def test_a_difference_does_not_depend_on_the_order_of_frames() -> None:
    a, b = noisy(12, seed=1), noisy(12, seed=2)
    assert paired_difference(a, b[::-1]) == paired_difference(a, b)


def test_a_difference_on_few_groups_is_over_frames() -> None:
    difference = paired_difference(counts(3), counts(3, tp=2, fn=2))
    assert difference is not None
    assert (difference.unit, difference.n_units, difference.method) == ("frame", 6, "jackknife-t")


def test_methods_on_different_frames_cannot_be_compared() -> None:
    with pytest.raises(MitobenchError, match=r"same frames.*A11_01"):
        paired_difference(counts(12), counts(12)[:-1])


def test_methods_on_different_annotation_cannot_be_compared() -> None:
    with pytest.raises(MitobenchError, match=r"A00_00 has group 00 and 4 mitoses .* and 5 for the other"):
        paired_difference(counts(12), counts(12, fn=2))
