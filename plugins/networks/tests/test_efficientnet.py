import os
from dataclasses import replace

import numpy as np
import pytest
import skimage.data
import timm
import torch
from safetensors.torch import load_file, save_file
from verifier_scene import IMPOSTERS, MITOSES, sample

from mitobench.api import Detections, PluginError
from mitobench.training import pretrained
from mitobench_networks.verifiers.efficientnet import ARCHITECTURE, EfficientNetLite0

pytestmark = pytest.mark.slow

TINY = {"patch": 32, "mpp": None, "batch_size": 8, "optimizer": "adamw", "lr": 3e-3, "iterations": 2}
TABBY, TIGER_CAT, EGYPTIAN_CAT = 281, 282, 285  # of ImageNet's classes


def tiny(**options):
    return EfficientNetLite0(EfficientNetLite0.Options(**{**TINY, **options}))


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """A weights folder that does not exist yet; nothing is downloaded into it."""
    pretrained._stored.cache_clear()
    monkeypatch.setenv("MITOBENCH_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.delenv("MITOBENCH_ALLOW_DOWNLOAD", raising=False)
    return tmp_path / "weights"


@pytest.mark.thorough
def test_it_learns_to_distinguish_mitoses_from_imposters(samples, context, weights):
    verifier = tiny(iterations=25, lr=1e-3, tta_views=4)
    verifier.fit(samples, [], replace(context, pretrained=EfficientNetLite0.pretrained(verifier.options)))
    unseen = sample(99)
    score = verifier.score(unseen.frame, Detections.from_points(np.concatenate([MITOSES, IMPOSTERS]), np.zeros(4)))
    assert score[:2].min() > score[2:].max()


def test_a_loaded_verifier_scores_as_the_saved_one(samples, context, tmp_path):
    verifier, again = tiny(ensemble_size=2, enlarged=48), tiny(ensemble_size=2, enlarged=48)
    verifier.fit(samples, [], context)
    verifier.save(tmp_path)
    again.load(tmp_path)
    one = samples[0]
    np.testing.assert_array_equal(verifier.score(one.frame, one.candidates), again.score(one.frame, one.candidates))


def test_the_network_has_timms_tensors_but_for_the_one_logit():
    ours, theirs = tiny().untrained().state_dict(), timm.create_model(ARCHITECTURE).state_dict()
    different = {name for name in theirs if ours[name].shape != theirs[name].shape}
    assert different == {"classifier.weight", "classifier.bias"}
    assert tiny().untrained()(torch.zeros(2, 3, 32, 32)).shape == (2, 1)


def test_a_new_network_gives_logits_close_to_zero(weights):
    """Large logits would make the first training steps destroy the pretrained weights of the other layers."""
    torch.manual_seed(0)
    verifier = tiny()
    network = verifier.untrained().eval()
    verifier.start(network, EfficientNetLite0.pretrained(verifier.options))
    patches = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8))
    assert network(verifier.prepare(patches)).abs().max() < 1


def test_a_patch_is_seen_as_the_weights_expect_it_and_enlarged_where_that_is_asked_for():
    patches = torch.tensor([255, 0, 51], dtype=torch.uint8).expand(2, 32, 32, 3)
    assert tiny().prepare(patches).shape == (2, 3, 32, 32)
    images = tiny(enlarged=48).prepare(patches)
    assert images.shape == (2, 3, 48, 48)
    np.testing.assert_allclose(images[0, :, 24, 24], [1, -1, -0.6], atol=1e-5)
    assert torch.allclose(tiny(normalise="patch").prepare(patches), torch.zeros(2, 3, 32, 32), atol=1e-5)


# ------------------------------------------------------------------------------------------- the weights that it has


def test_auto_uses_the_imagenet_weights_of_the_installed_package(weights):
    path = EfficientNetLite0.pretrained(EfficientNetLite0.Options())
    assert path == weights / f"{ARCHITECTURE}.safetensors"
    assert os.listdir(weights) == [path.name]
    before = path.stat()
    assert before.st_mode & 0o044, "others could not read it"
    pretrained._stored.cache_clear()
    assert EfficientNetLite0.pretrained(EfficientNetLite0.Options()) == path
    assert path.stat().st_mtime_ns == before.st_mtime_ns


def test_with_imagenet_weights_the_network_recognises_a_cat(weights):
    network = timm.create_model(ARCHITECTURE)
    network.load_state_dict(load_file(EfficientNetLite0.pretrained(EfficientNetLite0.Options())))
    cat = torch.from_numpy(skimage.data.chelsea()[:, 75:375].copy())[None]
    classes = network.eval()(tiny(patch=300, enlarged=224).prepare(cat)).softmax(dim=1)[0]
    assert {TABBY, TIGER_CAT, EGYPTIAN_CAT} == set(classes.topk(3).indices.tolist())


def test_training_starts_from_imagenet_weights(samples, context, weights):
    path = EfficientNetLite0.pretrained(EfficientNetLite0.Options())
    verifier = tiny(optimizer="sgd", lr=1e-30, iterations=1)
    verifier.fit(samples, [], replace(context, pretrained=path))
    state, given = verifier._network.state_dict(), load_file(path)
    learned = [name for name, _ in verifier._network.named_parameters() if not name.startswith("classifier.")]
    assert all(torch.equal(state[name], given[name]) for name in learned)


@pytest.mark.parametrize("ending", [".safetensors", ".npz"])
def test_a_file_in_the_weights_folder_has_priority_over_the_package(weights, ending):
    weights.mkdir()
    mine = weights / f"{ARCHITECTURE}{ending}"
    mine.touch()
    assert EfficientNetLite0.pretrained(EfficientNetLite0.Options()) == mine
    assert os.listdir(weights) == [mine.name]


def test_none_starts_from_random_weights_and_writes_nothing(weights):
    assert EfficientNetLite0.pretrained(EfficientNetLite0.Options(pretrained="none")) is None
    assert not weights.exists()


def test_a_file_that_does_not_fit_lists_its_tensors(samples, context, tmp_path):
    tensors = {name: tensor for name, tensor in tiny().untrained().state_dict().items() if name != "bn1.bias"}
    save_file({**tensors, "extra": torch.ones(1)}, tmp_path / "w.safetensors")
    with pytest.raises(PluginError, match=r"missing bn1\.bias.*unexpected extra"):
        tiny().fit(samples, [], replace(context, pretrained=tmp_path / "w.safetensors"))


def test_without_steps_it_takes_over_the_networks_of_another_fit(samples, context, tmp_path):
    one, other = tiny(ensemble_size=2), tiny(ensemble_size=2, iterations=0)
    one.fit(samples, [], context)
    one.save(tmp_path)
    other.fit([], [], replace(context, pretrained=tmp_path / "weights.safetensors"))
    of = samples[0]
    np.testing.assert_array_equal(one.score(of.frame, of.candidates), other.score(of.frame, of.candidates))
    with pytest.raises(PluginError, match="iterations = 0"):
        tiny(iterations=0).fit([], [], replace(context, pretrained=tmp_path / "weights.safetensors"))
