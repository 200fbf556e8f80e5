"""The operators agree with slow plain-torch references, and missing ones raise a clear error."""

from __future__ import annotations

import importlib.util
import sys

import pytest
import torch

from mitobench_mmdet.engine import ops, ops_check

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
    assert ops.nms(boxes, scores, 0.27, 0).tolist() == [0, 1]
    assert ops.nms(boxes, scores, 0.27, 1).tolist() == [0]


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


def test_the_doctor_sees_every_operator() -> None:
    assert [(op, fine) for op, fine, _ in ops.check()] == [("nms", True), ("roi_pool", True), ("roi_align", True)]


def test_the_doctor_sees_a_wrong_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ops_check.CHECKS, "nms", lambda: 1.0)
    assert ("nms", False) in [(op, fine) for op, fine, _ in ops.check()]
