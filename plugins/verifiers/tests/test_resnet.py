from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from verifier_scene import IMPOSTERS, MITOSES, sample

from mitobench.api import Detections, Mitoses, PluginError
from mitobench.training import runner
from mitobench_verifiers.resnet import ResNet18, ResNet50

TINY = {"width": 0.125, "patch": 32, "mpp": None, "batch_size": 8, "optimizer": "adamw", "lr": 3e-3}


def tiny(cls=ResNet18, **options):
    return cls(cls.Options(**{**TINY, "iterations": 6, **options}))


@pytest.mark.parametrize("cls", [ResNet18, ResNet50])
def test_it_learns_to_tell_mitoses_from_imposters(cls, samples, context):
    verifier = tiny(cls, iterations=40, test_turns=4)
    verifier.fit(samples, [], context)
    unseen = sample(99)
    score = verifier.score(unseen.frame, Detections.from_points(np.concatenate([MITOSES, IMPOSTERS]), np.zeros(4)))
    assert score.shape == (4,)
    assert score.dtype == np.float64
    assert ((score >= 0) & (score <= 1)).all()
    assert score[:2].min() > score[2:].max()


def test_a_loaded_verifier_scores_as_the_saved_one(samples, context, tmp_path):
    verifier = tiny(test_turns=8)
    verifier.fit(samples, [], context)
    verifier.save(tmp_path)
    again = tiny(test_turns=8)
    again.load(tmp_path)
    one = samples[0]
    np.testing.assert_array_equal(verifier.score(one.frame, one.candidates), again.score(one.frame, one.candidates))


def test_scores_follow_the_order_of_the_detections(samples, context):
    verifier = tiny()
    verifier.fit(samples, [], context)
    frame, candidates = samples[0].frame, samples[0].candidates
    found = Detections(candidates.xy, candidates.boxes, candidates.score)
    order = np.array([3, 0, 4, 2, 1])
    np.testing.assert_allclose(verifier.score(frame, found[order]), verifier.score(frame, found)[order], rtol=1e-5)


def test_averaged_over_all_turns_a_turned_frame_scores_the_same(samples, context):
    verifier = tiny(test_turns=4)
    verifier.fit(samples, [], context)
    frame = samples[0].frame
    turned = replace(frame, id="turned", reader=lambda: np.rot90(frame.read()))
    x, y = MITOSES.T
    found = Detections.from_points(MITOSES, [0, 0])
    there = Detections.from_points(np.stack([y, frame.size[0] - x], axis=1), [0, 0])
    np.testing.assert_allclose(verifier.score(frame, found), verifier.score(turned, there), rtol=1e-3)


def test_a_frame_without_detections_is_not_even_read(samples, context):
    verifier = tiny()
    verifier.fit(samples, [], context)
    unreadable = replace(samples[0].frame, reader=lambda: 1 / 0)
    assert verifier.score(unreadable, Detections.none()).shape == (0,)


def test_an_interrupted_training_ends_with_the_same_weights(samples, context, tmp_path, monkeypatch):
    through, resumed = tiny(schedule="cosine"), tiny(schedule="cosine")
    through.fit(samples, [], replace(context, work=tmp_path / "through"))

    def killed(done, total):
        if done == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(runner, "CHECKPOINT_SECONDS", 0)
    with pytest.raises(KeyboardInterrupt):
        resumed.fit(samples, [], replace(context, progress=killed))
    steps = []
    resumed.fit(samples, [], replace(context, progress=lambda done, total: steps.append(done)))
    assert steps[0] == 4  # the three before were not done again
    assert _weights(resumed, tmp_path / "a") == _weights(through, tmp_path / "b")


def test_another_seed_gives_other_weights(samples, context, tmp_path):
    one, other = tiny(), tiny()
    one.fit(samples, [], context)
    other.fit(samples, [], replace(context, seed=4, work=tmp_path / "other"))
    assert _weights(one, tmp_path / "a") != _weights(other, tmp_path / "b")


def _weights(verifier, folder: Path) -> bytes:
    folder.mkdir()
    verifier.save(folder)
    return (folder / "weights.safetensors").read_bytes()


@pytest.mark.parametrize(("turns", "expected"), [("none", 16 / 36), ("mitoses", 64 / 84), ("all", 16 / 36)])
def test_turned_mitoses_count_four_times_as_the_papers_copies_do(samples, context, turns, expected):
    assert tiny(turns=turns)._stream(samples, context).share == pytest.approx(expected)


def test_nothing_to_tell_mitoses_from_is_told(samples, context):
    only = [replace(s, mitoses=Mitoses(MITOSES)) for s in samples]
    with pytest.raises(PluginError, match=r"8 and 0.*random_negatives"):
        tiny(candidates_floor=2.0).fit(only, [], context)


def test_the_defaults_are_the_papers():
    options = ResNet50.Options()
    assert (options.patch, options.batch_size, options.iterations) == (96, 64, 12_000)
    assert (options.optimizer, options.lr, options.momentum, options.weight_decay) == ("sgd", 1e-2, 0.9, 1e-4)
    assert (options.schedule, options.turns, options.mirror) == ("fixed", "mitoses", True)
