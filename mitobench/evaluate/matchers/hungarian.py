"""The assignment with the most matches within the radius, and among those the minimum total distance."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from mitobench.evaluate.matchers.matcher import FALSE, Bools, Floats, Ints


def most_matches(distance: Floats, within: Bools, radius_um: float) -> Ints:
    """Only pairs within the radius are matched, so that no match is lost to shorten the sum."""
    # One additional match outweighs any sum of distances within the radius.
    gain = np.where(within, radius_um * (min(distance.shape) + 1) - distance, 0.0)
    rank, truth = linear_sum_assignment(gain, maximize=True)
    matched = np.full(len(distance), FALSE)
    matched[rank] = np.where(within[rank, truth], truth, FALSE)
    return matched
