"""Training starts from Caffe's weights: the output equals that of Caffe's network, and frozen filters do not change."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from test_mmdet_detectors import tiny
from torch import Tensor
from torch.nn import functional as F

from mitobench.api import Context, PluginError, Sample
from mitobench.errors import MitobenchError
from mitobench_mmdet.engine import ops
from mitobench_mmdet.paper.detectors import RPN, FasterRCNN

pytestmark = pytest.mark.slow

ops.install()

from mitobench_mmdet.paper.models import MEAN, STD  # noqa: E402 - needs the operators
from mitobench_mmdet.paper.pretrained import start_from  # noqa: E402

CHANNELS = (3, 10, 26, 51, 51, 51)  # width .1
KERNELS = (7, 5, 3, 3, 3)
LRN: dict[str, Any] = {"norm": "lrn", "optimizer": "sgd", "lr": 1e-5}


def caffe_tensors(fc: tuple[int, ...] = (51 * 36, 16, 16), seed: int = 0) -> dict[str, Tensor]:
    """Random weights with the names and shapes of VGG_CNN_M_1024 at width .1, its classifier too."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {
        f"conv{n}": (after, before, kernel, kernel)
        for n, (before, after, kernel) in enumerate(zip(CHANNELS, CHANNELS[1:], KERNELS, strict=False), start=1)
    }
    shapes |= {f"fc{n}": (after, before) for n, (before, after) in enumerate(itertools.pairwise(fc), start=6)}
    shapes["fc8"] = (1000, fc[-1])
    tensors = {}
    for name, shape in shapes.items():
        fan_in = int(np.prod(shape[1:]))
        tensors[f"{name}.weight"] = torch.randn(shape, generator=generator) * (2 / fan_in) ** 0.5
        tensors[f"{name}.bias"] = torch.randn(shape[:1], generator=generator)
    tensors["conv1.weight"] /= 50  # of pixels 0..255
    return tensors


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    save_file(caffe_tensors(), tmp_path / "vgg.safetensors")
    return tmp_path / "vgg.safetensors"


def response_normalised(x: Tensor) -> Tensor:
    """Caffe's LRN, channel by channel: x / (2 + 5e-4 / 5 * sum of squares of 5 channels) ** .75."""
    squares = x.square()
    sums = [squares[:, max(c - 2, 0) : c + 3].sum(dim=1) for c in range(x.shape[1])]
    return x / (2 + 1e-4 * torch.stack(sums, dim=1)) ** 0.75


def caffe_forward(rgb: Tensor, w: dict[str, Tensor]) -> Tensor:
    """conv5 of VGG_CNN_M_1024 (py-faster-rcnn): B G R less PIXEL_MEANS, not scaled."""
    x = rgb.flip(1) - torch.tensor([102.9801, 115.9465, 122.7717])[:, None, None]
    x = response_normalised(F.conv2d(x, w["conv1.weight"], w["conv1.bias"], stride=2).relu())
    x = F.max_pool2d(x, 3, 2, ceil_mode=True)
    x = response_normalised(F.conv2d(x, w["conv2.weight"], w["conv2.bias"], stride=2, padding=1).relu())
    x = F.max_pool2d(x, 3, 2, ceil_mode=True)
    for name in ("conv3", "conv4", "conv5"):
        x = F.conv2d(x, w[f"{name}.weight"], w[f"{name}.bias"], padding=1).relu()
    return x


