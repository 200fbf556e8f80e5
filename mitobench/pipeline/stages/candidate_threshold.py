"""Applies the candidate threshold (the paper's gate): only detections above it are verified and ranked."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def above(score: NDArray[np.float64], candidate_threshold: float | None) -> NDArray[np.bool_]:
    """Returns which of N detections have a score above the candidate threshold, bool [N]; for None, all of them."""
    return np.ones(len(score), dtype=bool) if candidate_threshold is None else score > candidate_threshold
