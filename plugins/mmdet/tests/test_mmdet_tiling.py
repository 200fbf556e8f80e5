"""Features and detections in tiles are those of one pass, whatever the sizes of image and tile."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mitobench.api import Detector, Sample
from mitobench_mmdet.engine import ops
from mitobench_mmdet.paper.detectors import RPN, FasterRCNN

pytestmark = pytest.mark.slow

ops.install()

from mitobench_mmdet.paper.tiling import in_tiles, receptive_field  # noqa: E402 - needs the operators
from mitobench_mmdet.paper.vgg_m import VGGM  # noqa: E402


def backbone(norm: str, stride: int, tile: int | None = None) -> VGGM:
    """Random filters and statistics, the same at every call."""
    torch.manual_seed(0)
    network = VGGM(width=0.03, norm=norm, stride=stride, tile=tile)  # type: ignore[arg-type]
    network.init_weights()
    for name, value in network.state_dict().items():
        if value.is_floating_point() and not name.endswith("0.weight"):
            value.uniform_(0.5, 1.5)  # biases and statistics that zeros at a wrong border would show
    return network.eval()


sides = st.integers(32, 420)


@settings(max_examples=60, deadline=None)
@given(sides, sides, st.integers(50, 460), st.sampled_from([8, 16]), st.sampled_from(["lrn", "batch"]))
def test_features_are_those_of_one_pass(height: int, width: int, tile: int, stride: int, norm: str) -> None:
    network = backbone(norm, stride)
    image = torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        whole = network.stages(image)
        assert whole.std() > 0.01
        torch.testing.assert_close(in_tiles(network.stages, image, tile), whole, atol=1e-4, rtol=0)


def test_a_tile_of_one_cell_works() -> None:
    network, image = backbone("lrn", 16), torch.randn(2, 3, 100, 131)
    with torch.inference_mode():
        torch.testing.assert_close(in_tiles(network.stages, image, 1), network.stages(image), atol=1e-4, rtol=0)


@pytest.mark.parametrize(("stride", "wanted"), [(16, (16, 52, 86)), (8, (8, 28, 54))])
def test_the_receptive_field_worked_out_by_hand(stride: int, wanted: tuple[int, int, int]) -> None:
    """7 px of conv1, then (kernel - 1) x stride so far: 4, 16, 16 and thrice 32, 139 in all, 52 of them by padding."""
    modules = backbone("lrn", stride).stages.modules()
    layers = [module for module in modules if isinstance(module, torch.nn.Conv2d | torch.nn.MaxPool2d)]
    assert receptive_field(layers) == wanted


def test_a_cell_sees_its_receptive_field_and_no_more() -> None:
    network = backbone("lrn", 16)
    image = torch.randn(1, 3, 300, 300, requires_grad=True)
    network.stages(image)[0, :, 8, 8].sum().backward()
    rows = image.grad.abs().sum(dim=(0, 1, 3)).nonzero()  # type: ignore[union-attr]
    assert rows.min() >= 8 * 16 - 52
    assert rows.max() <= 8 * 16 + 86


def test_no_more_than_a_tile_and_its_margins_is_seen_at_once() -> None:
    network, seen = backbone("lrn", 16, tile=64), []
    network.stages[0].register_forward_pre_hook(lambda module, args: seen.append(args[0].shape[2:]))
    with torch.inference_mode():
        network(torch.zeros(1, 3, 400, 300))
    assert len(seen) > 10
    assert max(max(shape) for shape in seen) <= 64 + 64 + 71  # the margin before is rounded up to the stride


def test_training_sees_whole_patches() -> None:
    network, seen = backbone("batch", 16, tile=64).train(), []
    network.stages[0].register_forward_pre_hook(lambda module, args: seen.append(tuple(args[0].shape[2:])))
    network(torch.zeros(2, 3, 200, 200))
    assert seen == [(200, 200)]


@pytest.mark.parametrize("norm", ["lrn", "batch"])
@pytest.mark.parametrize("cls", [FasterRCNN, RPN])
def test_detections_are_those_of_one_pass(cls: type[Detector], norm: str, samples: list[Sample], tmp_path: Any) -> None:
    def detector(tile: int | None) -> Any:
        options: dict[str, Any] = {"width": 0.1, "norm": norm, "rpn_channels": 16, "anchor_scales": (2.0, 4.0)}
        options |= {"fc": (16, 16)} if cls is FasterRCNN else {}
        return cls(cls.Options(**options, tile=tile, score_floor=0.0))

    torch.manual_seed(0)
    whole = detector(None)
    whole._network = whole.build().eval()
    whole._network.init_weights()
    whole.save(tmp_path)
    tiled = detector(64)
    tiled.load(tmp_path)
    expected, found = whole.predict(samples[0].frame), tiled.predict(samples[0].frame)
    assert len(expected) > 5
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=1)
    np.testing.assert_allclose(found.score, expected.score, atol=1e-3)
