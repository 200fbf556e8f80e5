"""Rules in which mitoses choose detections, the first mitosis of the file first (evalutils.score_detection)."""

from __future__ import annotations

import numpy as np

from mitobench.evaluate.matchers.matcher import FALSE, Bools, Floats, Ints


def in_file_order(distance: Floats, within: Bools, radius_um: float) -> Ints:
    """Each mitosis takes its nearest unused detection; of equally near ones the better-scored."""
    unused = np.where(within, distance, np.inf)
    matched = np.full(len(unused), FALSE)
    for truth in np.flatnonzero(np.isfinite(unused).any(axis=0)):
        rank = unused[:, truth].argmin()
        if np.isfinite(unused[rank, truth]):
            matched[rank] = truth
            unused[rank] = np.inf
    return matched
