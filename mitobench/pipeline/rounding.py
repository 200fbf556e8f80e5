"""Values of plugins are rounded once, when they are received: what is computed from is what a record stores."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SCORE_DIGITS = 7  # significant: as many as a network's float32 has
XY_DECIMALS = 2  # of a px
BOX_DECIMALS = 1  # of a px


def significant(score: Floats) -> Floats:
    """Scores [N] with seven significant digits; nan stays."""
    rounded: Any = [float(f"{value:.{SCORE_DIGITS}g}") for value in score.tolist()]
    return np.array(rounded, dtype=np.float64)
