import numpy as np
import pytest

from mitobench.api import Detections, Mitoses
from mitobench.methods.mask import Mask


def test_a_box_holds_every_pixel_to_its_edge(frame):
    masks = (np.array([[3, 7], [5, 6], [4, 9]]), np.array([[20, 30]]))
    boxes = Mask().boxes(frame, Mitoses(np.array([[4.0, 7.0], [20.0, 30.0]]), masks))
    np.testing.assert_array_equal(boxes, [[2.5, 5.5, 5.5, 9.5], [19.5, 29.5, 20.5, 30.5]])


@pytest.mark.parametrize("radius", [0, 3, 3.5, 8.2])
def test_the_centre_of_a_symmetric_masks_box_is_its_centroid(frame, radius):
    y, x = np.mgrid[-10:11, -10:11]
    inside = np.hypot(x, y) <= radius
    mask = np.stack([x[inside] + 40, y[inside] + 50], axis=1)
    centroid = mask.mean(axis=0)
    boxes = Mask().boxes(frame, Mitoses(centroid[None], (mask,)))
    np.testing.assert_array_equal(Detections.from_boxes(boxes, [1.0]).xy, [centroid])


def test_it_needs_masks():
    assert Mask.needs_masks


def test_no_mitoses_have_no_boxes(frame):
    assert Mask().boxes(frame, Mitoses(np.zeros((0, 2)), ())).shape == (0, 4)
