"""Every matcher in the plainest possible form, to compare with: loops over detections, mitoses and pairs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import permutations

Points = Sequence[tuple[float, float]]
Scored = Sequence[tuple[float, float, float]]

RULES = ("mitos", "greedy", "hungarian", "evalutils", "midog-strict", "midog25-guide", "kdtree")


def counts(matcher: str, truth: Points, detections: Scored, mpp: tuple[float, float], radius_um: float) -> tuple:
    """TP, FP and FN of one frame; boxes are squares of 50 px."""
    ranked = sorted(detections, key=lambda d: (-d[2], d[0], d[1]))
    # A detection moves all 4 numbers of its box, so the distance of boxes is that of the centres times the root of 2.
    factor = math.sqrt(2) if matcher == "midog25-guide" else 1.0
    strict = matcher in ("mitos", "greedy", "hungarian", "midog-strict")

    def um(detection: Sequence[float], mitosis: tuple[float, float]) -> float:
        x, y = (detection[0] - mitosis[0]) * mpp[0], (detection[1] - mitosis[1]) * mpp[1]
        return round(factor * math.hypot(x, y), 6)

    def inside(distance: float) -> bool:
        return distance < radius_um * (1 - 1e-9) if strict else distance <= radius_um * (1 + 1e-9)

    if matcher == "kdtree":
        return _kdtree(truth, ranked, um, inside)
    if matcher in ("mitos", "greedy"):
        by_place, found = sorted(truth), set()
        for detection in ranked:
            free = [n for n in range(len(truth)) if matcher == "mitos" or n not in found]
            near = min(free, key=lambda n: um(detection, by_place[n]), default=None)
            if near is not None and inside(um(detection, by_place[near])):
                found.add(near)
        tp = len(found)
    elif matcher == "hungarian":
        tp = _most(truth, ranked, um, inside)
    else:
        used: set[int] = set()
        for mitosis in truth:
            free = [k for k in range(len(ranked)) if k not in used and inside(um(ranked[k], mitosis))]
            if free:
                used.add(min(free, key=lambda k: um(ranked[k], mitosis)))
        tp = len(used)
    return tp, len(ranked) - tp, len(truth) - tp


def _kdtree(truth: Points, ranked: Scored, um, inside) -> tuple:
    kept: list[tuple[float, float, float]] = []
    for detection in ranked:
        if all(math.hypot(detection[0] - k[0], detection[1] - k[1]) > 25 for k in kept):
            kept.append(detection)
    tp = sum(any(inside(um(k, mitosis)) for k in kept) for mitosis in truth)
    fp = sum(not any(inside(um(k, mitosis)) for mitosis in truth) for k in kept)
    return tp, fp, len(truth) - tp


def _most(truth: Points, ranked: Scored, um, inside) -> int:
    few, many = sorted((list(range(len(truth))), list(range(len(ranked)))), key=len)
    swapped = len(truth) > len(ranked)
    best = 0
    for order in permutations(many, len(few)):
        pairs = zip(order, few, strict=True) if swapped else zip(few, order, strict=True)
        best = max(best, sum(inside(um(ranked[d], truth[t])) for t, d in pairs))
    return best
