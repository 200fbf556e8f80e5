import numpy as np

from mitobench.methods.verifier_only import VerifierOnly


def test_it_is_not_applicable_without_a_verifier():
    assert VerifierOnly.needs_verifier
    np.testing.assert_array_equal(VerifierOnly().fuse(np.array([0.1, 0.9]), np.array([0.8, 0.2])), [0.8, 0.2])
