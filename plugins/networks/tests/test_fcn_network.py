import numpy as np
import pytest
import torch
from torchvision.models import vgg16

from mitobench_networks.fcn.network import UNUSED, FCN8s, normalised

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


def test_it_has_vgg16s_tensors_by_torchvisions_names_but_for_the_classes():
    with torch.device("meta"):
        ours, theirs = FCN8s().vgg16(), vgg16().state_dict()
    wanted = {name: tensor.shape for name, tensor in theirs.items() if not name.startswith(UNUSED)}
    assert {name: tensor.shape for name, tensor in ours.items()} == wanted
    assert len(theirs) - len(wanted) == 2


@pytest.mark.parametrize("batch_norm", [False, True])
def test_vgg16s_tensors_are_the_networks_own(batch_norm):
    network = FCN8s(TINY, batch_norm)
    own = {tensor.data_ptr() for tensor in network.state_dict().values()}
    assert {tensor.data_ptr() for tensor in network.vgg16().values()} <= own


def test_fc6_is_the_fully_connected_layer_at_every_place():
    network = FCN8s(TINY).eval()
    weight, bias = (network.vgg16()[f"classifier.0.{name}"] for name in ("weight", "bias"))
    pooled = torch.rand(1, weight.shape[1] // 49, 7, 7)
    with torch.no_grad():
        centre = network.head[0](pooled)[0, :, 3, 3]
        torch.testing.assert_close(centre, torch.nn.functional.linear(pooled.flatten(), weight, bias))


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


@pytest.mark.parametrize(("before", "after"), [(32, 16), (16, 8)])
def test_at_the_switch_the_output_is_unchanged(before, after):
    """Exactly so where scores rise evenly: upsampling in two steps only rounds the corners between cells."""
    network = FCN8s(TINY).eval()
    ramp = torch.arange(8.0) - torch.arange(6.0)[:, None]  # the coarse scores of an image of 8 x 6 cells
    network.score.register_forward_hook(lambda *_: torch.stack([ramp, -2 * ramp])[None])
    inside = slice(32, -32)
    with torch.no_grad():
        scores = {}
        for stride in (before, after):
            network.stride = stride
            scores[stride] = network(torch.rand(1, 3, 192, 256))[..., inside, inside]
    assert scores[before].std() > 1
    torch.testing.assert_close(scores[after], scores[before])


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


def test_normalised_subtracts_imagenets_mean():
    grey = torch.full((1, 2, 2, 3), 255, dtype=torch.uint8)
    np.testing.assert_allclose(normalised(grey)[0, :, 0, 0], [2.2489, 2.4286, 2.64], atol=1e-3)
