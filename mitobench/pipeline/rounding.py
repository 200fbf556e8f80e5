"""Rounds detections and scores when a plugin returns them.

Metrics are then computed from exactly the values that records store. Boxes of estimators are not rounded.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SCORE_DIGITS = 7  # significant digits, as many as a float32 has
XY_DECIMALS = 2  # decimals of px
BOX_DECIMALS = 1  # decimals of px


def significant(score: Floats) -> Floats:
    """Returns scores [N] rounded to seven significant digits; NaN stays NaN."""
    rounded: Any = [float(f"{value:.{SCORE_DIGITS}g}") for value in score.tolist()]
    return np.array(rounded, dtype=np.float64)
