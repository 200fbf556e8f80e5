"""Schedules of the learning rate, as `train` takes them: lists of mmengine's configurations, which can be added.

schedule = [*warmup(100), *cosine(900, begin=100)]
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Schedule = list[dict[str, Any]]


def warmup(iterations: int, start: float = 0.01) -> Schedule:
    """Raises the learning rate along a line, from `start` times its value; empty for 0 iterations."""
    if not iterations:
        return []
    return [{"type": "LinearLR", "start_factor": start, "by_epoch": False, "begin": 0, "end": iterations}]


def cosine(iterations: int, begin: int = 0, final: float = 0.0) -> Schedule:
    """Lowers the learning rate along half a cosine within `iterations` steps after step `begin`.

    Args:
        iterations: number of steps; empty for 0.
        begin: the first step, for a schedule after a warmup.
        final: the learning rate that it approaches.
    """
    if not iterations:
        return []
    end = begin + iterations
    entry = {"type": "CosineAnnealingLR", "T_max": iterations, "eta_min": final, "begin": begin, "end": end}
    return [{**entry, "by_epoch": False}]


def steps(at: Sequence[int], factor: float = 0.1) -> Schedule:
    """Multiplies the learning rate by `factor` at each of these steps; empty for none."""
    if not at:
        return []
    return [{"type": "MultiStepLR", "milestones": list(at), "gamma": factor, "by_epoch": False}]
