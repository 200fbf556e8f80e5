"""How much of an error is the annotators' own: figures that they disagreed on, and false positives on imposters.

A figure is contested if the data set has a confidence of it (or votes) that is neither 0 nor 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from mitobench.evaluate.matching import Match, find_matcher
from mitobench.evaluate.metrics import RATIOS, Counts, FramePrediction

COUNTS = ("fp_on_imposters", "fp_elsewhere", "contested_mitoses", "contested_imposters", "tp", "fp", "fn")


class Agreement(BaseModel):
    """What the annotations say about the errors at the threshold.

    Attributes:
        fp_on_imposters: false positives whose nearest annotated imposter is closer than the radius; None if no scored
            frame has imposters.
        fp_elsewhere: all other false positives; None with `fp_on_imposters`.
        contested_mitoses, contested_imposters: numbers of contested figures.
        tp, fp, fn: counts without contested figures: a contested mitosis is neither found nor missed, and a detection
            within the radius of a contested figure is not a false positive. None if no figure is contested.
        precision, recall, f1: of these counts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    fp_on_imposters: int | None = None
    fp_elsewhere: int | None = None
    contested_mitoses: int = 0
    contested_imposters: int = 0
    tp: int | None = None
    fp: int | None = None
    fn: int | None = None
    precision: float | None = None
    recall: float | None = None
    f1: float | None = None


def agreement(
    frames: Sequence[FramePrediction], matched: Sequence[Match], matcher: str, radius_um: float
) -> Agreement | None:
    """Returns what the annotations say about the errors; None if they have no imposters and nothing contested.

    Args:
        frames: the scored frames, with the detections above the threshold.
        matched: how they were matched, in the same order.
        matcher, radius_um: the matching rule.
    """
    mitoses = sum(int(frame.contested.sum()) for frame in frames if frame.contested is not None)
    imposters = sum(int(frame.contested_imposters.sum()) for frame in frames)
    if not (mitoses or any(len(frame.contested_imposters) for frame in frames)):
        return None
    found = Agreement(contested_mitoses=mitoses, contested_imposters=imposters)
    if any(len(frame.contested_imposters) for frame in frames):
        on = sum(
            int((match.false & (frame.nearest_imposter(radius_um) >= 0)).sum())
            for frame, match in zip(frames, matched, strict=True)
        )
        total_fp = sum(int(match.false.sum()) for match in matched)
        found = found.model_copy(update={"fp_on_imposters": on, "fp_elsewhere": total_fp - on})
    if not (mitoses or imposters):
        return found
    counts = np.sum(
        [_without_contested(frame, match, matcher, radius_um) for frame, match in zip(frames, matched, strict=True)],
        axis=0,
    )
    agreed = Counts(**dict(zip(("tp", "fp", "fn"), counts.tolist(), strict=True)))
    ratios = {name: agreed.ratio(name) for name in RATIOS}
    return found.model_copy(update={**agreed.model_dump(), **ratios})


def summed(found: Sequence[Agreement | None]) -> Agreement | None:
    """Returns the sum over several sets of frames; None if one has nothing to say."""
    known = [one for one in found if one is not None]
    if not known or len(known) < len(found):
        return None
    counts = {name: _sum([getattr(one, name) for one in known]) for name in COUNTS}
    if any(counts[name] is None for name in ("tp", "fp", "fn")):
        return Agreement.model_validate({**counts, "tp": None, "fp": None, "fn": None})
    agreed = Counts.model_validate({name: counts[name] for name in ("tp", "fp", "fn")})
    return Agreement.model_validate({**counts, **{name: agreed.ratio(name) for name in RATIOS}})


def _sum(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _without_contested(frame: FramePrediction, match: Match, matcher: str, radius_um: float) -> tuple[int, int, int]:
    """Returns TP, FP and FN of one frame without its contested figures."""
    counted = np.ones(frame.n_mitoses, dtype=bool) if frame.contested is None else ~frame.contested
    false = match.false & ~_near_contested(frame, matcher, radius_um)
    return int((match.found & counted).sum()), int(false.sum()), int((~match.found & counted).sum())


def _near_contested(frame: FramePrediction, matcher: str, radius_um: float) -> NDArray[np.bool_]:
    """Returns which detections are within the radius of a contested mitosis, or nearest to a contested imposter."""
    rule = find_matcher(matcher)
    imposter = frame.nearest_imposter(radius_um)
    near: NDArray[np.bool_] = imposter >= 0
    near[near] = frame.contested_imposters[imposter[near]]
    if frame.contested is not None and frame.contested.any():
        distance, order = frame.distances(rule)
        near |= rule.within(distance[:, frame.contested[order]], radius_um).any(axis=1)
    return near
