"""The backbone has the published shapes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mitobench_mmdet.engine import ops

ops.install()

from mitobench_mmdet.paper.vgg_m import VGGM  # noqa: E402 - needs the operators


def test_the_convolutions_are_those_of_the_paper() -> None:
    shapes = [(c.out_channels, c.kernel_size, c.stride) for c in VGGM().modules() if isinstance(c, nn.Conv2d)]
    assert shapes == [
        (96, (7, 7), (2, 2)),
        (256, (5, 5), (2, 2)),
        (512, (3, 3), (1, 1)),
        (512, (3, 3), (1, 1)),
        (512, (3, 3), (1, 1)),
    ]


def test_the_paper_normalises_responses_twice() -> None:
    responses = [m for m in VGGM().modules() if isinstance(m, nn.LocalResponseNorm)]
    assert [(m.size, m.alpha, m.beta, m.k) for m in responses] == [(5, 5e-4, 0.75, 2.0)] * 2


@pytest.mark.parametrize(("stride", "cells"), [(16, 15), (8, 30)])
def test_a_cell_is_stride_px(stride: int, cells: int) -> None:
    (features,) = VGGM(width=0.125, norm="batch", stride=stride).eval()(torch.zeros(1, 3, 256, 256))
    assert features.shape == (1, 64, cells, cells)


def test_frozen_stages_are_not_trained_and_their_statistics_stay() -> None:
    backbone = VGGM(width=0.125, norm="batch")
    backbone.freeze(1)
    backbone.train()
    before = {key: value.clone() for key, value in backbone.stages[0].state_dict().items()}
    optimizer = torch.optim.SGD(backbone.parameters(), lr=1.0)
    backbone(torch.randn(2, 3, 64, 64))[0].sum().backward()
    optimizer.step()
    assert all(torch.equal(value, before[key]) for key, value in backbone.stages[0].state_dict().items())
    assert backbone.stages[1][0].weight.grad is not None
