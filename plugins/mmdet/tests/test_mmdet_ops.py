"""The operators agree with slow plain-torch references, and missing ones raise a clear error."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable

import pytest
import torch

from mitobench_mmdet.engine import operators, ops, ops_check

ops.install()


SEEDS = range(5)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("offset", [0, 1])
def test_nms_keeps_what_the_reference_keeps(offset: int, seed: int) -> None:
    assert ops_check.check_nms(offset, seed) == 0


@pytest.mark.parametrize("seed", SEEDS)
def test_the_gradient_of_nms_goes_to_the_boxes_kept(seed: int) -> None:
    from mmcv.ops import nms

    boxes, scores = ops_check.boxes_and_scores(seed)
    kept = ops_check.nms_reference(boxes, scores, 0.4)

    def by_hand(x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x, scores[:, None]], dim=1)[kept]

    found = ops_check.with_gradient(lambda x: nms(x, scores, 0.4)[0], boxes)
    torch.testing.assert_close(found, ops_check.with_gradient(by_hand, boxes), atol=0, rtol=0)


def test_offset_one_makes_boxes_a_pixel_wider() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [6, 0, 16, 10]])  # IoU .25, or 55 / 187 = .294 with the extra pixel
    scores = torch.tensor([0.9, 0.8])
    assert operators.nms(boxes, scores, 0.27, 0).tolist() == [0, 1]
    assert operators.nms(boxes, scores, 0.27, 1).tolist() == [0]


@pytest.mark.parametrize("seed", SEEDS)
def test_roi_pool_forward_and_backward(seed: int) -> None:
    assert ops_check.check_roi_pool(seed) < 1e-5


@pytest.mark.parametrize("seed", SEEDS)
def test_roi_align_forward_and_backward(seed: int) -> None:
    assert ops_check.check_roi_align(seed) < 1e-4


@pytest.mark.parametrize("seed", SEEDS)
def test_mmcvs_own_roi_pool_runs_on_the_adapter(seed: int) -> None:
    from mmcv.ops import roi_pool

    features, rois = ops_check.features_and_rois(seed)
    found = ops_check.with_gradient(lambda x: roi_pool(x, rois, 6, 1 / 8), features)
    wanted = ops_check.with_gradient(lambda x: ops_check.roi_pool_reference(x, rois, 6, 1 / 8), features)
    torch.testing.assert_close(found, wanted)


GRADIENTS = {
    "mmcv.roi_align": ops_check.check_mmcvs_roi_align,
    "deform_conv": ops_check.check_deform_conv,
    "modulated_deform_conv": ops_check.check_modulated_deform_conv,
    "ms_deform_attn": ops_check.check_ms_deform_attn,
    "carafe": ops_check.check_carafe,
    "sigmoid_focal_loss": ops_check.check_sigmoid_focal_loss,
}


@pytest.mark.parametrize("seed", SEEDS[:2])
@pytest.mark.parametrize("check", GRADIENTS.values(), ids=GRADIENTS.keys())
def test_values_and_gradients_of_mmcvs_functions_on_the_adapter(check: Callable[[int], float], seed: int) -> None:
    assert check(seed) < 1e-4


def test_deformable_attention_is_what_mmcv_computes_on_a_cpu() -> None:
    from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch

    generator = torch.Generator().manual_seed(0)
    shapes = torch.tensor([[6, 4], [3, 2]])
    value = torch.randn(2, 30, 2, 4, generator=generator)
    places = torch.rand(2, 5, 2, 2, 3, 2, generator=generator)
    weights = torch.rand(2, 5, 2, 2, 3, generator=generator)
    found = operators.ms_deform_attn_forward(value, shapes, torch.tensor([0, 24]), places, weights, im2col_step=64)
    torch.testing.assert_close(found, multi_scale_deformable_attn_pytorch(value, shapes, places, weights))


def test_without_offsets_a_deformable_convolution_is_an_ordinary_one() -> None:
    from mmcv.ops import deform_conv2d, modulated_deform_conv2d

    generator = torch.Generator().manual_seed(0)
    image, weight = torch.randn(2, 4, 7, 8, generator=generator), torch.randn(6, 2, 3, 3, generator=generator)
    offset, mask, bias = torch.zeros(2, 18, 4, 4), torch.ones(2, 9, 4, 4), torch.randn(6, generator=generator)
    wanted = torch.nn.functional.conv2d(image, weight, stride=2, padding=1, groups=2)
    torch.testing.assert_close(deform_conv2d(image, offset, weight, 2, 1, 1, 2), wanted)
    found = modulated_deform_conv2d(image, offset, mask, weight, bias, 2, 1, 1, 2)
    torch.testing.assert_close(found, wanted + bias[:, None, None])


def test_offsets_larger_than_the_output_are_read_as_mmcv_reads_them() -> None:
    from mmcv.ops import modulated_deform_conv2d

    generator = torch.Generator().manual_seed(0)
    image, weight = torch.randn(2, 3, 4, 4, generator=generator), torch.randn(2, 3, 3, 3, generator=generator)
    large = [torch.randn(2, c, 8, 8, generator=generator).requires_grad_() for c in (18, 9)]
    first = [t.detach().flatten(1)[:, : t.shape[1] * 16].reshape(2, -1, 4, 4).requires_grad_() for t in large]
    found = modulated_deform_conv2d(image, *large, weight, None, 1, 1)
    wanted = modulated_deform_conv2d(image, *first, weight, None, 1, 1)
    torch.testing.assert_close(found, wanted)
    for all_values, read in zip(
        torch.autograd.grad(found.sum(), large), torch.autograd.grad(wanted.sum(), first), strict=True
    ):
        expected = torch.cat([read.flatten(1), torch.zeros(2, all_values[0].numel() - read[0].numel())], dim=1)
        torch.testing.assert_close(all_values.flatten(1), expected)


@pytest.mark.parametrize("seed", SEEDS)
def test_soft_suppression_and_masked_convolution(seed: int) -> None:
    assert ops_check.check_softnms(seed) < 1e-6
    assert ops_check.check_masked_conv(seed) < 1e-6


@pytest.mark.parametrize("seed", SEEDS)
def test_boxes_are_grouped_with_those_that_they_suppress(seed: int) -> None:
    assert ops_check.check_nms_match(seed) == 0


def test_a_box_of_exactly_the_threshold_belongs_to_the_group_and_an_empty_one_to_itself() -> None:
    dets = torch.tensor([[0.0, 0, 10, 10, 0.8], [6, 0, 16, 10, 0.9], [50, 50, 50, 50, 0.7]])  # IoU .25
    assert operators.nms_match(dets, 0.25) == [[1, 0], [2]]
    assert operators.nms_match(dets, 0.26) == [[1], [0], [2]]
    assert operators.nms_match(dets[:0], 0.5) == []


@pytest.mark.parametrize(("method", "kept"), [("naive", [0.9, 0.7]), ("linear", [0.9, 0.7, 0.8 * 0.75])])
def test_soft_suppression_lowers_or_drops_what_overlaps(method: str, kept: list[float]) -> None:
    from mmcv.ops import soft_nms

    boxes = torch.tensor([[0.0, 0, 10, 10], [6, 0, 16, 10], [50, 50, 60, 60]])  # IoU of the first two: .25
    dets, indices = soft_nms(boxes, torch.tensor([0.9, 0.8, 0.7]), iou_threshold=0.2, min_score=0.01, method=method)
    torch.testing.assert_close(dets[:, 4], torch.tensor(kept))
    assert indices.tolist() == ([0, 2] if method == "naive" else [0, 2, 1])


def test_a_maximum_in_roi_align_is_named_as_missing() -> None:
    from mmcv.ops import RoIAlign

    features, rois = ops_check.features_and_rois()
    with pytest.raises(NotImplementedError, match=r"roi_align_forward.*pool_mode='max'"):
        RoIAlign((2, 2), 1 / 8, sampling_ratio=2, pool_mode="max")(features, rois)


@pytest.mark.skipif(not isinstance(sys.modules[ops.NAME], ops._Extension), reason="compiled mmcv is installed")
def test_a_missing_operator_raises_an_error_that_names_its_package() -> None:
    from mmcv.ops import box_iou_rotated

    with pytest.raises(NotImplementedError, match=r"box_iou_rotated.*pip install mmcv"):
        box_iou_rotated(torch.zeros(1, 5), torch.zeros(1, 5))


def test_a_compiled_extension_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, ops.NAME)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    ops.install()
    assert ops.NAME not in sys.modules


def test_the_doctor_sees_every_operator(recwarn: pytest.WarningsRecorder) -> None:
    assert [(op, fine) for op, fine, _ in ops.check()] == [(op, True) for op in ops_check.CHECKS]
    assert not [one for one in recwarn if "addmm" in str(one.message)]


def test_the_doctor_sees_a_wrong_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ops_check.CHECKS, "nms", lambda: 1.0)
    assert ("nms", False) in [(op, fine) for op, fine, _ in ops.check()]
