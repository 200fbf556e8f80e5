import numpy as np

from mitobench.methods.detector_only import DetectorOnly
from mitobench.methods.verifier_only import VerifierOnly

DETECTOR, VERIFIER = np.array([0.1, 0.9]), np.array([0.8, 0.2])


def test_detector_only_asks_for_no_verifier():
    assert not DetectorOnly.uses_verifier
    np.testing.assert_array_equal(DetectorOnly().fuse(DETECTOR, VERIFIER), DETECTOR)


def test_verifier_only_is_nothing_without_one():
    assert VerifierOnly.needs_verifier
    np.testing.assert_array_equal(VerifierOnly().fuse(DETECTOR, VERIFIER), VERIFIER)
