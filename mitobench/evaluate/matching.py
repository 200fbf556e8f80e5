"""Matches the detections of one frame to its mitoses. Distances are in um; a hit is strictly closer than the radius.

    mitos      each detection takes its nearest mitosis; a second hit on it is a false positive (the contests' rule)
    greedy     each detection takes its nearest mitosis that is not taken yet
    hungarian  the most matches within the radius, and among those the minimum total distance
    midog      each mitosis, in file order, takes its nearest unused detection (evalutils.score_detection)

Detections are processed by descending score, equal scores by x, then y. The order of detections in a file never
matters. The order of mitoses in a file matters only for `midog`, which is defined by it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from mitobench.errors import MitobenchError, nearest

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# A distance that equals the radius except for rounding (24 and 7 px at 0.2456 um/px against 25 px) is not a hit.
_ROUNDING = 1e-9

DISTANCE_DIGITS = 6  # decimals of um; distances are rounded before use, so that scores follow exactly from a record


@dataclass(frozen=True)
class Match:
    """The result of matching, for each detection of one frame in the order given.

    Attributes:
        truth: index of the mitosis that the detection found, or -1; int [M].
        distance_um: distance to the nearest mitosis, matched or not; nan if the frame has none; [M].
        error_um: distance to the mitosis that it found; nan for a false positive; [M].
    """

    truth: Ints
    distance_um: Floats
    error_um: Floats

    @property
    def hit(self) -> NDArray[np.bool_]:
        """Which detections are true positives, bool [M]."""
        return self.truth >= 0


@dataclass(frozen=True)
class Matcher:
    """A matching rule.

    Attributes:
        assign: takes distances [M, N] um, with detections by rank, and the radius; returns the mitosis of each
            detection or -1, [M].
        prefix: whether the hits among the k best detections never depend on the other detections.
        file_order: whether mitoses are passed in file order instead of by position. `midog` depends on that order; for
            `hungarian` it only decides between equally good solutions with equal counts.
    """

    assign: Callable[[Floats, float], Ints]
    prefix: bool = False
    file_order: bool = False


def nearest_within(distance: Floats, radius_um: float) -> Ints:
    """The nearest mitosis of each detection if it is closer than the radius, else -1: [M] from [M, N] um."""
    if not distance.size:
        return np.full(len(distance), -1)
    truth = distance.argmin(axis=1)
    return np.where(closer(distance, radius_um).any(axis=1), truth, -1)


def closer(distance: Floats, radius_um: float) -> NDArray[np.bool_]:
    """Whether distances (um) are strictly less than the radius; False for nan."""
    return distance < radius_um * (1 - _ROUNDING)


def _mitos(distance: Floats, radius_um: float) -> Ints:
    claimed = nearest_within(distance, radius_um)
    truth, first = np.unique(claimed, return_index=True)
    matched = np.full(len(claimed), -1)
    matched[first] = truth
    return matched


def _greedy(distance: Floats, radius_um: float) -> Ints:
    free = np.where(closer(distance, radius_um), distance, np.inf)
    matched = np.full(len(free), -1)
    for rank in np.flatnonzero(np.isfinite(free).any(axis=1)):
        truth = free[rank].argmin()
        if np.isfinite(free[rank, truth]):
            matched[rank] = truth
            free[:, truth] = np.inf
    return matched


def _hungarian(distance: Floats, radius_um: float) -> Ints:
    within = closer(distance, radius_um)
    # One additional match outweighs any sum of distances within the radius.
    gain = np.where(within, radius_um * (min(distance.shape) + 1) - distance, 0.0)
    rank, truth = linear_sum_assignment(gain, maximize=True)
    matched = np.full(len(distance), -1)
    matched[rank] = np.where(within[rank, truth], truth, -1)
    return matched


def _midog(distance: Floats, radius_um: float) -> Ints:
    unused = np.where(closer(distance, radius_um), distance, np.inf)
    matched = np.full(len(unused), -1)
    for truth in np.flatnonzero(np.isfinite(unused).any(axis=0)):
        rank = unused[:, truth].argmin()
        if np.isfinite(unused[rank, truth]):
            matched[rank] = truth
            unused[rank] = np.inf
    return matched


MATCHERS = {
    "mitos": Matcher(_mitos, prefix=True),
    "greedy": Matcher(_greedy, prefix=True),
    "hungarian": Matcher(_hungarian, file_order=True),
    "midog": Matcher(_midog, file_order=True),
}


def find_matcher(name: str) -> Matcher:
    """Returns a matcher by name. Raises MitobenchError with the closest names if it is unknown."""
    if name not in MATCHERS:
        raise MitobenchError(f"Unknown matcher {name!r}. {nearest(name, MATCHERS)}")
    return MATCHERS[name]


def distances(matcher: Matcher, truth_xy: Floats, xy: Floats, mpp: tuple[float, float]) -> tuple[Floats, Ints]:
    """Computes distances in um between detections [M, 2] px and mitoses [N, 2] px at `mpp` um/px along x and y.

    Returns [M, N] with the mitoses in the order that the matcher needs, and that order as indices, [N].
    """
    order = np.arange(len(truth_xy)) if matcher.file_order else np.lexsort((truth_xy[:, 1], truth_xy[:, 0]))
    offset = (xy[:, None] - truth_xy[None, order]) * np.asarray(mpp)
    return np.round(np.hypot(offset[..., 0], offset[..., 1]), DISTANCE_DIGITS), order


def rank(xy: Floats, score: Floats) -> Ints:
    """The order in which detections are matched: descending score, then x, then y; indices [M]."""
    return np.lexsort((xy[:, 1], xy[:, 0], -score))


def near(truth_xy: Floats, xy: Floats, mpp: tuple[float, float], radius_um: float) -> NDArray[np.bool_]:
    """Which detections are closer to any mitosis than the radius, including second hits on one; bool [M]."""
    distance, _ = distances(find_matcher("mitos"), truth_xy, xy, mpp)
    inside: NDArray[np.bool_] = np.any(closer(distance, radius_um), axis=1)
    return inside


def match(
    matcher: str, truth_xy: Floats, xy: Floats, score: Floats, mpp: tuple[float, float], radius_um: float
) -> Match:
    """Matches the detections of one frame.

    Args:
        matcher: a name in MATCHERS.
        truth_xy: mitoses, [N, 2] px.
        xy: detections, [M, 2] px.
        score: their scores, [M].
        mpp: um/px along x and y.
        radius_um: a hit is strictly closer.

    Raises MitobenchError for an unknown matcher.
    """
    rule = find_matcher(matcher)
    return match_distances(rule, *distances(rule, truth_xy, xy, mpp), rank(xy, score), radius_um)


def match_distances(rule: Matcher, distance: Floats, truth_order: Ints, order: Ints, radius_um: float) -> Match:
    """Matches the detections of one frame, given their distances.

    Args:
        rule: the matcher.
        distance: distances from the detections to the mitoses, [M, N] um.
        truth_order: index of the mitosis of each column, [N].
        order: indices of the detections by rank, [M].
        radius_um: a hit is strictly closer.
    """
    matched = np.full(len(distance), -1)
    matched[order] = rule.assign(distance[order], radius_um)
    hit = matched >= 0

    truth = np.full(len(distance), -1)
    truth[hit] = truth_order[matched[hit]]
    error = np.full(len(distance), np.nan)
    error[hit] = distance[hit, matched[hit]]
    closest = distance.min(axis=1) if distance.shape[1] else np.full(len(distance), np.nan)
    return Match(truth, closest, error)


def gains(rule: Matcher, distance: Floats, radius_um: float) -> Ints:
    """The number of true positives that each detection adds to those ranked above it: [M] from [M, N] um, by rank.

    If the matcher is not prefix-consistent, matching runs again at every rank, and a gain may be negative.
    """
    gain = np.zeros(len(distance), dtype=np.int64)
    near = closer(distance, radius_um).any(axis=1)
    distance = distance[near]  # the others change nothing for any matcher
    if rule.prefix:
        gain[near] = rule.assign(distance, radius_um) >= 0
    else:
        found = [(rule.assign(distance[: k + 1], radius_um) >= 0).sum() for k in range(len(distance))]
        gain[near] = np.diff(found, prepend=0)
    return gain
