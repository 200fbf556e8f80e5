"""Suppresses detections that are close to a better one, as the evaluations of CCMCT, CMC and TUPAC16-AL do."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from mitobench.evaluate.matchers.matcher import ROUNDING, Bools, Floats, Ints, Matcher

Neighbours = list[list[int]]


def neighbours(rule: Matcher, xy: Floats) -> Neighbours | None:
    """The detections within the rule's distance of each detection, itself included; None if none are suppressed.

    Args:
        rule: the matcher.
        xy: detections, [M, 2] px.
    """
    if rule.suppress_px is None:
        return None
    if not len(xy):
        return []
    found: Neighbours = cKDTree(xy).query_ball_point(xy, rule.suppress_px * (1 + ROUNDING)).tolist()
    return found


def suppressed(near: Neighbours | None, order: Ints) -> Bools:
    """Which detections are suppressed, bool [M]: those near a better one that is not suppressed itself.

    Suppression never depends on worse detections, so it is the same before and after a threshold.

    Args:
        near: the neighbours of each detection.
        order: indices of the detections, best first, [M].
    """
    out = np.zeros(len(order), dtype=bool)
    if near is None:
        return out
    kept = np.zeros(len(order), dtype=bool)
    for index in order.tolist():
        if not out[index]:
            kept[index] = True
            out[near[index]] = True
            out[index] = False
    return out & ~kept
