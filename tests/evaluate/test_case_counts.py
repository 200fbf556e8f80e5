"""Detected against annotated mitoses per mm2 of each case: bias, limits of agreement, ICC, sides of cut-offs."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluate.test_domains import frame
from mitobench.evaluate import FrameEntry, Metrics, evaluate
from mitobench.evaluate.case_counts import CaseCounts, case_counts, cases, intraclass_correlation
from mitobench.evaluate.metrics import FrameCounts

# Shrout and Fleiss, Psychological Bulletin 86 (1979), table 2: six targets, rated by four judges.
SHROUT_FLEISS = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]

# Detected and annotated per mm2: a 10 and 12 (two frames), b 10 and 4, c 2 and 0.
FRAMES = [
    frame("a1", 3, 1, 0, 0.25, tumour="breast", scanner="one"),
    frame("a2", 1, 0, 2, 0.25, tumour="breast", scanner="one"),
    frame("b1", 1, 4, 1, 0.5, tumour="breast", scanner="one"),
    frame("c1", 0, 2, 0, 1.0, tumour="breast", scanner="one"),
]
CUT_OFFS = {"breast": [4.0, 8.0]}


def counted(*counts: tuple[int, int, int], area: float = 1.0) -> CaseCounts | None:
    """The comparison of cases of one frame each, with these tp, fp and fn."""
    entries = [FrameEntry(frame=str(i), group=str(i), mitoses=9, area_mm2=area) for i in range(len(counts))]
    of_frames = [FrameCounts(frame=str(i), group=str(i), tp=tp, fp=fp, fn=fn) for i, (tp, fp, fn) in enumerate(counts)]
    return case_counts(entries, of_frames)


def test_the_intraclass_correlation_of_a_published_table() -> None:
    assert intraclass_correlation(np.array(SHROUT_FLEISS, dtype=float)) == pytest.approx(0.29, abs=0.005)


def test_all_numbers_by_hand() -> None:
    found = evaluate(FRAMES, 0.5, "mitos", 5.0, cut_offs=CUT_OFFS).cases
    assert found is not None
    assert (found.n_cases, found.n_several_scanners, found.n_graded) == (3, 0, 3)
    assert found.detected_per_mm2 == pytest.approx(22 / 3)
    assert found.annotated_per_mm2 == pytest.approx(16 / 3)
    assert found.bias == pytest.approx(2)  # of -2, 6 and 2, whose standard deviation is 4
    assert (found.lower_limit, found.upper_limit) == pytest.approx((2 - 1.96 * 4, 2 + 1.96 * 4))
    assert found.icc == pytest.approx(32 / 43)  # mean squares: cases 152/3, raters 6, error 8
    assert found.same_side == pytest.approx(2 / 3)  # b: 10 is above 8, 4 is not
    assert found.cut_offs == CUT_OFFS


def test_cases_are_compared_only_if_asked_for() -> None:
    found = evaluate(FRAMES, 0.5, "mitos", 5.0)
    assert found.cases is None
    assert "cases" not in found.model_dump()


def test_a_field_that_was_scanned_twice_is_one_case_and_named() -> None:
    other = frame("c2", 0, 4, 0, 1.0, tumour="breast", scanner="two")
    found = evaluate([*FRAMES, other], 0.5, "mitos", 5.0, cut_offs={}).cases
    assert found is not None
    assert (found.n_cases, found.n_several_scanners) == (3, 1)
    assert found.detected_per_mm2 == pytest.approx((10 + 10 + 3) / 3)


def test_unlabelled_frames_are_left_out() -> None:
    unlabelled = replace(frame("d1", 0, 50, 0), labelled=False)
    assert evaluate([*FRAMES, unlabelled], 0.5, "mitos", 5.0, cut_offs={}).cases == (
        evaluate(FRAMES, 0.5, "mitos", 5.0, cut_offs={}).cases
    )


def test_cases_of_other_or_several_tumour_types_are_not_graded() -> None:
    mixed = [frame("d1", 1, 0, 0, tumour="breast"), frame("d2", 1, 0, 0, tumour="lung"), frame("e1", 1, 0, 0)]
    found = evaluate([*FRAMES, *mixed, frame("f1", 1, 9, 0, tumour="lung")], 0.5, "mitos", 5.0, cut_offs=CUT_OFFS).cases
    assert found is not None
    assert (found.n_cases, found.n_graded) == (6, 3)
    none = evaluate(mixed, 0.5, "mitos", 5.0, cut_offs=CUT_OFFS).cases
    assert none is not None
    assert (none.n_graded, none.same_side) == (0, None)


@pytest.mark.parametrize("area", [None, 0.0])
def test_without_an_area_there_is_no_count(area: float | None) -> None:
    assert evaluate([*FRAMES, frame("d1", 1, 0, 0, area)], 0.5, "mitos", 5.0, cut_offs=CUT_OFFS).cases is None
    assert case_counts([], []) is None


def test_two_cases_are_too_few_for_limits_and_icc() -> None:
    found = counted((3, 1, 0), (1, 0, 2))
    assert found is not None
    assert (found.bias, found.lower_limit, found.upper_limit, found.icc) == (-0.5, None, None, None)


def test_equal_counts_everywhere_have_no_icc() -> None:
    found = counted((2, 1, 1), (2, 1, 1), (1, 2, 2))
    assert found is not None
    assert (found.bias, found.lower_limit, found.upper_limit, found.icc) == (0, 0, 0, None)


def test_a_constant_excess_is_a_bias_and_lowers_the_icc() -> None:
    exact, more = counted((1, 0, 0), (4, 0, 0), (7, 0, 0)), counted((1, 3, 0), (4, 3, 0), (7, 3, 0))
    assert exact is not None
    assert more is not None
    assert exact.icc == 1
    assert (more.bias, more.lower_limit, more.upper_limit) == (3, 3, 3)
    assert more.icc == pytest.approx(2 / 3)  # mean squares: cases 18, raters 13.5, error 0


def test_equal_densities_of_different_areas_are_equal() -> None:
    sizes = {"a": 1, "b": 3, "c": 7}  # ten per mm2
    entries = [FrameEntry(frame=name, group=name, mitoses=9, area_mm2=n / 10) for name, n in sizes.items()]
    counts = [FrameCounts(frame=name, group=name, tp=n, fp=0, fn=0) for name, n in sizes.items()]
    assert {(case.detected, case.annotated) for case in cases(entries, counts)} == {(10, 10)}
    found = case_counts(entries, counts)
    assert found is not None
    assert found.icc is None


number = st.integers(0, 1000)
scenes = st.lists(st.tuples(number, number, number, st.floats(1e-4, 100)), min_size=1, max_size=8)


@given(scenes)
def test_every_number_is_finite_and_within_its_bounds(scene: list[tuple[int, int, int, float]]) -> None:
    entries = [
        FrameEntry(frame=str(i), group=str(i), mitoses=tp + fn, area_mm2=area, domains={"tumour": "breast"})
        for i, (tp, _, fn, area) in enumerate(scene)
    ]
    counts = [FrameCounts(frame=str(i), group=str(i), tp=tp, fp=fp, fn=fn) for i, (tp, fp, fn, _) in enumerate(scene)]
    found = case_counts(entries, counts, CUT_OFFS)
    assert found is not None
    n = len(scene)
    assert found.bias == pytest.approx(found.detected_per_mm2 - found.annotated_per_mm2, abs=1e-3)
    assert found.same_side is not None
    assert 0 <= found.same_side <= 1
    if n < 3:
        assert (found.lower_limit, found.upper_limit, found.icc) == (None, None, None)
        return
    assert found.lower_limit is not None
    assert found.upper_limit is not None
    assert found.lower_limit <= found.bias <= found.upper_limit
    assert math.isfinite(found.lower_limit)
    assert math.isfinite(found.upper_limit)
    assert found.icc is None or -n / (n - 2) - 1e-6 <= found.icc <= 1 + 1e-6


@given(scenes)
def test_detecting_exactly_what_is_annotated_is_perfect(scene: list[tuple[int, int, int, float]]) -> None:
    found = counted(*((tp, 0, 0) for tp, *_ in scene))
    assert isinstance(found, CaseCounts)
    assert found.bias == 0
    assert found.icc is None or found.icc == pytest.approx(1)
    assert (found.lower_limit or 0, found.upper_limit or 0) == (0, 0)


def test_a_record_reads_back_what_it_wrote() -> None:
    found = evaluate(FRAMES, 0.5, "mitos", 5.0, cut_offs=CUT_OFFS)
    assert Metrics.model_validate_json(found.model_dump_json()) == found
