"""What detectors that search every place of a frame share: how many detections they keep, and their hard negatives."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from mitobench.api import Detections, Frame, Sample

CLEARANCE_UM = 12.0  # a hard negative is at least this far from every mitosis
MAX_HARD = 60  # hard negatives kept per frame, those with the highest scores
MIN_KEPT = 20  # detections kept in a frame too small for a limit per mm2 to mean anything


def hard_negatives(found: Detections, sample: Sample) -> Detections:
    """Returns the first detections, which must be the best, that are away from every mitosis of a training frame."""
    if len(sample.mitoses):
        mpp = np.array(sample.frame.mpp)
        distance, _ = cKDTree(sample.mitoses.xy * mpp).query(found.xy * mpp)
        found = found[distance > CLEARANCE_UM]
    return found[:MAX_HARD]


def most_kept(frame: Frame, per_mm2: float) -> int:
    """Returns the greatest number of detections on a frame."""
    area_mm2 = np.prod(np.array(frame.size) * frame.mpp) / 1e6
    return max(MIN_KEPT, round(per_mm2 * area_mm2))
