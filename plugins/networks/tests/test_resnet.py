from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from verifier_scene import IMPOSTERS, MITOSES, sample

from mitobench.api import Detections, Mitoses, PluginError
from mitobench.training import copy_weights, patch_fitting, runner
from mitobench.training.pretrained import read_tensors
from mitobench_networks.verifiers.network import UNUSED, ScaledResNet
from mitobench_networks.verifiers.resnet import ResNet18, ResNet50

pytestmark = pytest.mark.slow

TINY = {
    "width": 0.125,
    "patch": 32,
    "mpp": None,
    "normalise": "patch",
    "batch_size": 8,
    "optimizer": "adamw",
    "lr": 3e-3,
}


def tiny(cls=ResNet18, **options):
    return cls(cls.Options(**{**TINY, "iterations": 6, **options}))


@pytest.mark.parametrize(
    ("cls", "normalise"),
    [
        (ResNet18, "patch"),
        pytest.param(ResNet18, "imagenet", marks=pytest.mark.thorough),
        pytest.param(ResNet50, "patch", marks=pytest.mark.thorough),
    ],
)
def test_it_learns_to_distinguish_mitoses_from_imposters(cls, normalise, samples, context):
    verifier = tiny(cls, iterations=40, tta_views=4, normalise=normalise)
    verifier.fit(samples, [], context)
    unseen = sample(99)
    score = verifier.score(unseen.frame, Detections.from_points(np.concatenate([MITOSES, IMPOSTERS]), np.zeros(4)))
    assert score.shape == (4,)
    assert score.dtype == np.float64
    assert ((score >= 0) & (score <= 1)).all()
    assert score[:2].min() > score[2:].max()


def test_a_loaded_verifier_scores_as_the_saved_one(samples, context, tmp_path):
    verifier = tiny(tta_views=8)
    verifier.fit(samples, [], context)
    verifier.save(tmp_path)
    again = tiny(tta_views=8)
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
    verifier = tiny(tta_views=4)
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


@pytest.mark.parametrize(
    "stop_after",
    [
        pytest.param(2, marks=pytest.mark.thorough),
        pytest.param(5, marks=pytest.mark.thorough),
        pytest.param(8, marks=pytest.mark.thorough),
        11,
    ],
)
def test_an_interrupted_ensemble_with_mining_ends_with_the_same_weights(
    samples, context, tmp_path, monkeypatch, stop_after
):
    options = {
        "schedule": "cosine",
        "ensemble_size": 2,
        "hard_negative_rounds": 1,
        "ema": 0.5,
        "fields_of_view": (1, 2),
    }
    through, resumed = tiny(**options), tiny(**options)
    steps = []
    through.fit(samples, [], replace(context, work=tmp_path / "through", progress=lambda *done: steps.append(done)))
    assert steps == [(done, 12) for done in range(1, 13)]

    def killed(done, total):
        if done == stop_after:
            raise KeyboardInterrupt

    monkeypatch.setattr(runner, "CHECKPOINT_SECONDS", 0)
    with pytest.raises(KeyboardInterrupt):
        resumed.fit(samples, [], replace(context, progress=killed))
    resumed.fit(samples, [], context)
    assert _weights(resumed, tmp_path / "a") == _weights(through, tmp_path / "b")


def test_the_first_of_several_networks_is_the_one_that_would_be_trained_alone(samples, context, tmp_path):
    alone, first = tiny(), tiny(ensemble_size=2)
    alone.fit(samples, [], context)
    first.fit(samples, [], replace(context, work=tmp_path / "two"))
    one, other = (network.state_dict() for network in first._network.networks)
    assert all(torch.equal(tensor, one[name]) for name, tensor in alone._network.state_dict().items())
    assert not torch.equal(one["conv1.weight"], other["conv1.weight"])


def test_mining_draws_negatives_with_high_scores_more_often(samples, context, monkeypatch):
    streams = []
    monkeypatch.setattr("mitobench.training.train", lambda model, stream, context, **how: streams.append((stream, how)))
    monkeypatch.setattr(
        patch_fitting, "_scores", lambda network, stream, prepare: np.linspace(0, 1, len(stream.others))
    )
    tiny(hard_negative_rounds=2, iterations=7).fit(samples, [], context)
    assert [how["iterations"] for _, how in streams] == [2, 3, 2]
    assert streams[0][0].others.probabilities is None
    probabilities = streams[1][0].others.probabilities
    assert probabilities.sum() == pytest.approx(1)
    assert probabilities[0] == pytest.approx(0.5 / len(probabilities))
    assert probabilities[-1] > 2 * probabilities[0]


def test_a_wider_field_of_view_is_cut_wider(samples, context):
    stream = tiny(fields_of_view=(1, 2), shift=3)._stream(samples, context)
    assert stream.mitoses.pixels.shape[1:] == (70, 70, 3)
    assert stream.negatives.shape[1:] == (64, 64, 3)


