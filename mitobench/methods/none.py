"""`none`: no verification, so that a detector can be ranked alone."""

from __future__ import annotations

from mitobench.api import Detections, Floats, Frame, Verifier


class NoVerifier(Verifier):
    """Returns the detector's score unchanged."""

    name = "none"
    version = "1"
    verifies = False

    def score(self, frame: Frame, detections: Detections) -> Floats:
        """Returns the detector's own scores, [N]."""
        return detections.score
