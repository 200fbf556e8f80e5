"""Frames to score, hand-written and random. At 0.25 um/px a radius of 5 um is 20 px."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from mitobench.evaluate import FramePrediction

RADIUS_UM = 5.0


def frame(
    truth: Sequence[tuple[float, float]] = (),
    detections: Sequence[tuple[float, float, float]] = (),
    *,
    id: str = "A00_00",
    group: str = "00",
    mpp: tuple[float, float] = (0.25, 0.25),
    labelled: bool = True,
) -> FramePrediction:
    """A frame with mitoses (x, y) and detections (x, y, score), in px."""
    found = np.array(detections, dtype=float).reshape(-1, 3)
    return FramePrediction(id, group, mpp, points(truth), found[:, :2], found[:, 2], labelled)


def points(xy: Sequence[tuple[float, float]]) -> NDArray[np.float64]:
    """[N, 2] px."""
    return np.array(xy, dtype=float).reshape(-1, 2)


# A coarse grid within a few radii and few distinct scores: crowded, with ties in score, distance and position.
_on_grid = st.integers(0, 6).map(lambda n: 8.0 * n)
_scores = st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9])
truths = st.lists(st.tuples(_on_grid, _on_grid), max_size=6)
detections = st.lists(st.tuples(_on_grid, _on_grid, _scores), max_size=9)


@st.composite
def splits(draw: st.DrawFn) -> list[FramePrediction]:
    """One to four crowded frames."""
    frames = draw(st.lists(st.tuples(truths, detections), min_size=1, max_size=4))
    return [frame(t, d, id=f"A0{n}_00", group=f"0{n}") for n, (t, d) in enumerate(frames)]