def test_even_datasets_draws_every_data_set_equally_often(samples, context):
    other = [replace(one, frame=replace(one.frame, dataset="other")) for one in samples[:1]]
    together = [*samples, *other]
    assert tiny()._stream(together, context).mitoses.probabilities is None
    stream = tiny(even_datasets=True)._stream(together, context)
    for pool in (stream.mitoses, stream.others):
        assert pool.probabilities[pool.datasets == "other"].sum() == pytest.approx(0.5)


def test_soft_targets_are_learned_where_they_are_asked_for(samples, context):
    votes = np.full(len(samples[0].mitoses), 0.65)
    asked = [replace(one, mitoses=replace(one.mitoses, confidence=votes)) for one in samples]
    assert tiny()._stream(asked, context).mitoses.targets is None
    assert set(tiny(soft_targets=True)._stream(asked, context).mitoses.targets) == {0.65}


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
    assert tiny(train_rotations=turns)._stream(samples, context).share == pytest.approx(expected)


def test_the_record_counts_the_patches_as_the_paper_does(samples, context, caplog):
    """Each of four frames has two mitoses, annotated and detected, two imposters and three false detections."""
    with caplog.at_level("INFO", logger="test"):
        tiny(random_negatives=100)._stream(samples, context)
    counts = context.training_info["patches"]
    background = counts["background"]
    assert background > 40
    assert counts == {
        "annotated mitoses": 8,
        "detected mitoses": 8,
        "imposters": 8,
        "false detections": 12,
        "background": background,
        "rotations of a mitosis": 4,
        "total": 16 * 4 + 8 + 12 + background,
    }
    (line,) = caplog.messages
    assert "detected mitoses 8" in line
    assert f"total {84 + background}" in line


@pytest.mark.parametrize("turns", ["none", "all"])
def test_without_the_papers_copies_a_mitosis_counts_once(samples, context, turns):
    tiny(train_rotations=turns)._stream(samples, context)
    assert context.training_info["patches"]["rotations of a mitosis"] == 1
    assert context.training_info["patches"]["total"] == 36


def test_all_detections_above_the_floor_are_learned_from_whatever_the_gate_will_be(samples, context):
    tiny()._stream(samples, context)
    assert context.training_info["patches"]["false detections"] == 12  # of .7, .6 and .1
    tiny(candidates_floor=0.5)._stream(samples, context)
    assert context.training_info["patches"]["false detections"] == 8


@pytest.mark.parametrize(("positive", "views"), [(True, 8), (False, 2)])
def test_mitoses_come_turned_and_mirrored_and_others_mirrored_only(positive, views):
    patch = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    augment = ResNet50()._augment
    seen = {augment(patch, positive, np.random.default_rng(seed)).tobytes() for seed in range(100)}
    assert len(seen) == views
    assert {patch.tobytes(), patch[:, ::-1].tobytes()} <= seen


def test_patches_of_mitoses_alone_are_an_error(samples, context):
    only = [replace(s, mitoses=Mitoses(MITOSES)) for s in samples]
    with pytest.raises(PluginError, match=r"8 and 0.*random_negatives"):
        tiny(candidates_floor=2.0).fit(only, [], context)


# ------------------------------------------------------------------------------------------------ as published


@pytest.mark.parametrize("cls", [ResNet50, ResNet18])
def test_the_defaults_are_the_papers(cls):
    options = cls.Options()
    assert (options.patch, options.batch_size, options.iterations) == (96, 64, 12_000)
    assert (options.optimizer, options.lr, options.momentum, options.weight_decay) == ("sgd", 1e-2, 0.9, 1e-4)
    assert (options.schedule, options.train_rotations, options.mirror) == ("fixed", "mitoses", True)
    assert (options.normalise, options.pretrained, options.width) == ("imagenet", "auto", 1)
    assert (options.candidates_floor, options.positive_share, options.random_negatives) == (0, None, 0)
    assert (options.shift, options.stain_jitter, options.blur, options.jpeg) == (0, 0, 0, None)
    assert (options.fields_of_view, options.ensemble_size, options.hard_negative_rounds) == ((1,), 1, 0)
    assert (options.hed_jitter, options.ema) == (0, None)


def test_it_is_trained_as_published(samples, context, monkeypatch):
    calls = []
    monkeypatch.setattr("mitobench.training.train", lambda model, stream, context, **how: calls.append(how))
    ResNet50(ResNet50.Options(width=0.125, mpp=None)).fit(samples, [], context)
    sgd = {"type": "SGD", "lr": 1e-2, "momentum": 0.9, "weight_decay": 1e-4}
    expected = {"iterations": 12_000, "batch_size": 64, "optimizer": sgd, "schedule": []}
    expected |= {"ema": None, "name": "round-0"}
    assert calls == [expected]


