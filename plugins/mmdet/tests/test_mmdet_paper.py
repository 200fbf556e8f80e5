"""The defaults of `frcnn` are DeepDet, item by item: every number here is written by hand from the paper or worked out.

Li et al. 2018, section DeepDet; where it is silent, the authors' released configuration.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from mmdet_scene import make_sample
from torch import Tensor, nn
from torchvision.ops import RoIPool, box_iou

from mitobench_mmdet.engine import ops
from mitobench_mmdet.paper.options import FasterRCNNOptions

pytestmark = pytest.mark.slow

ops.install()

from mmdet.structures import DetDataSample  # noqa: E402 - needs the operators
from mmengine.registry import OPTIMIZERS, PARAM_SCHEDULERS  # noqa: E402
from mmengine.structures import InstanceData  # noqa: E402

from mitobench_mmdet.engine.fitting import optimizer, schedule  # noqa: E402
from mitobench_mmdet.paper.models import faster_rcnn  # noqa: E402
from mitobench_mmdet.paper.search import search  # noqa: E402

PAPER = FasterRCNNOptions()


@pytest.fixture(scope="module")
def network() -> Any:
    """DeepDet, built once; its 83 million weights are not used."""
    with torch.device("meta"):
        built = faster_rcnn(PAPER)
    small = faster_rcnn(PAPER.model_copy(update={"width": 0.02, "fc": (8, 8)}))
    built.rpn_head.prior_generator = small.rpn_head.prior_generator  # with numbers
    return built


def parameters(layer: nn.Module) -> int:
    return sum(p.numel() for p in layer.parameters())


# ------------------------------------------------------------------------------------------------ layers


def test_backbone_layer_by_layer(network: Any) -> None:
    found = [
        (type(m).__name__, *((m.in_channels, m.out_channels) if isinstance(m, nn.Conv2d) else ()), *geometry(m))
        for m in network.backbone.stages.modules()
        if not isinstance(m, nn.Sequential)
    ]
    assert found == [
        ("Conv2d", 3, 96, 7, 2, 0), ("ReLU",), ("LocalResponseNorm",), ("MaxPool2d", 3, 2, 0),
        ("Conv2d", 96, 256, 5, 2, 1), ("ReLU",), ("LocalResponseNorm",), ("MaxPool2d", 3, 2, 0),
        ("Conv2d", 256, 512, 3, 1, 1), ("ReLU",),
        ("Conv2d", 512, 512, 3, 1, 1), ("ReLU",),
        ("Conv2d", 512, 512, 3, 1, 1), ("ReLU",),
    ]  # fmt: skip
    responses = [m for m in network.backbone.modules() if isinstance(m, nn.LocalResponseNorm)]
    assert [(m.size, m.alpha, m.beta, m.k) for m in responses] == [(5, 5e-4, 0.75, 2)] * 2


def geometry(layer: Any) -> tuple[int, ...]:
    """Kernel, stride and padding, the same along both axes."""
    if not hasattr(layer, "kernel_size"):
        return ()
    pairs = [v if isinstance(v, tuple) else (v, v) for v in (layer.kernel_size, layer.stride, layer.padding)]
    assert all(a == b for a, b in pairs)
    return tuple(a for a, _ in pairs)


def test_parameters_block_by_block(network: Any) -> None:
    stages, rpn, head = network.backbone.stages, network.rpn_head, network.roi_head.bbox_head
    assert [parameters(stage) for stage in stages] == [
        14_208,  # 96 x 3 x 7 x 7 = 14,112, and 96
        614_656,  # 256 x 96 x 5 x 5 = 614,400, and 256
        1_180_160,  # 512 x 256 x 3 x 3 = 1,179,648, and 512
        2_359_808,  # 512 x 512 x 3 x 3 = 2,359,296, and 512
        2_359_808,
    ]
    assert parameters(rpn.rpn_conv) == 1_179_904  # 256 x 512 x 3 x 3 = 1,179,648, and 256
    assert parameters(rpn.rpn_cls) == 2_313  # 9 x 256 and 9
    assert parameters(rpn.rpn_reg) == 9_252  # 36 x 256 and 36
    fc6, fc7 = (layer for layer in head.trunk if isinstance(layer, nn.Linear))
    assert (fc6.in_features, fc6.out_features) == (18_432, 4096)  # 512 x 6 x 6
    assert parameters(fc6) == 75_501_568  # 75,497,472 and 4096
    assert parameters(fc7) == 4_195_328  # 1024 x 4096 = 4,194,304, and 1024
    assert parameters(head.fc_cls) == 2_050  # 2 x 1024 and 2
    assert parameters(head.fc_reg) == 4_100  # 4 x 1024 and 4
    assert [layer.p for layer in head.trunk if isinstance(layer, nn.Dropout)] == [0.5, 0.5]


def test_conv1_is_frozen_by_default() -> None:
    assert PAPER.frozen_stages == 1


@pytest.mark.parametrize(
    ("side", "cells"),
    [
        (1024, 63),  # conv1 509, pool 254, conv2 126, pool 63
        (4168, 259),  # conv1 2081, pool 1040, conv2 519, pool 259
    ],
)
def test_a_patch_and_a_whole_frame_in_cells(network: Any, side: int, cells: int) -> None:
    (features,) = network.backbone(torch.empty(1, 3, side, side, device="meta"))
    assert features.shape == (1, 512, cells, cells)


def test_regions_are_max_pooled_to_six_by_six_at_a_sixteenth(network: Any) -> None:
    (layer,) = network.roi_head.bbox_roi_extractor.roi_layers
    assert isinstance(layer, RoIPool)
    assert (layer.output_size, layer.spatial_scale) == ((6, 6), 1 / 16)


# ----------------------------------------------------------------------------------------------- anchors

ANCHORS = torch.tensor(  # about (8, 8); at 1:2 and 2:1 sides are those of the square by 2 ** .5 and 2 ** -.5
    [
        [-37.2548, -14.6274, 53.2548, 30.6274],  # 90.5097 x 45.2548
        [-82.5097, -37.2548, 98.5097, 53.2548],  # 181.0193 x 90.5097
        [-173.0193, -82.5097, 189.0193, 98.5097],  # 362.0387 x 181.0193
        [-24, -24, 40, 40],
        [-56, -56, 72, 72],
        [-120, -120, 136, 136],
        [-14.6274, -37.2548, 30.6274, 53.2548],
        [-37.2548, -82.5097, 53.2548, 98.5097],
        [-82.5097, -173.0193, 98.5097, 189.0193],
    ]
)


@pytest.mark.parametrize(("x", "y"), [(0, 0), (3, 2)])
def test_the_nine_anchors_of_a_cell(network: Any, x: int, y: int) -> None:
    (anchors,) = network.rpn_head.prior_generator.grid_priors([(4, 5)], device="cpu")
    here = anchors.reshape(4, 5, 9, 4)[y, x]
    torch.testing.assert_close(here, ANCHORS + 16 * torch.tensor([x, y, x, y]), atol=1e-3, rtol=0)


def grid(network: Any, cells: int = 63) -> Tensor:
    (anchors,) = network.rpn_head.prior_generator.grid_priors([(cells, cells)], device="cpu")
    return anchors


# -------------------------------------------------------------------------------------- sampling and losses


def assigned(part: Any, priors: Tensor, truth: Tensor) -> tuple[Tensor, Any]:
    """The label of each prior (-1 ignored, 0 background, else 1 + its box), and what the sampler takes of them."""
    instances = InstanceData(priors=priors)
    boxes = InstanceData(bboxes=truth, labels=torch.zeros(len(truth), dtype=torch.long))
    assigner, sampler = part
    result = assigner.assign(instances, boxes)
    labels = result.gt_inds.clone()  # the sampler may add boxes to the result
    return labels, sampler.sample(result, instances, boxes)


def test_anchors_are_labelled_by_iou_and_the_best_of_a_box_is_positive(network: Any) -> None:
    anchors = grid(network)
    truth = torch.tensor([[300.0, 300, 370, 366], [500, 504, 530, 532], [640, 640, 800, 800]])
    labels, _ = assigned((network.rpn_head.assigner, network.rpn_head.sampler), anchors, truth)
    iou = box_iou(anchors, truth)
    assert float(iou[:, 1].max()) < 0.3, "no anchor is near the small box"
    best = (iou == iou.max(dim=0).values).any(dim=1)
    highest = iou.max(dim=1).values
    assert (labels[best] > 0).all()
    assert (labels[highest > 0.7] > 0).all()
    assert (labels[(highest < 0.3) & ~best] == 0).all()
    assert (labels[(highest > 0.3) & (highest < 0.7) & ~best] == -1).all()
    assert set(labels.tolist()) == {-1, 0, 1, 2, 3}


@pytest.mark.parametrize(("boxes", "positive"), [(300, 128), (20, 20)])
def test_the_rpn_learns_from_256_anchors_at_most_half_positive(network: Any, boxes: int, positive: int) -> None:
    anchors = grid(network)
    truth = anchors.reshape(63 * 63, 9, 4)[:: 63 * 63 // boxes, 3][:boxes]  # boxes that are anchors
    _, taken = assigned((network.rpn_head.assigner, network.rpn_head.sampler), anchors, truth)
    assert (len(taken.pos_inds), len(taken.neg_inds)) == (positive, 256 - positive)


def test_regions_are_foreground_from_half_iou_and_background_down_to_none(network: Any) -> None:
    truth = torch.tensor([[0.0, 0, 100, 100]])
    regions = torch.tensor([[0.0, 0, 100, 50], [0, 0, 100, 49.9], [300, 300, 400, 400]])  # IoU .5, .499, 0
    labels, _ = assigned((network.roi_head.bbox_assigner, network.roi_head.bbox_sampler), regions, truth)
    assert labels.tolist() == [1, 0, 0]


def test_the_region_head_learns_from_128_regions_a_quarter_foreground(network: Any) -> None:
    truth = torch.tensor([[0.0, 0, 100, 100]])
    near = truth + 20 * torch.rand(200, 1)  # IoU above .5
    far = 500 + 100 * torch.rand(1800, 4).sort(dim=1).values
    head = network.roi_head
    _, taken = assigned((head.bbox_assigner, head.bbox_sampler), torch.cat([near, far]), truth)
    assert (len(taken.pos_inds), len(taken.neg_inds)) == (32, 96)


def test_box_targets_are_divided_by_their_deviations(network: Any) -> None:
    box, target = torch.tensor([[0.0, 0, 100, 100]]), torch.tensor([[10.0, 20, 110, 120]])
    wider = torch.tensor([[50 - 50 * np.e, 0.0, 50 + 50 * np.e, 100]])
    encode = network.roi_head.bbox_head.bbox_coder.encode
    torch.testing.assert_close(encode(box, target), torch.tensor([[1.0, 2, 0, 0]]))  # .1 and .2 of a side, by .1
    torch.testing.assert_close(encode(box, wider), torch.tensor([[0.0, 0, 5, 0]]))  # log e, by .2
    torch.testing.assert_close(network.rpn_head.bbox_coder.encode(box, target), torch.tensor([[0.1, 0.2, 0, 0]]))


def test_smooth_l1_of_sigma_3(network: Any) -> None:
    """.5 (3 x) ** 2 below 1 / 9, and |x| - .5 / 9 above."""
    loss = network.rpn_head.loss_bbox
    assert float(loss(torch.tensor([0.1]), torch.zeros(1))) == pytest.approx(0.045)
    assert float(loss(torch.tensor([1.0]), torch.zeros(1))) == pytest.approx(1 - 1 / 18)


# ----------------------------------------------------------------------------------- proposals and whole frames


@pytest.mark.parametrize(("training", "before", "after"), [(True, 12_000, 2000), (False, 6000, 300)])
def test_proposals_before_and_after_suppression(network: Any, training: bool, before: int, after: int) -> None:
    rules = network.train_cfg.rpn_proposal if training else network.test_cfg.rpn
    assert (rules.nms_pre, rules.max_per_img) == (before, after)
    scores = torch.rand(1, 9, 63, 63, generator=torch.Generator().manual_seed(0)) * 2 - 1
    scores[:, [0, 2, 5, 6, 7, 8]] -= 4  # leave the two smaller squares and one more: 11,907 anchors of 35,721 lead
    meta = {"img_shape": (1024, 1024), "scale_factor": (1, 1)}
    (found,) = network.rpn_head.predict_by_feat([scores], [torch.zeros(1, 36, 63, 63)], None, [meta], rules)
    entering = scores.sigmoid().flatten().sort(descending=True).values[before - 1]
    assert 0 < len(found) <= after
    assert float(found.scores.min()) >= float(entering)
    assert float(box_iou(found.bboxes, found.bboxes).fill_diagonal_(0).max()) <= 0.7
    assert float(box_iou(found.bboxes, found.bboxes).fill_diagonal_(0).max()) > 0.5, "suppression was tried"


def test_proposals_of_less_than_16_px_are_dropped(network: Any) -> None:
    meta = {"img_shape": (1024, 1024), "scale_factor": (1, 1)}
    sizes = torch.zeros(1, 36, 2, 2)
    sizes[0, 2::4], sizes[0, 3::4] = np.log(15 / 64), 0  # the square of 64 px becomes 15 px wide
    (found,) = network.rpn_head.predict_by_feat([torch.zeros(1, 9, 2, 2)], [sizes], None, [meta], network.test_cfg.rpn)
    assert float((found.bboxes[:, 2:] - found.bboxes[:, :2]).min()) > 16


class Stub(nn.Module):
    """Returns the given boxes, and keeps its inputs."""

    def __init__(self, boxes: Tensor, scores: Tensor) -> None:
        super().__init__()
        self.found, self.seen = InstanceData(bboxes=boxes, scores=scores), []

    def predict(self, inputs: Tensor, samples: list[DetDataSample]) -> list[DetDataSample]:
        self.seen.append(tuple(inputs.shape))
        return [DetDataSample(pred_instances=self.found)]


def test_a_whole_frame_is_searched_in_one_pass_at_twice_its_size() -> None:
    stub = Stub(torch.tensor([[4100.0, 200, 4160, 260]]), torch.ones(1))
    found = search(stub, make_sample([], size=2084).frame, PAPER, PAPER, "cpu")
    assert stub.seen == [(1, 3, 4168, 4168)]
    np.testing.assert_allclose(found.boxes, [[2049.5, 99.5, 2079.5, 129.5]])


def test_at_most_100_boxes_above_the_floor_leave_suppression(network: Any) -> None:
    rules = network.test_cfg.rcnn
    assert (rules.score_thr, rules.nms.iou_threshold, rules.max_per_img) == (0.05, 0.3, 100)
    x, y = torch.meshgrid(torch.arange(13.0) * 24, torch.arange(13.0) * 24, indexing="ij")
    boxes = torch.stack([x, y, x + 20, y + 20], dim=-1).reshape(-1, 4)  # 169 apart
    frame = make_sample([]).frame
    assert len(search(Stub(boxes, torch.linspace(0.9, 0.06, 169)), frame, PAPER, PAPER, "cpu")) == 100
    assert len(search(Stub(boxes[:2], torch.tensor([0.05, 0.0501])), frame, PAPER, PAPER, "cpu")) == 1
    pair = torch.tensor([[0.0, 0, 100, 100], [0, 0, 100, 29]])  # IoU .29
    assert len(search(Stub(pair, torch.tensor([0.9, 0.8])), frame, PAPER, PAPER, "cpu")) == 2
    pair[1, 3] = 31  # IoU .31
    assert len(search(Stub(pair, torch.tensor([0.9, 0.8])), frame, PAPER, PAPER, "cpu")) == 1


# ---------------------------------------------------------------------------------------------- training


def test_the_learning_rate_falls_twice() -> None:
    config = optimizer(PAPER)
    assert config == {"type": "SGD", "lr": 1e-3, "momentum": 0.9, "weight_decay": 5e-4}
    assert (PAPER.iterations, PAPER.batch_size) == (120_000, 1)
    sgd = OPTIMIZERS.build({**config, "params": [nn.Parameter(torch.zeros(1))]})
    schedulers = [PARAM_SCHEDULERS.build({**entry, "optimizer": sgd}) for entry in schedule(PAPER)]
    sgd.step()
    rates = {}
    for iteration in range(100_001):
        if iteration in (0, 49_999, 50_000, 99_999, 100_000):
            rates[iteration] = sgd.param_groups[0]["lr"]
        for scheduler in schedulers:
            scheduler.step()
    assert rates == pytest.approx({0: 1e-3, 49_999: 1e-3, 50_000: 1e-4, 99_999: 1e-4, 100_000: 1e-5})
