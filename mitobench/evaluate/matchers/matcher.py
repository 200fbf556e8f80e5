"""`Matcher`, the description of a matching rule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

# Distances that differ from the radius only by rounding (24 and 7 px at 0.2456 um/px against 25 px) are equal to it.
ROUNDING = 1e-9

FALSE, SUPPRESSED = -1, -2  # in place of a mitosis: a false positive, and a detection that does not count at all


@dataclass(frozen=True)
class Matcher:
    """A matching rule.

    Attributes:
        assign: takes distances [M, N] um, with detections by rank, which of them are within the radius, bool [M, N],
            and the radius; returns the mitosis of each detection or FALSE, [M].
        inclusive: whether a detection at exactly the radius is a hit.
        prefix: whether the hits among the k best detections never depend on the other detections.
        file_order: whether mitoses are passed in file order instead of by position. `evalutils`, `midog-strict` and
            `midog25-guide` depend on that order; for `hungarian` it only decides between equally good solutions with
            equal counts.
        many: whether a detection finds every mitosis within the radius, and a mitosis may be found several times.
        suppress_px: a detection within this many px (inclusive) of a better one that counts is suppressed: it is
            neither a hit nor a false positive. None: all detections count.
        box_px: distances are between the 4 numbers of two boxes; that of a mitosis is a square with this side. None:
            distances are between centres.
        radius_px: the radius of the numbers published with this rule, px; None: they use the data set's radius in um.
    """

    assign: Callable[[Floats, Bools, float], Ints]
    inclusive: bool = False
    prefix: bool = False
    file_order: bool = False
    many: bool = False
    suppress_px: float | None = None
    box_px: float | None = None
    radius_px: float | None = None

    def within(self, distance: Floats, radius_um: float) -> Bools:
        """Which distances (um) are within the radius; False for nan."""
        inside: Bools
        limit = radius_um * (1 + ROUNDING if self.inclusive else 1 - ROUNDING)
        inside = distance <= limit if self.inclusive else distance < limit
        return inside


def nearest_within(distance: Floats, within: Bools, radius_um: float = 0.0) -> Ints:
    """The nearest mitosis of each detection if it is within the radius, else FALSE: [M] from [M, N] um."""
    if not distance.size:
        return np.full(len(distance), FALSE)
    return np.where(within.any(axis=1), distance.argmin(axis=1), FALSE)
