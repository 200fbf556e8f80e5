"""Whole numbers are the centres of pixels: from masks over boxes and views to drawings, nothing is half a px off."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mitobench import datasets
from mitobench.api import Detections, Frame, Mitoses, PluginError, clip_boxes, mask_box
from mitobench.contract import frames as contract_frames
from mitobench.datasets import synthesis
from mitobench.datasets.images import write_rgb
from mitobench.evaluate import files
from mitobench.gallery import drawing
from mitobench.gallery.outcomes import Mark
from mitobench.pipeline import checks
from mitobench.pipeline.stages.box_scores import _mask_boxes
from mitobench.report.colours import OUTCOMES
from mitobench.training import crop_around, dihedral, dihedral_boxes, dihedral_points, scaled

Mask = NDArray[np.int64]


def symmetric(width: int, height: int, corner: tuple[int, int]) -> Mask:
    """An ellipse of pixels (x, y)."""
    y, x = np.mgrid[:height, :width]
    inside = ((x - (width - 1) / 2) / width) ** 2 + ((y - (height - 1) / 2) / height) ** 2 <= 0.25
    return np.stack([x[inside], y[inside]], axis=1) + corner


sides = st.integers(1, 24)
corners = st.tuples(st.integers(0, 60), st.integers(0, 40))


@given(width=sides, height=sides, corner=corners)
def test_the_centre_of_the_box_of_a_symmetric_mask_is_its_centroid(
    width: int, height: int, corner: tuple[int, int]
) -> None:
    mask = symmetric(width, height, corner)
    mitoses = Mitoses(mask.mean(axis=0)[None], (mask,))
    boxes = _mask_boxes(mitoses)
    np.testing.assert_allclose(Detections.from_boxes(boxes, [1.0]).xy, mitoses.xy)
    np.testing.assert_array_equal(boxes, [mask_box(mask)])


@given(width=sides, height=sides, corner=corners, k=st.integers(0, 7))
def test_masks_points_and_boxes_are_turned_alike(width: int, height: int, corner: tuple[int, int], k: int) -> None:
    mask = symmetric(width, height, corner)
    image = np.zeros((70, 90), np.uint8)
    image[mask[:, 1], mask[:, 0]] = 1
    turned = np.argwhere(dihedral(image, k))[:, ::-1]
    np.testing.assert_allclose(dihedral_points(mask.mean(axis=0)[None], k, (90, 70))[0], turned.mean(axis=0))
    np.testing.assert_allclose(dihedral_boxes(mask_box(mask)[None], k, (90, 70))[0], mask_box(turned))


@given(xy=corners, factor=st.sampled_from([0.25, 0.5, 2.0, 3.0]))
def test_scaling_is_undone_and_keeps_edges(xy: tuple[int, int], factor: float) -> None:
    factors = np.array([factor, 1 / factor])
    points = np.array([xy, (-0.5, -0.5)], dtype=float)
    np.testing.assert_allclose(scaled(scaled(points, factors), 1 / factors), points, atol=1e-9)
    np.testing.assert_allclose(scaled(points, factors)[1], [-0.5, -0.5], atol=1e-12)


@pytest.mark.parametrize("side", [1, 2, 5, 32, 33])
def test_a_crop_around_a_pixel_holds_it_in_the_middle(side: int) -> None:
    image = np.zeros((64, 80), np.uint8)
    image[30, 41] = 1
    ((y, x),) = np.argwhere(crop_around(image, np.array([41.0, 30.0]), side))
    assert max(abs(x - (side - 1) / 2), abs(y - (side - 1) / 2)) <= 0.5


def test_a_box_of_the_whole_frame_is_inside_and_what_is_clipped_as_well() -> None:
    frame = Frame("f", "toy", "f", "A", (0.25, 0.25), (80, 64), lambda: np.zeros((64, 80, 3), np.uint8))
    plugin = type("P", (), {"name": "p", "version": "1"})()
    whole, middle = mask_box(np.array([[0, 0], [79, 63]])), np.array([[40.0, 32.0]])
    np.testing.assert_array_equal(clip_boxes(np.array([[-9.0, -9, 99, 99]]), frame.size), [whole])
    assert checks.boxes(plugin, frame, [whole], middle).tolist() == [whole.tolist()]
    slack = np.array([-checks.SLACK_PX, 0, 0, 0]) * 1.01
    with pytest.raises(PluginError, match="lies outside the frame"):
        checks.boxes(plugin, frame, [whole + slack], middle)
    with pytest.raises(PluginError, match="lies outside the frame"):
        checks.boxes(plugin, frame, [whole - slack[::-1]], middle)


def test_a_box_may_miss_the_point_of_its_mitosis_by_some_um_along_x_and_y() -> None:
    frame = Frame("f", "toy", "f", "A", (0.25, 0.5), (800, 640), lambda: np.zeros((640, 800, 3), np.uint8))
    plugin = type("P", (), {"name": "p", "version": "1"})()
    box = [[100.0, 100, 140, 140]]
    for inside in ([80, 120], [120, 150], [160, 120], [140 + 3 / 0.25, 140 + 4 / 0.5]):
        assert checks.boxes(plugin, frame, box, np.array([inside])).tolist() == box
    for outside in ([79.9, 120], [120, 150.1], [120, 89.9], [140 + 3.1 / 0.25, 140 + 4 / 0.5]):
        with pytest.raises(PluginError, match=r"box 0 of boxes\(\) is 5\.\d um away from mitosis 0"):
            checks.boxes(plugin, frame, box, np.array([outside]))
    assert checks.boxes(plugin, frame, np.zeros((0, 4)), np.zeros((0, 2))).shape == (0, 4)


def test_synthetic_truth_lies_on_its_pixels() -> None:
    picture = synthesis.make_frame(0, 0, 0, 256)
    assert picture.mitoses.masks
    for xy, mask in zip(picture.mitoses.xy, picture.mitoses.masks, strict=True):
        np.testing.assert_allclose(xy, mask.mean(axis=0))


def test_the_contracts_boxes_are_those_of_the_masks() -> None:
    for sample in contract_frames.train(masks=True, boxes=True):
        assert sample.boxes is not None
        np.testing.assert_array_equal(sample.boxes, _mask_boxes(sample.mitoses))


def test_a_mark_is_drawn_around_the_middle_of_its_pixel() -> None:
    """In a frame enlarged 8 times the pixel (50, 40) is 8 x 8 px from (400, 320), and its mark is centred on them."""
    frame = Frame("f", "toy", "f", "A", (0.25, 0.25), (96, 96), lambda: np.zeros((96, 96, 3), np.uint8))
    pixels = np.zeros((96, 96, 3), np.uint8)
    mark = Mark("f", (50.0, 40.0), OUTCOMES["tp"], None)
    drawn = np.asarray(drawing.overlay(frame, pixels, [mark]))[: 96 * 8, : 96 * 8].astype(int)
    green = (drawn[..., 1] > 150) & (drawn[..., 0] < 80)
    rows, columns = np.nonzero(green)
    near = (np.abs(columns - 404) < 300) & (np.abs(rows - 324) < 300)
    rows, columns = rows[near], columns[near]
    centre = [(columns.min() + columns.max()) / 2, (rows.min() + rows.max()) / 2]
    np.testing.assert_allclose(centre, [403.5, 323.5], atol=0.51)


@pytest.mark.parametrize("width", [50, 51, 12.5])
def test_a_box_has_the_same_centre_as_annotation_and_as_detection(tmp_path: Path, width: float) -> None:
    """Whether it is written as COCO's x, y, width and height, or as two corners."""
    box, right = [10, 20, width, 30], 10 + width
    image = {"id": 1, "file_name": "a.png"}
    entry = {"image_id": "a", "bbox": box, "score": 0.5}
    annotated = {"images": [image], "annotations": [{"image_id": 1, "bbox": box, "category_id": 1}]}
    annotated["categories"] = [{"id": 1, "name": "mitosis"}]
    texts = {
        "coco.json": (json.dumps(annotated), json.dumps([entry])),
        "corners.csv": (
            f"image,x1,y1,x2,y2\na,10,20,{right},50\n",
            f"image,x1,y1,x2,y2,score\na,10,20,{right},50,.5\n",
        ),
    }
    for name, (annotation, detections) in texts.items():
        folder = tmp_path / name
        folder.mkdir()
        write_rgb(folder / "a.png", np.full((96, 96, 3), 180, np.uint8))
        (folder / "dataset.toml").write_text("mpp = 0.25\n")
        (folder / name).write_text(annotation)
        found = datasets.load("folder", folder).items["a"].mitoses.xy
        (tmp_path / f"d-{name}").write_text(detections)
        np.testing.assert_array_equal(found, [[10 + width / 2, 35]])
        np.testing.assert_array_equal(files.read(tmp_path / f"d-{name}", ["a"]).detections["a"].xy, found)
