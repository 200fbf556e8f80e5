"""What `stacked` knows about a candidate, as numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import logit

from mitobench.api import Detections, Floats, Frame, PluginError

NAMES = (
    "detector score",
    "verifier score",
    "detector score above its surroundings",
    "verifier score above its surroundings",
    "rank by detector",
    "rank by verifier",
    "width",
    "height",
    "area",
    "density",
)
EPS = 1e-6  # probabilities are clipped to [EPS, 1 - EPS], so that their logits are finite
MIN_SIDE_UM = 0.1  # boxes without an area are measured as this wide


@dataclass(frozen=True)
class Surroundings:
    """Which other candidates one is compared with: the `number` nearest ones within `radius_um`, itself among them.

    All of them are on the same frame. Nearly all are no mitoses, so their median score is what the stain and the
    scanner make of ordinary nuclei there. Except at its edges, a frame of any size gives a candidate the same ones.

    Attributes:
        radius_um: greatest distance, um.
        number: greatest number.
        density_um: radius within which other candidates count for the density, um.
    """

    radius_um: float
    number: int
    density_um: float


def are_probabilities(scores: Floats) -> bool:
    """Whether all scores, [N], lie between 0 and 1."""
    return bool(np.all((scores >= 0) & (scores <= 1)))


def features(
    scores: tuple[Floats, Floats],
    probabilities: tuple[bool, bool],
    frames: Sequence[Frame],
    detections: Sequence[Detections],
    surroundings: Surroundings,
    extra: Sequence[str] = (),
) -> NDArray[np.float32]:
    """Returns the features of N candidates in the order of `NAMES`, then the extra arrays, [N, F].

    Scores that are probabilities are logits, lengths (um) and areas (um2) are logarithms, ranks and densities
    log(1 + x).

    Args:
        scores: of the detector and of the verifier, [N] each.
        probabilities: whether each of the two is a probability, whose logit is taken.
        frames: the frames.
        detections: the candidates of each, together N.
        surroundings: what a candidate is compared with.
        extra: names of extra arrays of the detections, each [N].

    Raises PluginError for an extra array that the detections do not have, or one with more than one value each.
    """
    size = np.log(_joined(map(_sides_um, frames, detections), 2))
    values = [
        logit(np.clip(score, EPS, 1 - EPS)) if probability else score
        for score, probability in zip(scores, probabilities, strict=True)
    ]
    ends = np.cumsum([len(found) for found in detections])[:-1]
    near = [_nearest(frame, found, surroundings) for frame, found in zip(frames, detections, strict=True)]
    compared = [
        _joined(map(_compared, np.split(value, ends) if len(detections) else [], near), 2).T for value in values
    ]
    columns = [
        *values,
        *(above for above, _ in compared),
        *(rank for _, rank in compared),
        *size.T,
        size.sum(axis=1),
        _joined((_neighbours(f, d, surroundings.density_um) for f, d in zip(frames, detections, strict=True)), 1)[:, 0],
        *(_extra(detections, name) for name in extra),
    ]
    largest = float(np.finfo(np.float32).max)
    stacked: NDArray[np.float32] = np.stack(columns, axis=1).clip(-largest, largest).astype(np.float32)
    return stacked


def _joined(parts: Iterable[Floats], width: int) -> Floats:
    """The values of all frames, [N, width]; there may be no frame."""
    return np.concatenate([np.zeros((0, width)), *parts])


def _sides_um(frame: Frame, found: Detections) -> Floats:
    """Width and height of the boxes, [N, 2] um."""
    sides: Floats = np.maximum((found.boxes[:, 2:] - found.boxes[:, :2]) * frame.mpp, MIN_SIDE_UM)
    return sides


def _nearest(frame: Frame, found: Detections, surroundings: Surroundings) -> NDArray[np.intp]:
    """Indices of the surroundings of each candidate, [N, number]; N means none."""
    if not len(found):
        return np.zeros((0, surroundings.number), dtype=np.intp)
    xy = found.xy * frame.mpp
    numbers = np.arange(1, surroundings.number + 1)
    _, index = cKDTree(xy).query(xy, k=numbers, distance_upper_bound=surroundings.radius_um)
    return np.asarray(index, dtype=np.intp)


def _compared(score: Floats, near: NDArray[np.intp]) -> Floats:
    """How far each score is above the median of its surroundings, and log(1 + number of higher ones there), [N, 2]."""
    there = np.sort(np.append(score, np.nan)[near], axis=1)  # the missing ones come last
    known = np.maximum(np.isfinite(there).sum(axis=1), 1)
    row = np.arange(len(score))
    median = (there[row, (known - 1) // 2] + there[row, known // 2]) / 2
    higher = (there > score[:, None]).sum(axis=1)
    return np.stack([score - median, np.log1p(higher)], axis=1)


def _neighbours(frame: Frame, found: Detections, density_um: float) -> Floats:
    """log(1 + number of other candidates within `density_um`), [N, 1]."""
    if not len(found):
        return np.zeros((0, 1))
    xy = found.xy * frame.mpp
    counts = cKDTree(xy).query_ball_point(xy, density_um, return_length=True) - 1
    neighbours: Floats = np.log1p(counts.astype(np.float64))[:, None]
    return neighbours


def _extra(detections: Sequence[Detections], name: str) -> Floats:
    parts = [np.zeros(0)]
    for found in detections:
        if len(found) and name not in found.extra:
            available = ", ".join(found.extra) or "none"
            raise PluginError(f"stacked: the detections have no extra array {name!r}. Available: {available}.")
        if len(found):
            values = found.extra[name]
            if values.ndim != 1:
                raise PluginError(f"stacked: the extra array {name!r} has {values[0].size} values each; it needs one.")
            parts.append(values.astype(np.float64))
    return np.concatenate(parts)
