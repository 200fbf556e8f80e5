"""Which candidates the verifier is shown and the ranking holds (the paper's gate)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def above(score: NDArray[np.float64], candidate_threshold: float | None) -> NDArray[np.bool_]:
    """Which detections pass a candidate threshold, bool [N]: those above it; without one, all."""
    return np.ones(len(score), dtype=bool) if candidate_threshold is None else score > candidate_threshold
