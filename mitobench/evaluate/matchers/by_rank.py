"""Rules in which detections choose mitoses, the best-scored detection first."""

from __future__ import annotations

import numpy as np

from mitobench.evaluate.matchers.matcher import FALSE, Bools, Floats, Ints, nearest_within


def mitos(distance: Floats, within: Bools, radius_um: float) -> Ints:
    """Each detection takes its nearest mitosis; a second hit on it is a false positive."""
    claimed = nearest_within(distance, within)
    truth, first = np.unique(claimed, return_index=True)
    matched = np.full(len(claimed), FALSE)
    matched[first] = truth
    return matched


def greedy(distance: Floats, within: Bools, radius_um: float) -> Ints:
    """Each detection takes its nearest mitosis that is not taken yet."""
    free = np.where(within, distance, np.inf)
    matched = np.full(len(free), FALSE)
    for rank in np.flatnonzero(np.isfinite(free).any(axis=1)):
        truth = free[rank].argmin()
        if np.isfinite(free[rank, truth]):
            matched[rank] = truth
            free[:, truth] = np.inf
    return matched
