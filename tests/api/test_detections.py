"""`Detections.apart` keeps one detection of each cell."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mitobench.api import Detections

MPP = (0.25, 0.5)

points = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 30), st.sampled_from([0.1, 0.5, 0.5, 0.9])), max_size=30)


def detections(rows: list[tuple[float, float, float]]) -> Detections:
    values = np.array(rows, dtype=float).reshape(-1, 3)
    number = np.arange(len(values))
    return Detections.from_points(values[:, :2], values[:, 2], extra={"number": number})


def test_of_two_near_each_other_the_better_one_is_kept() -> None:
    found = detections([(0, 0, 0.4), (8, 0, 0.8), (100, 0, 0.2)]).apart(MPP, 5.0)
    assert found.xy.tolist() == [[8, 0], [100, 0]]
    assert found.extra["number"].tolist() == [1, 2]


def test_the_distance_is_in_um_and_one_that_is_as_far_is_kept() -> None:
    rows = [(0, 0, 0.9), (20, 0, 0.5), (0, 9.9, 0.4)]
    assert detections(rows).apart(MPP, 5.0).xy.tolist() == [[0, 0], [20, 0]]


def test_one_that_was_dropped_drops_no_other() -> None:
    assert detections([(0, 0, 0.9), (15, 0, 0.5), (30, 0, 0.4)]).apart(MPP, 5.0).xy.tolist() == [[0, 0], [30, 0]]


@pytest.mark.parametrize("rows", [[], [(1, 1, 0.5)]])
def test_few_are_all_kept(rows: list[tuple[float, float, float]]) -> None:
    assert len(detections(rows).apart(MPP, 5.0)) == len(rows)


@given(points)
def test_kept_ones_are_apart_and_dropped_ones_are_near_a_kept_one_that_is_no_worse(
    rows: list[tuple[float, float, float]],
) -> None:
    found, kept = detections(rows), detections(rows).apart(MPP, 5.0)
    assert (np.diff(kept.score) <= 0).all()
    place = kept.xy * MPP
    apart = np.linalg.norm(place[:, None] - place[None], axis=2) + 1e3 * np.eye(len(kept))
    assert (apart >= 5.0 * (1 - 1e-6)).all()
    for xy, score, number in zip(found.xy, found.score, found.extra["number"], strict=True):
        if number not in kept.extra["number"]:
            near = np.linalg.norm(place - xy * np.asarray(MPP), axis=1) < 5.0
            assert (kept.score[near] >= score).any()


@given(points)
def test_without_a_distance_they_are_only_sorted(rows: list[tuple[float, float, float]]) -> None:
    kept = detections(rows).apart(MPP, 0)
    assert sorted(kept.extra["number"].tolist()) == list(range(len(rows)))
