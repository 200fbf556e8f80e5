"""Matches the detections of one frame to its mitoses. Distances are in um.

    mitos          each detection takes its nearest mitosis; a second hit on it is a false positive (MITOS contests)
    greedy         each detection takes its nearest mitosis that is not taken yet
    hungarian      the most matches within the radius, and among those the minimum total distance
    evalutils      each mitosis, in file order, takes its nearest unused detection; a hit at exactly the radius counts
                   (MIDOG contests, evalutils.score_detection)
    midog-strict   as `evalutils`, but a hit at exactly the radius does not count; records call it `midog`
    midog25-guide  as `evalutils`, on the distance between the 4 numbers of two boxes (the MIDOG 2025 guide)
    kdtree         detections near a better one are suppressed; then every mitosis with a detection within the radius
                   is found, and every detection without a mitosis there is a false positive (CCMCT, CMC, TUPAC16-AL)

Detections are processed by descending score, equal scores by x, then y. The order of detections in a file never
matters. The order of mitoses in a file matters only for the rules in which mitoses choose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from mitobench.errors import MitobenchError, nearest
from mitobench.evaluate.matchers.by_rank import greedy, mitos
from mitobench.evaluate.matchers.by_truth import in_file_order
from mitobench.evaluate.matchers.hungarian import most_matches
from mitobench.evaluate.matchers.matcher import FALSE, SUPPRESSED, Bools, Floats, Ints, Matcher, nearest_within
from mitobench.evaluate.matchers.suppression import Neighbours, neighbours, suppressed

__all__ = ["FALSE", "MATCHERS", "SUPPRESSED", "Match", "Matcher", "find_matcher", "match", "requested_matcher"]

DISTANCE_DIGITS = 6  # decimals of um; distances are rounded before use, so that scores follow exactly from a record

MATCHERS = {
    "mitos": Matcher(mitos, prefix=True),
    "greedy": Matcher(greedy, prefix=True),
    "hungarian": Matcher(most_matches, file_order=True),
    "evalutils": Matcher(in_file_order, inclusive=True, file_order=True),
    "midog-strict": Matcher(in_file_order, file_order=True),
    "midog25-guide": Matcher(in_file_order, inclusive=True, file_order=True, box_px=50.0, radius_px=25.0),
    "kdtree": Matcher(nearest_within, inclusive=True, prefix=True, many=True, suppress_px=25.0, radius_px=25.0),
}

# Earlier names of matchers, as records hold them, and the names that these rules have now.
RECORDED = {"midog": "midog-strict"}
# Earlier names of matchers, as users may still write them, and what they get.
DEPRECATED = {"midog": "evalutils"}


@dataclass(frozen=True)
class Match:
    """The result of matching, for each detection of one frame in the order given.

    Attributes:
        truth: index of the mitosis that the detection found, FALSE or SUPPRESSED; int [M]. With `kdtree` several
            detections may have found the same mitosis, and only the nearest of several mitoses is named.
        distance_um: distance to the nearest mitosis, matched or not; nan if the frame has none; [M].
        error_um: distance to the mitosis that it found; nan for other detections; [M].
        found: which mitoses were found, bool [N].
    """

    truth: Ints
    distance_um: Floats
    error_um: Floats
    found: Bools

    @property
    def hit(self) -> Bools:
        """Which detections are true positives, bool [M]."""
        hit: Bools = self.truth >= 0
        return hit

    @property
    def false(self) -> Bools:
        """Which detections are false positives, bool [M]."""
        false: Bools = self.truth == FALSE
        return false


def find_matcher(name: str) -> Matcher:
    """Returns a matcher by its name, or by the name that it has in older records.

    Raises MitobenchError with the closest names if it is unknown.
    """
    name = current_name(name)
    if name not in MATCHERS:
        raise MitobenchError(f"Unknown matcher {name!r}. {nearest(name, MATCHERS)}")
    return MATCHERS[name]


def current_name(name: str) -> str:
    """Returns the name that a record's matcher has now: `midog` of older records is `midog-strict`."""
    return RECORDED.get(name, name)


def hit_rule(matcher: str, radius_um: float) -> str:
    """Returns in words what a hit is: `a hit is closer than 5 um`."""
    rule = find_matcher(matcher)
    how = "at most" if rule.inclusive else "closer than"
    what = f"; distances are between the 4 numbers of boxes of {rule.box_px:g} px" if rule.box_px is not None else ""
    if rule.suppress_px is not None:
        what = f"; detections within {rule.suppress_px:g} px of a better one do not count"
    return f"a hit is {how} {radius_um:g} um{' away' if rule.inclusive else ''}{what}"