def test_the_backbone_gives_the_same_output_as_caffe(weights: Path) -> None:
    network = tiny(RPN, **LRN).build()
    start_from(network, weights)
    rgb = torch.randint(0, 256, (1, 3, 150, 173)).float()
    normalised = (rgb - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    with torch.no_grad():
        (found,) = network.eval().backbone(normalised)
        wanted = caffe_forward(rgb, caffe_tensors())
    assert wanted.std() > 0.1
    torch.testing.assert_close(found, wanted, atol=1e-3, rtol=1e-3)


def test_fc6_and_fc7_start_the_region_head(weights: Path) -> None:
    network = tiny(FasterRCNN, **LRN).build()
    start_from(network, weights)
    trunk, tensors = network.roi_head.bbox_head.trunk, caffe_tensors()
    for layer, name in ((trunk[0], "fc6"), (trunk[3], "fc7")):
        assert torch.equal(layer.weight, tensors[f"{name}.weight"])
        assert torch.equal(layer.bias, tensors[f"{name}.bias"])


def test_training_starts_from_the_file_and_leaves_frozen_layers_unchanged(
    weights: Path, samples: list[Sample], context: Callable[..., Context], capfd: pytest.CaptureFixture[str]
) -> None:
    started = tiny(FasterRCNN, **LRN).build()
    start_from(started, weights)
    detector, given = tiny(FasterRCNN, **LRN), context(pretrained=weights)
    detector.fit(samples, [], given)
    before, after = started.backbone.stages, detector.network.backbone.stages
    assert torch.equal(after[0][0].weight, before[0][0].weight)
    assert torch.equal(after[0][0].bias, before[0][0].bias)
    assert not torch.equal(after[1][0].weight, before[1][0].weight)
    torch.testing.assert_close(after[1][0].weight, before[1][0].weight, atol=1e-2, rtol=0)
    assert capfd.readouterr() == ("", ""), "mmengine likes to print every parameter"


def test_random_filters_are_all_trained(samples: list[Sample], context: Callable[..., Context]) -> None:
    one, many, given = tiny(RPN, iterations=1), tiny(RPN, iterations=3), context("many")
    one.fit(samples, [], context("one"))
    many.fit(samples, [], given)
    assert not torch.equal(one.network.backbone.stages[0][0].weight, many.network.backbone.stages[0][0].weight)


def test_fresh_layers_start_as_py_faster_rcnns(
    weights: Path, samples: list[Sample], context: Callable[..., Context]
) -> None:
    """Gaussians of .01, and .001 for the boxes of the region head; biases 0."""
    detector = tiny(FasterRCNN, **{**LRN, "lr": 1e-12, "iterations": 1, "rpn_channels": 64})
    detector.fit(samples, [], context(pretrained=weights))
    rpn, head = detector.network.rpn_head, detector.network.roi_head.bbox_head
    for layer, deviation in ((rpn.rpn_conv, 0.01), (rpn.rpn_cls, 0.01), (rpn.rpn_reg, 0.01), (head.fc_cls, 0.01),
                             (head.fc_reg, 0.001)):  # fmt: skip
        assert float(layer.weight.detach().std()) == pytest.approx(deviation, rel=0.35)
        assert float(layer.bias.detach().abs().max()) < 1e-6


@pytest.mark.parametrize(
    ("cls", "changes", "problems"),
    [
        (RPN, {"width": 0.2}, ["conv1.weight is (10, 3, 7, 7), must be (19, 3, 7, 7)", "conv5.bias"]),
        (RPN, {"norm": "batch"}, ["unexpected conv1.bias"]),
        (FasterRCNN, {"fc": (16, 8)}, ["fc7.weight is (16, 16), must be (8, 16)"]),
        (FasterRCNN, {"fc": (16,)}, ["unexpected fc7.weight"]),
    ],
)
def test_a_file_that_does_not_fit_is_reported_tensor_by_tensor(
    cls: Any, changes: dict[str, Any], problems: list[str], weights: Path, samples: list[Sample],
    context: Callable[..., Context],
) -> None:  # fmt: skip
    with pytest.raises(PluginError) as error:
        tiny(cls, **{**LRN, **changes}).fit(samples, [], context(pretrained=weights))
    assert all(problem in str(error.value) for problem in problems)


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that `auto` finds."""
    monkeypatch.setenv("MITOBENCH_WEIGHTS", str(tmp_path))
    path = tmp_path / "vgg_cnn_m_1024.npz"
    path.write_bytes(b"not read here")
    return path


@pytest.mark.parametrize("cls", [FasterRCNN, RPN])
def test_auto_takes_the_file_in_the_weights_folder(cls: Any, published: Path) -> None:
    assert cls.pretrained(cls.Options()) == published
    assert cls.pretrained(cls.Options(pretrained="none")) is None


@pytest.mark.parametrize(
    ("cls", "changes"),
    [
        *itertools.product((FasterRCNN, RPN), ({"width": 0.5}, {"norm": "batch"}, {"stride": 8})),
        *itertools.product((FasterRCNN,), ({"roi_size": 7}, {"fc": (4096, 4096)})),
    ],
)
def test_auto_does_not_look_for_another_network_but_a_file_is_always_tried(
    cls: Any, changes: dict[str, Any], published: Path
) -> None:
    assert cls.pretrained(cls.Options(**changes)) is None
    assert cls.pretrained(cls.Options(**changes, pretrained=str(published))) == published


def test_auto_works_without_a_file_but_a_given_path_must_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MITOBENCH_WEIGHTS", str(tmp_path))
    assert FasterRCNN.pretrained(FasterRCNN.Options()) is None
    with pytest.raises(MitobenchError, match="the file does not exist"):
        FasterRCNN.pretrained(FasterRCNN.Options(pretrained=str(tmp_path / "absent.npz")))
