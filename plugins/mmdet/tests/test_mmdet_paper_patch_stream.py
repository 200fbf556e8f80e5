"""Training patches are DeepDet's, item by item; every number here is written by hand from the paper or worked out."""

from __future__ import annotations

import numpy as np
import pytest
from mmdet_scene import make_sample

from mitobench.api import Frame, Mitoses, Sample
from mitobench_mmdet.engine import ops
from mitobench_mmdet.paper.options import FasterRCNNOptions

ops.install()

from mitobench.training.view import View, turning  # noqa: E402
from mitobench_mmdet.engine.patch_stream import PatchStream  # noqa: E402 - needs the operators

PAPER = FasterRCNNOptions()


def test_patches_are_512_px_on_a_grid_of_32_enlarged_twice() -> None:
    pixels = np.zeros((600, 600, 3), np.uint8)
    pixels[..., 0], pixels[..., 1] = np.arange(600)[None] // 4, np.arange(600)[:, None] // 4
    sample = make_sample([(300, 300)], size=600)
    frame = Frame("ramp", "toy", "g", "A", (0.2456, 0.2456), (600, 600), lambda: pixels)
    options = PAPER.model_copy(update={"rotation": 0, "mirror": False})
    stream = PatchStream([Sample(frame, sample.mitoses, sample.boxes)], options)
    patches = [stream.patch(np.random.default_rng(seed))[0] for seed in range(30)]
    assert {patch.shape for patch in patches} == {(1024, 1024, 3)}
    assert {tuple(patch[1, 1, :2]) for patch in patches} == {(x, y) for x in (0, 8, 16) for y in (0, 8, 16)}


def bar(width: int, height: int, centre: int = 80) -> Sample:
    """A frame with one dark bar, its mask and its box."""
    pixels = np.full((160, 160, 3), 230, np.uint8)
    left, top = centre - width // 2, centre - height // 2
    pixels[top : top + height, left : left + width] = (60, 30, 90)
    mask = np.stack(np.meshgrid(np.arange(left, left + width), np.arange(top, top + height)), axis=-1).reshape(-1, 2)
    frame = Frame("bar", "toy", "g", "A", (0.2456, 0.2456), (160, 160), lambda: pixels)
    box = np.array([[left, top, left + width, top + height]], dtype=float)
    return Sample(frame, Mitoses(np.array([[centre, centre]], dtype=float), (mask,)), box)


def view(turn: np.ndarray, corner: tuple[float, float], side: int = 96) -> View:
    return View(turn, np.array([80.0, 80.0]), np.array(corner), side, 2 * side)


@pytest.mark.parametrize(("columns", "kept"), [(8, False), (9, True)])
def test_a_mitosis_cut_by_the_border_keeps_a_mask_of_800_px_or_the_patch_goes(columns: int, kept: bool) -> None:
    """24 px rows of a 24 px square: 8 columns keep 24 x 8 x 4 = 768 px of the patch, 9 keep 864."""
    assert PAPER.area_threshold == 800
    boxes = PatchStream([bar(24, 24)], PAPER)._boxes(bar(24, 24), view(np.eye(2), (12 - columns, -48)))
    if kept:
        np.testing.assert_allclose(boxes, [[0, 72, 2 * columns, 120]])
    else:
        assert boxes is None


def test_a_small_mitosis_that_is_not_cut_is_kept() -> None:
    boxes = PatchStream([bar(8, 8)], PAPER)._boxes(bar(8, 8), view(np.eye(2), (-48, -48)))  # 256 px in the patch
    np.testing.assert_allclose(boxes, [[88, 88, 104, 104]])


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("angle", range(0, 360, 45))
def test_the_box_is_taken_again_from_the_turned_mask(angle: int, mirrored: bool) -> None:
    """An L of 40 by 40 px, 8 px thick: across its corner it spans 48 / 2 ** .5 px, along it 80 / 2 ** .5, where the
    turned box would span 80 / 2 ** .5 both ways."""
    sample = bar(40, 40)
    (mask,) = sample.mitoses.masks or ()
    ell = mask[(mask[:, 0] < 68) | (mask[:, 1] >= 92)]
    stream = PatchStream([sample], PAPER)
    turned = Sample(sample.frame, Mitoses(sample.mitoses.xy, (ell,)), sample.boxes)
    (box,) = stream._boxes(turned, view(turning(angle, mirrored), (-48, -48)))  # type: ignore[misc]
    sides = [80, 80] if angle % 90 == 0 else [67.9, 113.1]  # px of the patch, to a pixel of the frame
    np.testing.assert_allclose(sorted(box[2:] - box[:2]), sides, atol=2)


@pytest.mark.parametrize("seed", range(24))
def test_pixels_mask_and_box_turn_and_mirror_together(seed: int) -> None:
    assert (PAPER.rotation, PAPER.mirror) == (45, True)
    options = PAPER.model_copy(update={"patch": 96, "patch_stride": 8})
    image, boxes = PatchStream([bar(40, 8)], options).patch(np.random.default_rng(seed))
    rows, columns = np.nonzero(image[..., 1] < 130)
    dark = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    np.testing.assert_allclose(boxes, [dark], atol=3)


def test_frames_are_turned_by_every_eighth_and_mirrored() -> None:
    stream = PatchStream([bar(24, 24)], PAPER.model_copy(update={"patch": 64, "patch_stride": 1}))
    drawn = [stream._place(np.random.default_rng(seed), True) for seed in range(300)]
    turns = {tuple(np.rint(place[1].turn * 100).astype(int).ravel()) for place in drawn if place}
    expected = {
        tuple(np.rint(turning(angle, mirrored) * 100).astype(int).ravel())
        for angle in (0, 45, 90, 135, 180, 225, 270, 315)
        for mirrored in (False, True)
    }
    assert turns == expected
    assert len(expected) == 16