def requested_matcher(name: str) -> tuple[str, str | None]:
    """Returns the matcher that a user asks for, and a notice if the name is deprecated.

    Raises MitobenchError with the closest names if it is unknown.
    """
    if name in DEPRECATED:
        current = DEPRECATED[name]
        return current, (
            f"The matcher name {name!r} is deprecated and now means {current!r}, the contest's own rule, in which a "
            f"hit at exactly the radius counts. The rule that earlier records call {name!r} is {RECORDED[name]!r}."
        )
    find_matcher(name)
    return name, None


def radius_um_for(matcher: str, card_um: float, mpp: Sequence[tuple[float, float]]) -> float:
    """Returns the radius of a matcher on a data set: the card's, or that of the numbers published with the rule.

    Args:
        matcher: a name in MATCHERS.
        card_um: the radius on the data set's card, um.
        mpp: um/px of the frames along x and y.

    Raises MitobenchError if the rule's radius is in px and the frames do not all have the same um/px.
    """
    radius_px = find_matcher(matcher).radius_px
    if radius_px is None:
        return card_um
    values = sorted({value for pair in mpp for value in pair})
    if len(values) > 1:
        raise MitobenchError(
            f"matcher {matcher}: its radius is {radius_px:g} px, which is {radius_px * values[0]:.4g} to "
            f"{radius_px * values[-1]:.4g} um on these frames of {values[0]:g} to {values[-1]:g} um/px. "
            "Give one radius in um (`mitobench score --radius-um`), or choose another matcher."
        )
    return radius_px * values[0] if values else card_um


def closer(distance: Floats, radius_um: float) -> Bools:
    """Whether distances (um) are strictly less than the radius; False for nan."""
    return MATCHERS["mitos"].within(distance, radius_um)


def distances(
    matcher: Matcher, truth_xy: Floats, xy: Floats, mpp: tuple[float, float], boxes: Floats | None = None
) -> tuple[Floats, Ints]:
    """Computes distances in um between detections [M, 2] px and mitoses [N, 2] px at `mpp` um/px along x and y.

    `boxes` [M, 4] px are used by a matcher that compares boxes; None: squares of the size of the mitoses' boxes.

    Returns [M, N] with the mitoses in the order that the matcher needs, and that order as indices, [N].
    """
    order = np.arange(len(truth_xy)) if matcher.file_order else np.lexsort((truth_xy[:, 1], truth_xy[:, 0]))
    if matcher.box_px is None:
        offset = (xy[:, None] - truth_xy[None, order]) * np.asarray(mpp)
        return np.round(np.hypot(offset[..., 0], offset[..., 1]), DISTANCE_DIGITS), order
    half = matcher.box_px / 2
    boxes = np.hstack([xy - half, xy + half]) if boxes is None else boxes
    corners = np.hstack([truth_xy - half, truth_xy + half])[order]
    offset = (boxes[:, None] - corners[None]) * np.asarray([*mpp, *mpp])
    return np.round(np.sqrt((offset**2).sum(axis=-1)), DISTANCE_DIGITS), order


def rank(xy: Floats, score: Floats) -> Ints:
    """The order in which detections are matched: descending score, then x, then y; indices [M]."""
    return np.lexsort((xy[:, 1], xy[:, 0], -score))


def near(truth_xy: Floats, xy: Floats, mpp: tuple[float, float], radius_um: float) -> Bools:
    """Which detections are closer to any mitosis than the radius, including second hits on one; bool [M]."""
    distance, _ = distances(find_matcher("mitos"), truth_xy, xy, mpp)
    inside: Bools = np.any(closer(distance, radius_um), axis=1)
    return inside


def match(
    matcher: str,
    truth_xy: Floats,
    xy: Floats,
    score: Floats,
    mpp: tuple[float, float],
    radius_um: float,
    boxes: Floats | None = None,
) -> Match:
    """Matches the detections of one frame.

    Args:
        matcher: a name in MATCHERS.
        truth_xy: mitoses, [N, 2] px.
        xy: detections, [M, 2] px.
        score: their scores, [M].
        mpp: um/px along x and y.
        radius_um: a hit is closer; with some matchers also one at exactly this distance.
        boxes: the detections' boxes, [M, 4] px, for `midog25-guide`; None: squares of 50 px.

    Raises MitobenchError for an unknown matcher.
    """
    rule = find_matcher(matcher)
    return match_distances(rule, *distances(rule, truth_xy, xy, mpp, boxes), xy, score, radius_um)


