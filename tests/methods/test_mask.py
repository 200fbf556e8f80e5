import numpy as np

from mitobench.api import Mitoses
from mitobench.methods.mask import Mask


def test_a_box_holds_every_pixel_and_ends_at_the_first_outside(frame):
    masks = (np.array([[3, 7], [5, 6], [4, 9]]), np.array([[20, 30]]))
    boxes = Mask().boxes(frame, Mitoses(np.array([[4.0, 7.0], [20.0, 30.0]]), masks))
    np.testing.assert_array_equal(boxes, [[3, 6, 6, 10], [20, 30, 21, 31]])


def test_it_asks_for_masks():
    assert Mask.needs_masks


def test_no_mitoses_have_no_boxes(frame):
    assert Mask().boxes(frame, Mitoses(np.zeros((0, 2)), ())).shape == (0, 4)
