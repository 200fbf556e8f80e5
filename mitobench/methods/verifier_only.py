"""`verifier-only`: the verifier's score as it is, to measure what the detector's adds."""

from __future__ import annotations

from mitobench.api import Floats, Fuser


class VerifierOnly(Fuser):
    """The verifier's score: the detector only proposes."""

    name = "verifier-only"
    version = "1"
    needs_verifier = True

    def fuse(self, detector: Floats, verifier: Floats) -> Floats:
        """The verifier's scores, [N]."""
        return verifier