def match_distances(
    rule: Matcher, distance: Floats, truth_order: Ints, xy: Floats, score: Floats, radius_um: float
) -> Match:
    """Matches the detections of one frame, given their distances.

    Args:
        rule: the matcher.
        distance: distances from the detections to the mitoses, [M, N] um.
        truth_order: index of the mitosis of each column, [N].
        xy: detections, [M, 2] px.
        score: their scores, [M].
        radius_um: a hit is closer; with some matchers also one at exactly this distance.
    """
    order = rank(xy, score)
    within = rule.within(distance, radius_um)
    out = suppressed(neighbours(rule, xy), order)
    within[out] = False
    matched = np.full(len(distance), FALSE)
    matched[order] = rule.assign(distance[order], within[order], radius_um)
    hit = matched >= 0

    truth = np.where(out, SUPPRESSED, FALSE)
    truth[hit] = truth_order[matched[hit]]
    error = np.full(len(distance), np.nan)
    error[hit] = distance[hit, matched[hit]]
    closest = distance.min(axis=1) if distance.shape[1] else np.full(len(distance), np.nan)
    found = np.zeros(distance.shape[1], dtype=bool)
    found[truth_order[within.any(axis=0)] if rule.many else truth[hit]] = True
    return Match(truth, closest, error, found)


def gains(rule: Matcher, distance: Floats, radius_um: float, near: Neighbours | None, order: Ints) -> tuple[Ints, Ints]:
    """The true and false positives that each detection adds to those ranked above it: two [M] from [M, N] um.

    If the matcher is not prefix-consistent, matching runs again at every rank, and a gain may be negative.

    Args:
        rule: the matcher.
        distance: distances from the detections to the mitoses, [M, N] um.
        radius_um: a hit is closer; with some matchers also one at exactly this distance.
        near: the neighbours of each detection, for a matcher that suppresses; otherwise None.
        order: indices of the detections by rank, [M].
    """
    within = rule.within(distance, radius_um)
    if rule.many:
        return _gains_of_many(within, suppressed(near, order), order)
    tp = np.zeros(len(distance), dtype=np.int64)
    if rule.prefix:
        tp[order] = rule.assign(distance[order], within[order], radius_um) >= 0
    else:
        # Groups of detections and mitoses that no pair within the radius connects do not influence each other.
        for rows, columns in _groups(within, order):
            ranked, inside = distance[np.ix_(rows, columns)], within[np.ix_(rows, columns)]
            hits = [(rule.assign(ranked[: k + 1], inside[: k + 1], radius_um) >= 0).sum() for k in range(len(rows))]
            tp[rows] = np.diff(hits, prepend=0)
    return tp, 1 - tp


def _gains_of_many(within: Bools, out: Bools, order: Ints) -> tuple[Ints, Ints]:
    """Each mitosis is found by the best detection within the radius that is not suppressed."""
    tp = np.zeros(len(within), dtype=np.int64)
    ranked = (within & ~out[:, None])[order]
    found = ranked.any(axis=0)
    np.add.at(tp, order[ranked.argmax(axis=0)[found]] if len(within) else order, 1)
    return tp, (~out & ~within.any(axis=1)).astype(np.int64)


def _groups(within: Bools, order: Ints) -> list[tuple[Ints, Ints]]:
    """Connected groups: indices of their detections by rank, and of their mitoses, ascending."""
    n = len(within)
    rows, columns = np.nonzero(within[order])
    size = n + within.shape[1]
    pairs = coo_array((np.ones(len(rows)), (rows, columns + n)), shape=(size, size))
    _, label = connected_components(pairs, directed=False)
    groups: dict[int, tuple[list[int], list[int]]] = {}
    for row in np.unique(rows).tolist():
        groups.setdefault(int(label[row]), ([], []))[0].append(int(order[row]))
    for column in np.unique(columns).tolist():
        groups[int(label[column + n])][1].append(column)
    return [(np.array(rows), np.array(columns)) for rows, columns in groups.values()]
