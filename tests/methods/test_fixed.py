import numpy as np

from mitobench.api import Mitoses
from mitobench.methods.fixed import Fixed


def test_a_box_is_30_px_around_the_centroid(frame):
    np.testing.assert_array_equal(Fixed().boxes(frame, Mitoses(np.array([[40.0, 50.5]]))), [[25, 35.5, 55, 65.5]])


def test_a_box_is_cut_off_at_the_edge_of_the_frame(frame):
    boxes = Fixed(Fixed.Options(side=20)).boxes(frame, Mitoses(np.array([[4.0, 64.0], [128.0, 128.0]])))
    np.testing.assert_array_equal(boxes, [[-0.5, 54, 14, 74], [118, 118, 127.5, 127.5]])


def test_no_mitoses_have_no_boxes(frame):
    assert Fixed().boxes(frame, Mitoses(np.zeros((0, 2)))).shape == (0, 4)
