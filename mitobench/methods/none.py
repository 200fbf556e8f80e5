"""`none`: no second opinion, so that a detector can be ranked alone."""

from __future__ import annotations

from mitobench.api import Detections, Floats, Frame, Verifier


class NoVerifier(Verifier):
    """Repeats the detector's score."""

    name = "none"
    version = "1"
    verifies = False

    def score(self, frame: Frame, detections: Detections) -> Floats:
        """The detector's own scores, [N]."""
        return detections.score
