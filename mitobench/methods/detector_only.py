"""`detector-only`: uses the detector's score alone, to measure what a verifier adds."""

from __future__ import annotations

from mitobench.api import Floats, Fuser


class DetectorOnly(Fuser):
    """Returns the detector's score; no verifier is fitted."""

    name = "detector-only"
    version = "1"
    uses_verifier = False

    def fuse(self, detector: Floats, verifier: Floats) -> Floats:
        """Returns the detector's scores, [N]."""
        return detector
