"""Boxes follow the pixels through every augmentation; the purge and the share of positives hold."""

from __future__ import annotations

import numpy as np
import pytest
from mmdet_scene import SQUARE, make_sample

from mitobench.api import PluginError, Sample
from mitobench_mmdet.engine import ops
from mitobench_mmdet.paper.options import FasterRCNNOptions

ops.install()

from mitobench_mmdet.engine.patch_stream import PatchStream  # noqa: E402 - needs the operators


def stream(samples: list[Sample], **options: object) -> PatchStream:
    return PatchStream(samples, FasterRCNNOptions(**{"patch": 96, "patch_stride": None, **options}))


def dark_box(image: np.ndarray) -> np.ndarray:
    rows, columns = np.nonzero(image[..., 1] < 130)
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], dtype=float)


@pytest.mark.parametrize("scale", [1.0, 2.0, 1.5])
@pytest.mark.parametrize("rotation", [0, 45, 90])
def test_a_masks_box_follows_the_pixels(rotation: int, scale: float) -> None:
    patches = stream([make_sample([(70, 85)], masks=True)], rotation=rotation, scale=scale)
    for seed in range(20):
        image, boxes = patches.patch(np.random.default_rng(seed))
        assert image.shape == (round(96 * scale), round(96 * scale), 3)
        assert np.abs(boxes[0] - dark_box(image)).max() <= 2.5


def test_a_box_that_is_not_its_masks_keeps_its_size_and_follows_the_centre() -> None:
    sample = make_sample([(80, 80)], masks=True)
    wider = Sample(sample.frame, sample.mitoses, np.array([[60.0, 65, 100, 95]]))
    patches = stream([wider], area_threshold=10_000)  # only whole boxes
    sizes = set()
    for seed in range(20):
        image, boxes = patches.patch(np.random.default_rng(seed))
        rows, columns = np.nonzero(image[..., 1] < 130)
        if len(rows) > 1.5 * (2 * SQUARE) ** 2 * 0.6:  # the square is whole
            centre = (boxes[0, :2] + boxes[0, 2:]) / 2
            np.testing.assert_allclose(centre, [columns.mean() + 0.5, rows.mean() + 0.5], atol=1.5)
        sizes.add(tuple(np.rint(boxes[0, 2:] - boxes[0, :2]).astype(int)))
    assert sizes <= {(80, 60), (60, 80)}


def test_frames_of_another_resolution_are_resampled() -> None:
    sample = make_sample([(80, 80)])
    coarse = Sample(
        type(sample.frame)("c", "toy", "g", "A", (0.4912, 0.4912), (160, 160), sample.frame.reader),
        sample.mitoses,
        sample.boxes,
    )
    image, boxes = stream([coarse], rotation=90, area_threshold=10_000).patch(np.random.default_rng(0))
    np.testing.assert_allclose(boxes[0, 2:] - boxes[0, :2], 4 * SQUARE, atol=1)
    assert np.abs(boxes[0] - dark_box(image)).max() <= 2.5


@pytest.mark.parametrize("masks", [True, False])
def test_no_mitosis_on_the_border_keeps_less_than_the_threshold(masks: bool) -> None:
    patches = stream([make_sample([(50, 60), (105, 95)], masks=masks)], rotation=90, area_threshold=800)
    cut = 0
    for seed in range(80):
        _, boxes = patches.patch(np.random.default_rng(seed))
        areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
        assert (areas >= 800).all()
        cut += int((areas < (2 * SQUARE) ** 2 - 1).sum())
    assert cut > 0, "some mitoses must be cut, or the purge was not tried"


def test_every_patch_has_a_mitosis_unless_a_share_is_given() -> None:
    frames = [make_sample([(80, 80)], size=400), make_sample([], size=400, name="empty")]
    held = [len(stream(frames).patch(np.random.default_rng(seed))[1]) > 0 for seed in range(20)]
    assert all(held)
    share = np.mean([len(stream(frames, positive_share=0.5).patch(np.random.default_rng(s))[1]) > 0 for s in range(80)])
    assert 0.4 < share < 0.75


def test_patches_lie_on_the_grid() -> None:
    pixels = np.zeros((160, 160, 3), np.uint8)
    pixels[..., 0], pixels[..., 1] = np.arange(160)[None, :], np.arange(160)[:, None]
    plain = make_sample([(80, 80)])
    frame = type(plain.frame)("ramp", "toy", "g", "A", (0.2456, 0.2456), (160, 160), lambda: pixels)
    patches = stream([Sample(frame, plain.mitoses, plain.boxes)], patch_stride=32, rotation=0, mirror=False, scale=1.0)
    corners = {tuple(patches.patch(np.random.default_rng(seed))[0][0, 0, :2]) for seed in range(40)}
    assert corners == {(x, y) for x in (0, 32, 64) for y in (0, 32, 64)}


def test_a_turned_patch_holds_no_padding() -> None:
    patches = stream([make_sample([(80, 80)])], rotation=45)
    turned = [
        view for s in range(60) if (place := patches._place(np.random.default_rng(s), True)) for view in [place[1]]
    ]
    assert any(abs(abs(view.turn[0, 0]) - np.sqrt(0.5)) < 1e-9 for view in turned)
    assert all(view.inside(np.array([160, 160])) for view in turned)


def test_a_frame_smaller_than_the_patch_is_taken_whole() -> None:
    image, boxes = stream([make_sample([(80, 80)])], patch=512).patch(np.random.default_rng(0))
    assert image.shape == (320, 320, 3)
    np.testing.assert_allclose(boxes, [[136, 136, 184, 184]])


def test_one_generator_state_gives_one_patch() -> None:
    patches = stream([make_sample([(80, 80)])], stain_jitter=0.2)
    (a, boxes_a), (b, boxes_b) = (patches.patch(np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(boxes_a, boxes_b)
    assert not np.array_equal(a, patches.patch(np.random.default_rng(8))[0])


def test_an_item_is_what_mmdetection_takes() -> None:
    item = stream([make_sample([(80, 80)])]).draw(np.random.default_rng(0))
    assert item["inputs"].shape == (3, 192, 192)
    assert item["data_samples"].gt_instances.labels.tolist() == [0]
    assert item["data_samples"].img_shape == (192, 192)


def test_frames_without_mitoses_are_rejected() -> None:
    with pytest.raises(PluginError, match="have none"):
        stream([make_sample([])])


def test_a_purge_that_leaves_nothing_is_an_error() -> None:
    sample = make_sample([(80, 80)], size=400, masks=True)
    big = Sample(sample.frame, sample.mitoses, np.array([[0.0, 0, 400, 400]]))
    with pytest.raises(PluginError, match="area_threshold"):
        stream([big], area_threshold=1e6).patch(np.random.default_rng(0))


def test_half_of_the_other_patches_contain_a_false_positive() -> None:
    patches = stream([make_sample([(20, 20)])], positive_share=0.0, rotation=0, mirror=False)
    patches.set_false_positives([np.array([[130.0, 140.0]])])
    held = [patches._target(np.random.default_rng(seed), False)[1] for seed in range(200)]
    assert np.mean([point is not None for point in held]) == pytest.approx(0.5, abs=0.12)
    for seed in range(20):
        place = patches._place(np.random.default_rng(seed), False)
        if place is not None and held[seed] is not None:
            corner = place[1].corner + 80  # px of the frame of 160 px
            assert (corner <= [130, 140]).all()
            assert (corner + 96 >= [130, 140]).all()
