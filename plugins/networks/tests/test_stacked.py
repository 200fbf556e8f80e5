"""`stacked`: a classifier over scores and box features, kept as numbers and cross-fitted by slide."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import logit
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from mitobench import contract
from mitobench.api import Detections, Frame, PluginError, Validation
from mitobench_networks.fusers import models
from mitobench_networks.fusers.features import NAMES, Surroundings, features
from mitobench_networks.fusers.stacked import FILE, Stacked

BOTH = ["logistic", "boosting"]
MPP = 0.25
AROUND = Surroundings(radius_um=500, number=64, density_um=50)


def frame(number: int, group: str, mpp: float = MPP) -> Frame:
    return Frame(f"F{number:02}", "toy", group, "A", (mpp, mpp), (400, 400), lambda: np.zeros((400, 400, 3), np.uint8))


def validation(groups: list[str], each: int = 40, seed: int = 3) -> Validation:
    """Mitoses have wider boxes; neither of the scores knows anything."""
    rng = np.random.default_rng(seed)
    frames = [frame(number, group) for number, group in enumerate(groups)]
    labels, found = [], []
    for _ in frames:
        is_mitosis = rng.random(each) < 0.4
        xy = rng.uniform(30, 370, (each, 2))
        half = np.where(is_mitosis, rng.normal(20, 2, each), rng.normal(14, 2, each))[:, None]
        found.append(Detections(xy, np.concatenate([xy - half, xy + half], axis=1), rng.uniform(0.1, 0.9, each)))
        labels.append(is_mitosis)
    scores = np.concatenate([d.score for d in found])
    return Validation(scores, rng.permutation(scores), np.concatenate(labels), lambda s: 0.0, frames, found)


def fitted(data: Validation, **options: Any) -> Stacked:
    fuser = Stacked(Stacked.Options(**options))
    fuser.fit(data)
    return fuser


def fuse(fuser: Stacked, data: Validation) -> Any:
    return fuser.fuse_candidates(data.detector, data.verifier, data.frames, data.detections)


def auc(scores: Any, labels: Any) -> float:
    positive, negative = scores[labels], scores[~labels]
    return float((positive[:, None] > negative).mean() + (positive[:, None] == negative).mean() / 2)


@pytest.mark.parametrize("check", contract.checks("fuser", "stacked"), ids=str)
def test_contract(check: contract.Check) -> None:
    check()


@pytest.mark.parametrize("check", contract.checks("fuser", "stacked", ["fuser.model=boosting"]), ids=str)
def test_contract_of_boosting(check: contract.Check) -> None:
    check()


class TestLearning:
    @pytest.mark.parametrize("model", BOTH)
    def test_it_learns_from_boxes_what_the_scores_do_not_know(self, model: str) -> None:
        data, other = validation(["1", "2", "3"]), validation(["8", "9"], seed=4)
        assert auc(data.detector, data.is_mitosis) < 0.65
        assert auc(fuse(fitted(data, model=model), other), other.is_mitosis) > 0.9

    def test_the_logistic_regression_is_that_of_scikit_learn(self) -> None:
        data = validation(["1", "2"])
        fuser = fitted(data)
        values = fuser._features(data.detector, data.verifier, data.frames, data.detections).astype(float)
        values = (values - values.mean(axis=0)) / values.std(axis=0)
        expected = LogisticRegression(C=0.1, max_iter=1_000).fit(values, data.is_mitosis).predict_proba(values)[:, 1]
        assert fuse(fuser, data) == pytest.approx(expected, abs=1e-9)

    def test_the_trees_are_those_of_scikit_learn(self) -> None:
        data = validation(["1", "2"])
        fuser = fitted(data, model="boosting", trees=20, depth=3)
        values = fuser._features(data.detector, data.verifier, data.frames, data.detections)
        theirs = GradientBoostingClassifier(
            n_estimators=20, max_depth=3, learning_rate=0.1, min_samples_leaf=5, random_state=0
        ).fit(values, data.is_mitosis)
        assert fuse(fuser, data) == pytest.approx(theirs.predict_proba(values)[:, 1], abs=1e-12)

    def test_extra_arrays_of_the_detections_are_used(self) -> None:
        data = validation(["1", "2"])
        ends = np.cumsum([len(found) for found in data.detections])[:-1]
        parts = np.split(data.is_mitosis, ends)
        rich = [
            Detections(d.xy, np.tile([0.0, 0, 30, 30], (len(d), 1)), d.score, extra={"hint": p.astype(float)})
            for d, p in zip(data.detections, parts, strict=True)
        ]
        hinted = Validation(data.detector, data.verifier, data.is_mitosis, data.best_f1, data.frames, rich)
        assert auc(fuse(fitted(hinted, extra=["hint"]), hinted), hinted.is_mitosis) == 1
        assert auc(fuse(fitted(hinted), hinted), hinted.is_mitosis) < 0.8
        with pytest.raises(PluginError, match=r"no extra array 'hint'\. Available: none"):
            fitted(data, extra=["hint"])


class TestCrossFitting:
    def test_scores_do_not_know_the_labels_of_their_own_slide(self) -> None:
        """With noise alone, scores of its own candidates look good and cross-fitted ones do not."""
        data = validation(["1", "2", "3", "4"])
        noise = Validation(
            data.detector,
            data.verifier,
            np.random.default_rng(0).permutation(data.is_mitosis),
            data.best_f1,
            data.frames,
            data.detections,
        )
        fuser = fitted(noise, model="boosting", depth=4, trees=200)
        cross_fitted = fuser.cross_fitted()
        assert cross_fitted is not None
        assert auc(fuse(fuser, noise), noise.is_mitosis) > 0.95
        assert 0.3 < auc(cross_fitted, noise.is_mitosis) < 0.7

    def test_a_label_changes_no_score_of_its_own_slide(self) -> None:
        data = validation(["1", "1", "2", "3"])
        labels = data.is_mitosis.copy()
        labels[:80] = ~labels[:80]  # of both frames of slide 1
        changed = Validation(data.detector, data.verifier, labels, data.best_f1, data.frames, data.detections)
        before, after = fitted(data, folds=3).cross_fitted(), fitted(changed, folds=3).cross_fitted()
        assert before is not None
        assert after is not None
        assert np.array_equal(before[:80], after[:80])
        assert not np.array_equal(before[80:], after[80:])

    @pytest.mark.parametrize(
        ("groups", "by", "number"),
        [(["1", "2", "3"], "slide", 3), (list("1234567"), "slide", 5), (["1", "1"], "frame", 2), (["1"], "none", 0)],
    )
    def test_the_record_says_how_it_was_done(self, groups: list[str], by: str, number: int) -> None:
        fuser = fitted(validation(groups))
        assert fuser.chosen()["cross_fitting"] == {"by": by, "number": number}
        assert (fuser.cross_fitted() is None) == (by == "none")


class TestFeatures:
    def test_sizes_are_in_um(self) -> None:
        found = Detections(np.array([[50.0, 50]]), np.array([[30.0, 40, 70, 60]]), np.array([0.5]))
        half = np.array([0.5])
        columns = dict(
            zip(NAMES, features((half, half), (True, True), [frame(1, "1", 0.5)], [found], AROUND)[0], strict=True)
        )
        assert np.exp([columns["width"], columns["height"], columns["area"]]) == pytest.approx([20, 10, 200], rel=1e-5)
        assert columns["detector score"] == 0
        assert columns["density"] == columns["rank by detector"] == 0

    def test_candidates_are_compared_with_those_near_them_on_the_same_frame(self) -> None:
        one = Detections.from_points([[10, 10], [20, 10], [30, 10], [390, 390]], [0.2, 0.9, 0.4, 0.5])
        two = Detections.from_points([[10, 10]], [0.1])
        score = np.array([0.2, 0.9, 0.4, 0.5, 0.1])
        around = Surroundings(radius_um=21, number=3, density_um=12)
        values = features((score, score), (False, True), [frame(1, "1", 1.0), frame(2, "2", 1.0)], [one, two], around)
        columns = dict(zip(NAMES, values.T, strict=True))
        assert columns["detector score above its surroundings"] == pytest.approx([-0.2, 0.5, 0, 0, 0], abs=1e-6)
        expected = [logit(0.2) - logit(0.4), logit(0.9) - logit(0.4), 0, 0, 0]
        assert columns["verifier score above its surroundings"] == pytest.approx(expected, abs=1e-5)
        assert np.expm1(columns["rank by detector"]) == pytest.approx([2, 0, 1, 0, 0], abs=1e-6)
        assert np.expm1(columns["density"]) == pytest.approx([1, 2, 1, 0, 0], abs=1e-6)

    def test_no_more_than_the_nearest_ones_are_compared(self) -> None:
        found = Detections.from_points([[10, 10], [12, 10], [20, 10]], [0.5, 0.1, 0.9])
        values = features(
            (found.score, found.score), (False, False), [frame(1, "1", 1.0)], [found], Surroundings(100, 2, 100)
        )
        assert values[0, NAMES.index("detector score above its surroundings")] == pytest.approx(0.2)
        assert values[0, NAMES.index("rank by detector")] == 0

    def test_a_larger_image_does_not_change_what_is_known_of_a_candidate(self) -> None:
        rng = np.random.default_rng(0)
        here, there = rng.uniform(0, 100, (40, 2)), rng.uniform(2_000, 3_000, (400, 2))
        score = rng.uniform(0, 1, 440)
        small, large = Detections.from_points(here, score[:40]), Detections.from_points([*here, *there], score)
        alone, beside = (
            features((found.score, found.score), (True, True), [frame(1, "1", 1.0)], [found], AROUND)
            for found in (small, large)
        )
        assert np.array_equal(alone, beside[:40])

    def test_frames_without_candidates_have_no_features(self) -> None:
        none = np.zeros(0)
        for frames in ([], [frame(1, "1")]):
            found = [Detections.from_points([], [])] * len(frames)
            assert features((none, none), (True, True), frames, found, AROUND).shape == (0, len(NAMES))

    def test_scores_that_are_no_probabilities_and_boxes_without_area_are_accepted(self) -> None:
        data = validation(["1", "2"])
        flat = [Detections(d.xy, np.repeat(d.xy, 2, axis=1), np.log(d.score)) for d in data.detections]
        odd = Validation(np.log(data.detector), data.verifier, data.is_mitosis, data.best_f1, data.frames, flat)
        assert np.isfinite(fuse(fitted(odd), odd)).all()


class TestSaving:
    @pytest.mark.parametrize("model", BOTH)
    def test_nothing_but_json_is_written_and_the_scores_stay_the_same(self, model: str, tmp_path: Path) -> None:
        data = validation(["1", "2", "3"])
        fuser = fitted(data, model=model)
        fuser.save(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == [FILE]
        json.loads((tmp_path / FILE).read_text())
        again, restored = Stacked(fuser.options), Stacked(fuser.options)
        again.load(tmp_path)
        restored.restore(json.loads(json.dumps(fuser.chosen())))
        for other in (again, restored):
            assert np.array_equal(fuse(other, data), fuse(fuser, data))
            assert other.chosen() == fuser.chosen()

    @pytest.mark.parametrize(
        "change",
        [
            lambda c: c.pop("model"),
            lambda c: c.update(features=["x"]),
            lambda c: c.update(probabilities=[1, 0]),
            lambda c: c["cross_fitting"].update(number=10**9),
            lambda c: c["model"].update(kind="pickle"),
            lambda c: c["model"].update(trees=[]) or c["model"].update(count=3),
            lambda c: c["model"]["trees"][0]["left"].__setitem__(0, 0),
            lambda c: c["model"]["trees"][0]["left"].__setitem__(0, 10**6),
            lambda c: c["model"]["trees"][0]["feature"].__setitem__(0, 50),
            lambda c: c["model"]["trees"][0]["value"].pop(),
            lambda c: c["model"]["trees"][0]["value"].__setitem__(0, "1"),
            lambda c: c["model"].update(trees=c["model"]["trees"] * 200),
            lambda c: c["model"].update(offset=float("inf")),
            lambda c: c["model"].update(trees=3),
        ],
    )
    def test_what_it_cannot_have_chosen_is_refused(self, change: Any) -> None:
        fuser = fitted(validation(["1", "2"]), model="boosting", trees=10)
        chosen = json.loads(json.dumps(fuser.chosen()))
        change(chosen)
        with pytest.raises(PluginError, match="cannot have chosen this"):
            Stacked(fuser.options).restore(chosen)

    @pytest.mark.parametrize("key", ["mean", "deviation", "weights"])
    def test_a_logistic_regression_is_checked_too(self, key: str) -> None:
        chosen = json.loads(json.dumps(fitted(validation(["1", "2"])).chosen()))
        chosen["model"][key] = chosen["model"][key][1:]
        with pytest.raises(PluginError, match="cannot have chosen this"):
            Stacked().restore(chosen)

    def test_a_pickle_is_not_read(self, tmp_path: Path) -> None:
        (tmp_path / FILE).write_bytes(pickle.dumps({"model": 1}))
        with pytest.raises(PluginError, match="was not written by stacked"):
            Stacked().load(tmp_path)

    def test_scores_alone_are_not_enough(self) -> None:
        with pytest.raises(PluginError, match="needs the candidates"):
            Stacked().fuse(np.zeros(1), np.zeros(1))


def test_a_tree_ends_in_a_leaf_whatever_the_input() -> None:
    tree = models.Tree.read(
        {
            "feature": [0, -1, -1],
            "threshold": [0.5, 0.0, 0.0],
            "left": [1, 0, 0],
            "right": [2, 0, 0],
            "value": [0, 1, 2],
        },
        count=1,
    )
    assert tree(np.array([[0.2], [0.5], [0.9]], np.float32)).tolist() == [1, 1, 2]
