"""What `stacked` knows about a candidate, as numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import logit

from mitobench.api import Detections, Floats, Frame, PluginError

NAMES = (
    "detector score",
    "verifier score",
    "width",
    "height",
    "area",
    "rank by detector",
    "rank by verifier",
    "density",
)
EPS = 1e-6  # probabilities are clipped to [EPS, 1 - EPS], so that their logits are finite
MIN_SIDE_UM = 0.1  # boxes without an area are measured as this wide


def are_probabilities(scores: Floats) -> bool:
    """Whether all scores, [N], lie between 0 and 1."""
    return bool(np.all((scores >= 0) & (scores <= 1)))


def features(
    scores: tuple[Floats, Floats],
    probabilities: tuple[bool, bool],
    frames: Sequence[Frame],
    detections: Sequence[Detections],
    density_um: float,
    extra: Sequence[str] = (),
) -> NDArray[np.float32]:
    """Returns the features of N candidates in the order of `NAMES`, then the extra arrays, [N, F].

    Lengths (um) and areas (um2) are logarithms, ranks and densities log(1 + x).

    Args:
        scores: of the detector and of the verifier, [N] each.
        probabilities: whether each of the two is a probability, whose logit is taken.
        frames: the frames.
        detections: the candidates of each, together N.
        density_um: radius within which other candidates count as neighbours, um.
        extra: names of extra arrays of the detections, each [N].

    Raises PluginError for an extra array that the detections do not have, or one with more than one value each.
    """
    size = np.concatenate([np.zeros((0, 2)), *map(_sides_um, frames, detections)])
    counts = [len(found) for found in detections]
    columns = [
        *(
            logit(np.clip(score, EPS, 1 - EPS)) if probability else score
            for score, probability in zip(scores, probabilities, strict=True)
        ),
        *np.log(size).T,
        np.log(size).sum(axis=1),
        *(_ranks_in_frames(score, counts) for score in scores),
        np.concatenate(
            [np.zeros(0), *(_neighbours(f, d, density_um) for f, d in zip(frames, detections, strict=True))]
        ),
        *(_extra(detections, name) for name in extra),
    ]
    largest = float(np.finfo(np.float32).max)
    stacked: NDArray[np.float32] = np.stack(columns, axis=1).clip(-largest, largest).astype(np.float32)
    return stacked


def _sides_um(frame: Frame, found: Detections) -> Floats:
    """Width and height of the boxes, [N, 2] um."""
    sides: Floats = np.maximum((found.boxes[:, 2:] - found.boxes[:, :2]) * frame.mpp, MIN_SIDE_UM)
    return sides


def _ranks_in_frames(score: Floats, counts: Sequence[int]) -> Floats:
    parts = np.split(score, np.cumsum(counts)[:-1]) if counts else []
    joined: Floats = np.concatenate([np.zeros(0), *map(_ranks, parts)])
    return joined


def _ranks(score: Floats) -> Floats:
    """log(1 + number of candidates of the frame with a higher score), [N]."""
    ascending = np.sort(score)
    higher = len(score) - np.searchsorted(ascending, score, side="right")
    return np.log1p(higher.astype(np.float64))


def _neighbours(frame: Frame, found: Detections, density_um: float) -> Floats:
    """log(1 + number of other candidates within `density_um`), [N]."""
    if not len(found):
        return np.zeros(0)
    xy = found.xy * frame.mpp
    counts = cKDTree(xy).query_ball_point(xy, density_um, return_length=True) - 1
    neighbours: Floats = np.log1p(counts.astype(np.float64))
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
