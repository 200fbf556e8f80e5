import numpy as np
import pytest
from scipy.special import expit, logit

from mitobench.methods.calibration import Calibration, Platt
from mitobench.methods.linear import Linear
from mitobench.methods.logit_linear import LogitLinear


def candidates(slope=2.5, offset=-1.0, n=20_000):
    """Returns scores, and labels that are true with probability expit(slope * logit(score) + offset)."""
    rng = np.random.default_rng(0)
    scores = expit(rng.normal(0, 1.5, n))
    return scores, rng.random(n) < expit(slope * logit(scores) + offset)


def test_the_calibration_curve_of_the_candidates_is_recovered():
    found = Platt.fit(*candidates())
    assert found.slope == pytest.approx(2.5, rel=0.05)
    assert found.offset == pytest.approx(-1.0, rel=0.05)


def test_a_calibrated_score_is_the_share_of_mitoses_at_that_score():
    scores, is_mitosis = candidates(slope=0.3, offset=-2.0)
    calibrated = Platt.fit(scores, is_mitosis)(scores)
    for low in np.quantile(calibrated, [0, 0.25, 0.5, 0.75]):
        some = (calibrated >= low) & (calibrated < low + 0.05)
        assert is_mitosis[some].mean() == pytest.approx(calibrated[some].mean(), abs=0.03)


def test_it_keeps_the_order_of_scores_even_if_high_scores_are_wrong():
    scores, is_mitosis = candidates()
    assert (np.diff(Platt.fit(scores, is_mitosis)(np.linspace(0.01, 0.99, 50))) > 0).all()
    assert Platt.fit(scores, ~is_mitosis).slope == 0


def test_calibration_stays_finite_for_few_perfectly_separated_candidates():
    platt = Platt.fit(np.array([0.1, 0.2, 0.8, 0.9]), np.array([False, False, True, True]))
    assert (np.abs([platt.slope, platt.offset]) < 100).all()


@pytest.mark.parametrize("truth", [np.zeros(3, bool), np.ones(3, bool), np.zeros(0, bool)])
def test_with_one_class_only_scores_are_unchanged(truth):
    scores = np.linspace(0.1, 0.9, len(truth))
    np.testing.assert_allclose(Platt.fit(scores, truth)(scores), scores)


@pytest.mark.parametrize("cls", [Linear, LogitLinear])
def test_a_fuser_calibrates_both_scores_and_a_loaded_one_too(cls, tmp_path):
    from mitobench.api import Validation

    detector, is_mitosis = candidates(slope=0.2, n=500)
    verifier = np.random.default_rng(1).random(500)
    fuser, again = (cls(cls.Options(calibration="platt")) for _ in range(2))
    fuser.fit(Validation(detector, verifier, is_mitosis, lambda fused: float(fused[is_mitosis].mean())))
    w = fuser.chosen()["w"]
    calibrated = [Platt.fit(scores, is_mitosis)(scores) for scores in (detector, verifier)]
    np.testing.assert_allclose(fuser.fuse(detector, verifier), cls()._sum(w, *calibrated))
    fuser.save(tmp_path)
    again.load(tmp_path)
    np.testing.assert_array_equal(again.fuse(detector, verifier), fuser.fuse(detector, verifier))
    assert set(fuser.chosen()["platt"]) == {"detector", "verifier"}


def test_by_default_nothing_is_calibrated():
    assert Linear().options.calibration == "none"
    assert "platt" not in Linear().chosen()


class TestCalibrationOfAnyScores:
    def test_it_gives_the_frequency_of_mitoses(self) -> None:
        rng = np.random.default_rng(3)
        scores = rng.uniform(0.8, 1, 2000)
        is_mitosis = rng.random(2000) < (scores - 0.8) * 5
        curve = Calibration.fit(scores, is_mitosis)
        assert curve(np.array([0.85])) == pytest.approx(0.25, abs=0.1)
        assert curve(np.array([0.95])) == pytest.approx(0.75, abs=0.1)

    @pytest.mark.parametrize("worse", [False, True], ids=["informative", "worse than chance"])
    @pytest.mark.parametrize(("low", "high"), [(0, 1), (-300, -1), (50, 5000)])
    def test_it_keeps_the_order_of_any_scores(self, low: float, high: float, worse: bool) -> None:
        scores = np.linspace(low, high, 50)[1:-1]
        is_mitosis = (scores < np.median(scores)) if worse else (scores > np.median(scores))
        curve = Calibration.fit(scores, is_mitosis)
        found = curve(scores)
        assert (np.diff(found) > 0).all()
        assert ((found >= 0) & (found <= 1)).all()

    @pytest.mark.parametrize("count", [0, 1, 5])
    @pytest.mark.parametrize("kind", [True, False])
    def test_scores_keep_their_values_if_validation_has_one_kind_of_candidate_only(
        self, count: int, kind: bool
    ) -> None:
        curve = Calibration.fit(np.linspace(0.1, 0.9, count), np.full(count, kind))
        np.testing.assert_allclose(curve(np.array([0.2, 0.7])), [0.2, 0.7])

    def test_scores_that_are_all_equal_keep_their_values(self) -> None:
        curve = Calibration.fit(np.full(4, 0.3), np.array([True, False, False, False]))
        assert curve(np.array([0.3])) == pytest.approx(0.3)

    def test_not_found_counts_as_the_lowest_probability_on_validation(self) -> None:
        scores, is_mitosis = np.array([0.1, 0.2, 0.3, 0.8, 0.9]), np.array([False, False, True, False, True])
        curve = Calibration.fit(scores, is_mitosis)
        assert curve.lowest == pytest.approx(min(0.01, curve(scores).min()))
        assert Calibration.none(scores / 100).lowest == pytest.approx(0.001)
        assert 0 < Calibration.none(np.array([0.0, 1.0])).lowest < 1e-3
        assert Calibration.none(np.zeros(0)).lowest == 0.01

    @pytest.mark.parametrize("count", [0, 1, 5])
    def test_not_found_never_speaks_for_a_mitosis(self, count: int) -> None:
        """A detector that is sure of all that it finds may still miss mitoses, but what it misses is rarely one."""
        sure = np.linspace(0.9, 0.99, count)
        assert Calibration.fit(sure, np.ones(count, dtype=bool)).lowest == 0.01
        assert Calibration.none(sure).lowest == 0.01
