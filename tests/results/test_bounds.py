"""Without the annotation, the stored detections bound what the annotation gives, and often tell it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mitobench.evaluate import FramePrediction, Metrics, evaluate
from mitobench.results import recount
from mitobench.results.bounds import bounds
from mitobench.results.recount import Rows

RADIUS_UM = 5.0
OFF_GRID_UM = 5.01  # no distance below lies on the rim, where four digits cannot tell inside from outside
coordinates = st.integers(0, 24)
points = st.lists(st.tuples(coordinates, coordinates), max_size=5)
scores = st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9])


@st.composite
def frames(draw: st.DrawFn, most_mitoses: int = 4) -> list[FramePrediction]:
    """Small crowded frames: several detections near one mitosis, equal scores, mitoses close together."""
    made = []
    for number in range(draw(st.integers(1, 4))):
        truth, xy = (np.array(draw(points), dtype=float).reshape(-1, 2) for _ in range(2))
        score = np.array([draw(scores) for _ in xy])
        made.append(FramePrediction(f"F{number}", f"{number}", (0.5, 0.5), truth[:most_mitoses], xy, score))
    return made


def stored(frames: list[FramePrediction], metrics: Metrics) -> Rows:
    """The detections as a record stores them."""
    name = np.array([frame.frame for frame in frames for _ in frame.xy], dtype=np.str_)
    xy = np.concatenate([np.zeros((0, 2)), *(frame.xy for frame in frames)])
    score = np.concatenate([np.zeros(0), *(frame.score for frame in frames)])
    distance = [frame.match(metrics.matcher, metrics.radius_um).distance_um.round(4) for frame in frames]
    hit = np.zeros(len(score), dtype=bool)
    counted = score >= (metrics.threshold or 0)
    kept = [frame.above(metrics.threshold or 0).match(metrics.matcher, metrics.radius_um).hit for frame in frames]
    hit[counted] = np.concatenate([np.zeros(0, dtype=bool), *kept])
    everything = np.ones(len(score), dtype=bool)
    return Rows(name, xy, score, score, np.concatenate([np.zeros(0), *distance]), everything, hit)


@settings(max_examples=200, deadline=None)
@given(frames=frames(), threshold=scores, matcher=st.sampled_from(["mitos", "greedy"]))
def test_what_matching_gives_is_inside(frames: list[FramePrediction], threshold: float, matcher: str) -> None:
    metrics = evaluate(frames, threshold, matcher, RADIUS_UM)
    rows = stored(frames, metrics)
    assert list(recount.wrong_counts(metrics)) == []
    assert list(recount.wrong_detections(metrics, rows)) == []
    known = bounds(metrics, rows)
    assert known is not None
    assert list(known.wrong(metrics)) == []


@settings(max_examples=100, deadline=None)
@given(frames=frames(most_mitoses=1), threshold=scores)
def test_with_one_mitosis_a_frame_nothing_is_left_open(frames: list[FramePrediction], threshold: float) -> None:
    metrics = evaluate(frames, threshold, "mitos", OFF_GRID_UM)
    known = bounds(metrics, stored(frames, metrics))
    assert known is not None
    assert known.meet


@pytest.mark.parametrize("matcher", ["hungarian", "midog"])
def test_a_matcher_whose_hits_depend_on_lower_ranks_tells_nothing(matcher: str) -> None:
    frame = FramePrediction("F0", "0", (0.5, 0.5), np.array([[5.0, 5.0]]), np.array([[5.0, 6.0]]), np.array([0.9]))
    metrics = evaluate([frame], 0.5, matcher, RADIUS_UM)
    assert bounds(metrics, stored([frame], metrics)) is None
    assert list(recount.wrong_detections(metrics, stored([frame], metrics))) == []


@pytest.mark.parametrize("labelled", [True, False])
def test_without_a_threshold_or_a_label_nothing_is_counted(labelled: bool) -> None:
    frame = FramePrediction("F0", "0", (0.5, 0.5), np.zeros((0, 2)), np.array([[5.0, 6.0]]), np.array([0.9]), labelled)
    metrics = evaluate([frame], None if labelled else 0.5, "mitos", RADIUS_UM)
    assert list(recount.wrong_counts(metrics)) == []
    assert bounds(metrics, stored([frame], metrics)) is None
    counted = metrics.model_copy(update={"f1": 0.5})
    assert [name for name, *_ in recount.wrong_counts(counted)] == ["f1"]
