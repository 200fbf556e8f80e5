"""Tiles cover a frame, own their candidates once, and give what one pass gives."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmdet_scene import make_sample
from torch import nn

from mitobench_mmdet import ops
from mitobench_mmdet.options import FasterRCNNOptions

ops.install()

from mmdet.structures import DetDataSample  # noqa: E402
from mmengine.structures import InstanceData  # noqa: E402

from mitobench_mmdet.search import search, spans  # noqa: E402


class FindsDark(nn.Module):
    """A network that finds dark pixels: one box around each component, or what it was told to return."""

    def __init__(self, fixed: list[list[float]] | None = None) -> None:
        super().__init__()
        self.fixed = fixed

    def test_step(self, data: dict) -> list[DetDataSample]:
        from skimage.measure import label, regionprops

        regions = regionprops(label(data["inputs"][0][1].numpy() < 130))
        boxes = [[r.bbox[1], r.bbox[0], r.bbox[3], r.bbox[2]] for r in regions] if self.fixed is None else self.fixed
        tensor = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
        return [DetDataSample(pred_instances=InstanceData(bboxes=tensor, scores=torch.linspace(0.9, 0.5, len(tensor))))]


@given(st.integers(64, 3000), st.integers(64, 1500), st.integers(0, 63))
def test_tiles_cover_the_axis_and_every_position_has_one_owner(length: int, tile: int, overlap: int) -> None:
    parts = spans(length, tile, overlap)
    assert parts[0][0] == 0
    assert parts[-1][1] == length
    assert all(b[0] <= a[1] - overlap for a, b in itertools.pairwise(parts))
    for position in np.linspace(0, length, 50, endpoint=False):
        owners = [(first, end) for first, end, low, high in parts if low <= position < high]
        assert len(owners) == 1
        assert owners[0][0] <= position < owners[0][1]


@pytest.mark.parametrize("tile", [None, 96, 200])
def test_candidates_are_in_frame_pixels_whatever_the_tiles(tile: int | None) -> None:
    centres = [(30, 30), (80, 90), (140, 40)]
    options = FasterRCNNOptions(tile=tile, tile_overlap=40)
    found = search(FindsDark(), make_sample(centres).frame, options, options, "cpu")
    assert sorted(map(tuple, found.xy.round(0).astype(int))) == sorted(centres)
    np.testing.assert_allclose(found.boxes[:, 2:] - found.boxes[:, :2], 24, atol=1)


def test_duplicates_are_suppressed_and_boxes_clipped_and_limited() -> None:
    options = FasterRCNNOptions(scale=1.0, max_per_image=2)
    network = FindsDark([[10, 10, 40, 40], [12, 10, 42, 40], [150, 150, 300, 300], [80, 80, 99, 99]])
    found = search(network, make_sample([]).frame, options, options, "cpu")
    np.testing.assert_allclose(found.boxes, [[10, 10, 40, 40], [150, 150, 160, 160]])


def test_nothing_found_is_fine() -> None:
    options = FasterRCNNOptions()
    assert len(search(FindsDark(), make_sample([]).frame, options, options, "cpu")) == 0
