"""`detector-only` and `verifier-only`: one of the two scores as it is, to measure what the other adds."""

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


class VerifierOnly(Fuser):
    """The verifier's score: the detector only proposes."""

    name = "verifier-only"
    version = "1"
    needs_verifier = True

    def fuse(self, detector: Floats, verifier: Floats) -> Floats:
        """The verifier's scores, [N]."""
        return verifier
