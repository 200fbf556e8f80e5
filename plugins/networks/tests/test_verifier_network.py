import numpy as np
import pytest
import torch
from torchvision.models import resnet18, resnet50

from mitobench.training import IMAGENET, Ensemble, joined, network_input
from mitobench_networks.verifiers.network import UNUSED, ScaledResNet


@pytest.mark.parametrize(("depth", "reference"), [(18, resnet18), (50, resnet50)])
def test_at_full_width_the_tensors_are_torchvisions_but_for_the_one_logit(depth, reference):
    with torch.device("meta"):
        ours, theirs = ScaledResNet(depth).state_dict(), reference(num_classes=1).state_dict()
    assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items()}


@pytest.mark.parametrize("depth", [18, 50])
def test_width_scales_every_channel_count(depth):
    with torch.device("meta"):
        full, half = ScaledResNet(depth).state_dict(), ScaledResNet(depth, 0.5).state_dict()
    for name, weight in full.items():
        if weight.ndim == 4:
            ins = 3 if name == "conv1.weight" else weight.shape[1] // 2
            assert half[name].shape == (weight.shape[0] // 2, ins, *weight.shape[2:])


def test_a_patch_gives_one_logit():
    assert ScaledResNet(18, 0.125)(torch.zeros(2, 3, 32, 32)).shape == (2, 1)


def test_resnet50_with_one_logit_has_the_published_number_of_parameters():
    with torch.device("meta"):
        parameters = sum(p.numel() for p in ScaledResNet(50).parameters())
    assert parameters == 23_510_081  # 25,557,032 of a thousand classes less 999 x 2049 of the last layer


@pytest.mark.parametrize(("depth", "reference"), [(18, resnet18), (50, resnet50)])
def test_imagenet_weights_include_every_tensor_except_the_classifier(depth, reference):
    with torch.device("meta"):
        ours, theirs = ScaledResNet(depth).imagenet(), reference().state_dict()
    assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items() if not k.startswith("fc.")}
    assert {k for k in theirs if k.startswith(UNUSED)} == {"fc.weight", "fc.bias"}


def test_by_imagenet_the_mean_and_deviation_of_its_images_are_taken_out():
    patches = torch.tensor([255, 0, 124], dtype=torch.uint8).expand(1, 4, 4, 3)
    images = network_input(patches, 4, (1,), IMAGENET)
    assert images.shape == (1, 3, 4, 4)
    expected = [(1 - 0.485) / 0.229, -0.456 / 0.224, (124 / 255 - 0.406) / 0.225]
    np.testing.assert_allclose(images[0, :, 0, 0], expected, rtol=1e-5)


def test_by_patch_brightness_does_not_matter():
    patches = torch.from_numpy(np.random.default_rng(0).integers(50, 150, (2, 16, 16, 3), dtype=np.uint8))
    images = network_input(patches, 16, (1,), None)
    assert images.shape == (2, 3, 16, 16)
    assert torch.allclose(images.mean(dim=(2, 3)), torch.zeros(2, 3), atol=1e-5)
    assert torch.allclose(images, network_input(patches + 40, 16, (1,), None), atol=1e-5)
    assert not torch.allclose(
        network_input(patches, 16, (1,), IMAGENET), network_input(patches + 40, 16, (1,), IMAGENET), atol=0.1
    )


@pytest.mark.parametrize("moments", [IMAGENET, None])
def test_blur_removes_details_of_one_or_two_pixels(moments):
    checkerboard = (np.indices((32, 32)).sum(axis=0) % 2 * 100 + 50).astype(np.uint8)
    patches = torch.from_numpy(np.repeat(checkerboard[None, ..., None], 3, axis=3))
    assert network_input(patches, 32, (1,), moments).std(dim=(2, 3)).min() > 0.8
    assert network_input(patches, 32, (1,), moments, blur=1.5)[..., 6:-6, 6:-6].std(dim=(2, 3)).max() < 0.1


def test_each_field_of_view_is_the_centre_at_its_own_magnification():
    patches = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 40, 40, 3), dtype=np.uint8))
    images = network_input(patches, 16, (1, 2), IMAGENET)
    assert images.shape == (2, 6, 16, 16)
    assert torch.equal(images[:, :3], network_input(patches[:, 12:28, 12:28], 16, (1,), IMAGENET))
    coarse = patches[:, 4:36, 4:36].double().reshape(2, 16, 2, 16, 2, 3).mean(dim=(2, 4))
    red = (coarse[..., 0] / 255 - 0.485) / 0.229
    np.testing.assert_allclose(images[:, 3], red, atol=1e-5)


def test_with_several_fields_of_view_only_the_first_starts_from_imagenet():
    network = ScaledResNet(18, 0.125, fields_of_view=2)
    network.imagenet()["conv1.weight"].fill_(3.0)
    assert (network.conv1.weight[:, :3] == 3).all()
    assert (network.conv1.weight[:, 3:] != 3).all()


def test_an_ensemble_averages_logits_and_one_network_is_unchanged():
    one, other = (ScaledResNet(18, 0.125).eval() for _ in range(2))
    images = torch.rand(2, 3, 32, 32)
    assert joined([one]) is one
    together = joined([one, other])
    assert isinstance(together, Ensemble)
    assert torch.allclose(together(images), (one(images) + other(images)) / 2)
