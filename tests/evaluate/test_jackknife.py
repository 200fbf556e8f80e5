"""The jackknife on hand-computed cases, and the correction for multiple comparisons."""

from __future__ import annotations

import numpy as np
import pytest

from mitobench.evaluate.jackknife import Score, holm, p_value

HALF = [(1, 0, 1), (2, 0, 0), (0, 0, 2)]  # recall .5; without each slide 2/4, 1/4, 3/4


def test_each_unit_is_left_out_once() -> None:
    recall = Score.of(np.array(HALF), "recall").statistic
    assert recall.value == pytest.approx(0.5)
    assert recall.left_out == pytest.approx([0.5, 0.25, 0.75])
    assert recall.variance() == pytest.approx(2 / 3 * (0.25**2 + 0.25**2))


def test_the_effective_number_of_units_depends_on_their_weights() -> None:
    equal, uneven = (Score.of(np.array([[n, 0, 0] for n in each]), "recall") for each in ([5] * 8, [93, *[1] * 7]))
    assert equal.statistic.degrees_of_freedom() == pytest.approx(7)
    assert uneven.statistic.degrees_of_freedom() == 1


def test_many_methods_at_once_give_the_same_as_one_by_one() -> None:
    counts = np.random.default_rng(0).integers(0, 5, (4, 6, 3))
    one_by_one = [Score.of(each, "f1") - Score.of(counts[0], "f1") for each in counts]
    at_once = Score.of(counts, "f1") - Score.of(counts, "f1")[0:1]
    assert at_once.variance() == pytest.approx([float(each.variance()) for each in one_by_one])
    assert p_value(at_once) == pytest.approx([float(p_value(each)) for each in one_by_one])
    assert Score.stack([Score.of(each, "f1") for each in counts]).counts == pytest.approx(Score.of(counts, "f1").counts)


def test_p_is_1_without_a_difference_or_if_undefined() -> None:
    same = Score.of(np.array(HALF), "recall")
    single = Score.of(np.array([(1, 1, 0), (0, 0, 0)]), "f1")
    other = Score.of(np.array([(1, 0, 0), (0, 0, 0)]), "f1")
    assert p_value(same - same) == 1
    assert p_value(single - other) == 1


def test_holm_by_hand() -> None:
    """Smallest first: .01 x 3, .02 x 2, then never below the one before: .03 x 1 becomes .04."""
    assert holm(np.array([0.03, 0.01, 0.02])) == pytest.approx([0.04, 0.03, 0.04])
    assert holm(np.array([[0.6, 0.9], [0.01, 0.5]])) == pytest.approx(np.array([[1.0, 1.0], [0.02, 0.5]]))
    assert holm(np.zeros((1, 0))).shape == (1, 0)
