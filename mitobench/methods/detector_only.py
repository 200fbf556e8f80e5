"""`detector-only`: the detector's score as it is, to measure what a verifier adds."""

from __future__ import annotations

from mitobench.api import Floats, Fuser


class DetectorOnly(Fuser):
    """The detector's score; the verifier is not even fitted."""

    name = "detector-only"
    version = "1"
    uses_verifier = False

    def fuse(self, detector: Floats, verifier: Floats) -> Floats:
        """The detector's scores, [N]."""
        return detector
