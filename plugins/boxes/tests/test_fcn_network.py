import numpy as np
import pytest
import torch
from torchvision.models import vgg16

from mitobench_boxes.network import FCN8s, normalised

TINY = 1 / 32


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(1, 3, 70, 101, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("stride", [32, 16, 8])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_every_pixel_gets_two_scores(images, stride, batch_norm):
    network = FCN8s(TINY, batch_norm).eval()
    network.stride = stride
    assert network(images).shape == (1, 2, 70, 101)


def test_the_features_are_vgg16s():
    with torch.device("meta"):
        ours, theirs = FCN8s(), vgg16()
    features = [p.shape for pool in (ours.pool3, ours.pool4, ours.pool5) for p in pool.parameters()]
    assert features == [p.shape for p in theirs.features.parameters()]
    fc = [p.numel() for p in theirs.classifier.parameters()][:4]
    assert [p.numel() for p in ours.head.parameters()] == fc


@pytest.mark.parametrize(("before", "after"), [(32, 16), (16, 8)])
def test_a_finer_stride_starts_as_the_one_before_left_it(images, before, after):
    torch.manual_seed(0)
    network = FCN8s(TINY).eval()
    torch.nn.init.normal_(network.score.weight)
    with torch.no_grad():
        scores = {}
        for stride in (before, after):
            network.stride = stride
            scores[stride] = network(images)[0, 1, 16:-16, 16:-16].flatten()  # learned upsampling sees zeros outside
    assert torch.corrcoef(torch.stack([scores[before], scores[after]]))[0, 1] > 0.95


@pytest.mark.parametrize("skip", ["score_pool4", "score_pool3"])
def test_at_the_finest_stride_both_skips_count(images, skip):
    network = FCN8s(TINY).eval()
    before = network(images)
    torch.nn.init.ones_(getattr(network, skip).weight)
    assert not torch.equal(network(images), before)


def test_upsampling_starts_bilinear():
    up = FCN8s(TINY).up_to_16
    ramp = torch.arange(6.0).expand(1, 2, 6, 6)
    with torch.no_grad():
        inner = up(ramp)[0, 0, 4, 2:-2]
    np.testing.assert_allclose(inner, np.arange(0.75, 4.5, 0.5), rtol=1e-6)


def test_normalised_takes_imagenets_mean_out():
    grey = torch.full((1, 2, 2, 3), 255, dtype=torch.uint8)
    np.testing.assert_allclose(normalised(grey)[0, :, 0, 0], [2.2489, 2.4286, 2.64], atol=1e-3)
