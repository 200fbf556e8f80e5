import numpy as np

from mitobench.api import Detections
from mitobench.methods.none import NoVerifier


def test_none_returns_the_scores_of_the_detector(frame):
    found = Detections.from_points([[40.0, 50.0], [90.0, 20.0]], [0.9, 0.2])
    assert not NoVerifier.verifies
    assert not NoVerifier.learns()
    np.testing.assert_array_equal(NoVerifier().score(frame, found), found.score)
