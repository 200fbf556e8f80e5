from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mitobench.api import PluginError, Validation
from mitobench.methods.linear import Linear, _middle_of_longest_run
from mitobench.methods.logit_linear import LogitLinear

BOTH = pytest.mark.parametrize("cls", [Linear, LogitLinear])
probabilities = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=20)


def validation(f1_of_w, cls=Linear):
    """Returns validation data with F1 `f1_of_w(weight)`, the weight being derived from a candidate's fused score."""
    low, high = np.array([0.2]), np.array([0.8])
    grid = [cls()._sum(w, high, low)[0] for w in np.linspace(0, 1, 21)]
    return Validation(high, low, np.array([True]), lambda fused: f1_of_w(np.argmin(abs(grid - fused[0])) / 20))


@BOTH
@pytest.mark.parametrize("best", [0.0, 0.35, 1.0])
def test_the_weight_of_the_best_validation_f1_is_chosen(cls, best):
    fuser = cls()
    fuser.fit(validation(lambda w: 1 - abs(w - best), cls))
    assert fuser.chosen()["w"] == pytest.approx(best)


@BOTH
def test_a_run_may_choose_by_another_quality_than_f1_and_the_curve_still_holds_f1(cls):
    by_f1 = validation(lambda w: 1 - abs(w - 0.2), cls)
    fuser = cls()
    fuser.fit(replace(by_f1, choose_by=validation(lambda w: 1 - abs(w - 0.7), cls).best_f1))
    assert fuser.chosen()["w"] == pytest.approx(0.7)
    assert max(fuser.chosen()["curve"], key=lambda point: point[1])[0] == pytest.approx(0.2)


def test_among_equal_weights_the_middle_of_the_longest_run_is_chosen():
    fuser = Linear()
    fuser.fit(validation(lambda w: float(0.09 < w < 0.16 or 0.49 < w < 0.81)))
    assert fuser.chosen()["w"] == pytest.approx(0.65)


def test_the_curve_holds_every_weight_tried_with_its_f1():
    fuser = Linear(Linear.Options(step=0.25))
    fuser.fit(validation(lambda w: w))
    assert fuser.chosen()["curve"] == [[0.0, 0.0], [0.25, 0.25], [0.5, 0.5], [0.75, 0.75], [1.0, 1.0]]


def test_with_an_undefined_f1_the_middle_weight_is_chosen():
    fuser = Linear()
    fuser.fit(validation(lambda w: float("nan")))
    assert fuser.chosen()["w"] == 0.5


def test_linear_returns_the_weighted_sum():
    fused = Linear().fuse(np.array([1.0, 0.2]), np.array([0.0, 0.6]))  # w is .5 before it is fitted
    np.testing.assert_allclose(fused, [0.5, 0.4])


def test_logit_linear_returns_the_weighted_sum_of_logits():
    # logits of .9 and .5 are ln 9 and 0; half of ln 9 is ln 3, whose probability is 3 / 4
    np.testing.assert_allclose(LogitLinear().fuse(np.array([0.9]), np.array([0.5])), [0.75])


def test_logits_distinguish_scores_close_to_one_that_a_plain_sum_does_not():
    detector, verifier = np.array([0.9999, 0.99]), np.array([0.5, 0.52])
    assert np.argmax(Linear().fuse(detector, verifier)) == 1
    assert np.argmax(LogitLinear().fuse(detector, verifier)) == 0


@BOTH
@given(scores=probabilities)
def test_fused_probabilities_are_finite_aligned_and_between_their_parts(cls, scores):
    detector, verifier = np.array(scores).T
    fused = cls().fuse(detector, verifier)
    assert fused.shape == detector.shape
    assert (fused >= np.minimum(detector, verifier) - 1e-5).all()
    assert (fused <= np.maximum(detector, verifier) + 1e-5).all()


@pytest.mark.parametrize("fuser", [LogitLinear(), Linear(Linear.Options(calibration="platt"))], ids=lambda f: f.name)
@pytest.mark.parametrize("scores", [[-50.0, 12.0], [0.5, 1.1], [-0.1, 0.5]])
def test_scores_without_logits_are_refused(fuser, scores):
    good, bad = np.array([0.2, 0.7]), np.array(scores)
    is_mitosis = np.array([False, True])
    message = f"the detector's scores range from {scores[0]:g} to {scores[1]:g}. Use the fuser linear without"
    with pytest.raises(PluginError, match=message):
        fuser.fit(Validation(bad, good, is_mitosis, lambda fused: 1.0))
    with pytest.raises(PluginError, match="the verifier's scores range"):
        fuser.fit(Validation(good, bad, is_mitosis, lambda fused: 1.0))
    Linear().fit(Validation(bad, good, is_mitosis, lambda fused: 1.0))
    fuser.fit(Validation(np.array([0.0, 1.0]), good, is_mitosis, lambda fused: 1.0))


@BOTH
def test_no_candidates_give_no_scores(cls):
    assert cls().fuse(np.zeros(0), np.zeros(0)).shape == (0,)


@BOTH
def test_a_loaded_fuser_fuses_as_the_saved_one(cls, tmp_path):
    fuser, again = cls(), cls()
    fuser.fit(validation(lambda w: -abs(w - 0.3), cls))
    fuser.save(tmp_path)
    again.load(tmp_path)
    detector, verifier = np.random.default_rng(0).random((2, 9))
    np.testing.assert_array_equal(again.fuse(detector, verifier), fuser.fuse(detector, verifier))
    assert again.chosen() == fuser.chosen()


@pytest.mark.parametrize("step", [0, 1.5])
def test_an_invalid_step_is_rejected(step):
    with pytest.raises(ValidationError):
        Linear.Options(step=step)


@given(flags=st.lists(st.booleans(), min_size=1, max_size=30).filter(any))
def test_the_middle_of_the_longest_run_lies_in_it(flags):
    runs = "".join("x" if flag else " " for flag in flags).split(" ")
    longest = max(len(run) for run in runs)
    middle = _middle_of_longest_run(np.array(flags))
    assert all(flags[middle - (longest - 1) // 2 : middle + longest // 2 + 1])
