import numpy as np

from mitobench.methods.detector_only import DetectorOnly


def test_it_needs_no_verifier():
    assert not DetectorOnly.uses_verifier
    np.testing.assert_array_equal(DetectorOnly().fuse(np.array([0.1, 0.9]), np.array([0.8, 0.2])), [0.1, 0.9])
