"""Intervals resample slides, pair two methods, and say when they are weak."""

from __future__ import annotations

import numpy as np
import pytest

from mitobench.errors import MitobenchError
from mitobench.evaluate import FrameCounts, interval, paired_difference


def counts(groups: int, frames_each: int = 2, tp: int = 3, fp: int = 1, fn: int = 1) -> list[FrameCounts]:
    return [
        FrameCounts(frame=f"A{g:02}_{n:02}", group=f"{g:02}", tp=tp, fp=fp, fn=fn)
        for g in range(groups)
        for n in range(frames_each)
    ]


def noisy(groups: int, seed: int = 0, shift: int = 0) -> list[FrameCounts]:
    """Frames of ten mitoses each, of which the same slide finds about the same number."""
    rng = np.random.default_rng(seed)
    found = rng.integers(2, 8, groups) + shift
    return [
        FrameCounts(frame=f"A{g:02}_{n}", group=f"{g:02}", tp=int(found[g]), fp=2, fn=10 - int(found[g]))
        for g in range(groups)
        for n in range(4)
    ]


@pytest.mark.parametrize(
    ("groups", "unit", "n_units", "weak"),
    [
        (12, "group", 12, False),
        (10, "group", 10, False),
        (9, "group", 9, True),
        (5, "group", 5, True),
        (4, "frame", 8, True),
        (1, "frame", 2, True),
    ],
)
def test_what_is_resampled_and_whether_that_is_weak(groups: int, unit: str, n_units: int, weak: bool) -> None:
    found = interval(counts(groups), "f1")
    assert found is not None
    assert (found.unit, found.n_units, found.weak) == (unit, n_units, weak)


def test_equal_units_have_no_spread() -> None:
    found = interval(counts(12), "precision")
    assert found is not None
    assert found.low == found.high == 0.75


def test_it_holds_the_metric_and_is_the_same_for_the_same_seed() -> None:
    frames = noisy(20)
    found = interval(frames, "recall", seed=3)
    assert found is not None
    assert found.low < sum(f.tp for f in frames) / (10 * len(frames)) < found.high
    assert interval(frames, "recall", seed=3) == found
    assert interval(frames, "recall", seed=4) != found


def test_frames_that_resemble_their_slide_make_it_wider_than_frames_alone_would() -> None:
    by_slide = interval(noisy(12), "recall")
    alone = [f.model_copy(update={"group": f.frame}) for f in noisy(12)]
    by_frame = interval(alone, "recall")
    assert by_slide is not None
    assert by_frame is not None
    assert by_slide.high - by_slide.low > 1.5 * (by_frame.high - by_frame.low)


def test_it_is_that_of_the_normal_approximation_for_many_units() -> None:
    rng = np.random.default_rng(1)
    found = rng.integers(0, 11, 400)
    frames = [FrameCounts(frame=str(n), group=str(n), tp=int(k), fp=0, fn=10 - int(k)) for n, k in enumerate(found)]
    half = 1.96 * found.std() / 10 / 20
    result = interval(frames, "recall")
    assert result is not None
    assert result.low == pytest.approx(found.mean() / 10 - half, abs=0.005)
    assert result.high == pytest.approx(found.mean() / 10 + half, abs=0.005)


def test_an_undefined_metric_and_a_single_frame_have_none() -> None:
    assert interval(counts(12, tp=0, fp=0), "precision") is None
    assert interval(counts(1, frames_each=1), "f1") is None
    assert interval([], "f1") is None


def test_resamples_without_a_detection_are_left_out() -> None:
    frames = counts(12, frames_each=1, tp=0, fp=0) + counts(1, frames_each=1, tp=3, fp=1)
    unique = [f.model_copy(update={"frame": str(n), "group": str(n)}) for n, f in enumerate(frames)]
    found = interval(unique, "precision")
    assert found is not None
    assert found.low == found.high == 0.75


def test_a_difference_is_paired() -> None:
    # One method finds one mitosis more on every frame: slides differ a lot, the difference does not.
    difference = paired_difference(noisy(20, shift=1), noisy(20), "recall")
    alone = interval(noisy(20), "recall")
    assert difference is not None
    assert alone is not None
    assert difference.delta == pytest.approx(0.1)
    assert difference.low == pytest.approx(0.1)
    assert difference.high == pytest.approx(0.1)
    assert alone.high - alone.low > 0.1


def test_a_difference_with_itself_is_zero_and_the_other_way_about_it_changes_sign() -> None:
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
    assert (difference.unit, difference.n_units, difference.weak) == ("frame", 6, True)


def test_methods_on_other_frames_cannot_be_compared() -> None:
    with pytest.raises(MitobenchError, match=r"same frames.*A11_01"):
        paired_difference(counts(12), counts(12)[:-1])


def test_methods_on_other_annotation_cannot_be_compared() -> None:
    with pytest.raises(MitobenchError, match=r"A00_00 has group 00 and 4 mitoses .* and 5 for the other"):
        paired_difference(counts(12), counts(12, fn=2))
