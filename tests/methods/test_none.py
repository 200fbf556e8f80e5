import numpy as np

from mitobench.methods.none import NoVerifier


def test_none_has_no_opinion(samples):
    one = samples[0]
    assert not NoVerifier.verifies
    assert not NoVerifier.learns()
    np.testing.assert_array_equal(NoVerifier().score(one.frame, one.candidates), one.candidates.score)