def test_the_network_sees_a_patch_of_a_published_frame_as_it_is():
    """96 px at MITOS 2012's own resolution, not resized, ImageNet's mean taken out."""
    one = sample(0, mpp=0.2456)
    verifier = ResNet50()
    seen = []
    verifier._network = lambda images: seen.append(images) or torch.zeros(len(images), 1)
    verifier.score(one.frame, Detections.from_points([[80.0, 80.0]], [0.9]))
    (images,) = seen
    red = one.frame.read()[32:128, 32:128, 0]
    np.testing.assert_allclose(images[0, 0], (red / 255 - 0.485) / 0.229, atol=1e-5)


def test_a_shortened_run_shortens_the_cosine_too(samples, context, monkeypatch):
    calls = []
    monkeypatch.setattr("mitobench.training.train", lambda model, stream, context, **how: calls.append(how))
    tiny(schedule="cosine", iterations=7).fit(samples, [], context)
    assert [entry["T_max"] for entry in calls[0]["schedule"]] == [7]
    assert ResNet50.schedule == ("iterations",)


def test_only_scoring_reads_how_many_views_are_averaged():
    assert ResNet50.inference_options == ("tta_views",)


# ---------------------------------------------------------------------------------------------- pretrained weights


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """The weights folder; nothing is downloaded into it."""
    monkeypatch.setenv("MITOBENCH_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.delenv("MITOBENCH_ALLOW_DOWNLOAD", raising=False)
    (tmp_path / "weights").mkdir()
    return tmp_path / "weights"


def published(path: Path, depth: int, counters: bool, **changed) -> Path:
    """A file as torchvision publishes a ResNet, at the width of `TINY`, with random numbers except for `changed`."""
    generator = torch.Generator().manual_seed(7)
    tensors = {
        name: torch.rand(tensor.shape, generator=generator) if tensor.is_floating_point() else tensor
        for name, tensor in ScaledResNet(depth, TINY["width"]).imagenet().items()
        if counters or not name.endswith("num_batches_tracked")
    }
    tensors |= {"fc.weight": torch.zeros(1000, 8), "fc.bias": torch.zeros(1000), **changed}
    if path.suffix == ".npz":
        np.savez(path, **{name: tensor.numpy() for name, tensor in tensors.items()})
    else:
        save_file(tensors, path)
    return path


@pytest.mark.parametrize(
    ("cls", "name"),
    [(ResNet50, "ResNet50_Weights.IMAGENET1K_V1"), (ResNet18, "ResNet18_Weights.IMAGENET1K_V1")],
)
def test_auto_uses_imagenet_weights_if_they_fit(weights, cls, name):
    (weights / f"{name}.npz").touch()
    assert cls.pretrained(cls.Options()) == weights / f"{name}.npz"
    assert cls.pretrained(cls.Options(width=0.5)) is None
    assert cls.pretrained(cls.Options(pretrained="none")) is None
    mine = str(weights / f"{name}.npz")
    assert cls.pretrained(cls.Options(pretrained=mine, width=0.5)) == weights / f"{name}.npz"


@pytest.mark.parametrize(("cls", "depth"), [(ResNet50, 50), (ResNet18, 18)])
@pytest.mark.parametrize(("file", "counters"), [("w.safetensors", True), ("w.npz", False)])
def test_training_starts_from_the_weights_of_the_file(samples, context, weights, cls, depth, file, counters):
    path = published(weights / file, depth, counters)
    verifier = tiny(cls, optimizer="sgd", lr=1e-30, iterations=1)
    verifier.fit(samples, [], replace(context, pretrained=path))
    state, given = verifier._network.state_dict(), read_tensors(path)
    learned = [name for name, _ in verifier._network.named_parameters() if not name.startswith("fc.")]
    assert all(torch.equal(state[name], given[name]) for name in learned)


def test_running_means_start_from_the_file_too(weights):
    path = published(weights / "w.npz", 18, counters=False)
    network = ScaledResNet(18, TINY["width"])
    copy_weights(path, network.imagenet(), UNUSED)
    assert torch.equal(network.bn1.running_mean, read_tensors(path)["bn1.running_mean"])


def test_a_file_that_does_not_fit_lists_its_tensors(samples, context, weights):
    path = published(weights / "w.npz", 18, True, **{"bn1.bias": torch.zeros(5), "extra": torch.ones(1)})
    with pytest.raises(PluginError) as error:
        tiny(ResNet50).fit(samples, [], replace(context, pretrained=path))
    for message in ("missing layer1.0.conv3.weight", "unexpected extra", "bn1.bias is (5,), must be (8,)"):
        assert message in str(error.value)
