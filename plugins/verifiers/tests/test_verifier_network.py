import numpy as np
import pytest
import torch
from torchvision.models import resnet18, resnet50

from mitobench_verifiers.network import ScaledResNet, standardised


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


def test_standardised_patches_do_not_depend_on_brightness():
    patches = torch.from_numpy(np.random.default_rng(0).integers(50, 150, (2, 16, 16, 3), dtype=np.uint8))
    images = standardised(patches)
    assert images.shape == (2, 3, 16, 16)
    assert torch.allclose(images.mean(dim=(2, 3)), torch.zeros(2, 3), atol=1e-5)
    assert torch.allclose(images, standardised(patches + 40), atol=1e-5)


def test_blur_takes_away_what_is_finer_than_a_pixel_or_two():
    checkerboard = (np.indices((32, 32)).sum(axis=0) % 2 * 100 + 50).astype(np.uint8)
    patches = torch.from_numpy(np.repeat(checkerboard[None, ..., None], 3, axis=3))
    assert standardised(patches).abs().mean() > 0.9
    assert standardised(patches, blur=1.5)[..., 6:-6, 6:-6].abs().mean() < 0.1
