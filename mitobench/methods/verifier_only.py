"""`verifier-only`: uses the verifier's score alone, to measure what the detector's score adds."""

from __future__ import annotations

from mitobench.api import Floats, Fuser


class VerifierOnly(Fuser):
    """Returns the verifier's score; the detector only proposes candidates."""

    name = "verifier-only"
    version = "1"
    needs_verifier = True

    def fuse(self, detector: Floats, verifier: Floats) -> Floats:
        """Returns the verifier's scores, [N]."""
        return verifier
