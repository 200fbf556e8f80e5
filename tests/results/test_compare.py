"""Two records are compared frame by frame if they were measured in the same way."""

from __future__ import annotations

from typing import Any

import pytest
from records import failed, metrics, ok

from mitobench.errors import RecordError
from mitobench.evaluate import FrameCounts, paired_difference
from mitobench.results.compare import compare
from mitobench.results.schema import Record


def counts(*tp_fp: tuple[int, int], mitoses: int = 3) -> list[FrameCounts]:
    """Frames F0, F1, ... with so many hits and false positives each."""
    frames = enumerate(tp_fp)
    return [FrameCounts(frame=f"F{n}", group=f"{n}", tp=tp, fp=fp, fn=mitoses - tp) for n, (tp, fp) in frames]


def scored(frames: list[FrameCounts], **changes: Any) -> Record:
    return ok(**changes).model_copy(update={"test": metrics(frames=frames)})


A, B = counts((1, 0), (3, 2), (2, 1), (0, 0)), counts((1, 0), (0, 2), (2, 2), (3, 9))


def test_the_difference_is_paired() -> None:
    found = compare(scored(A), scored(B, seed=1))
    assert found.differences == {m: paired_difference(A, B, m) for m in ("f1", "precision", "recall")}
    assert found.inside_noise is not None


def test_frames_that_differ_are_listed_most_different_first() -> None:
    found = compare(scored(A), scored(B))
    assert [one.frame for one, _ in found.frames] == ["F3", "F1", "F2"]
    assert [(one.tp, other.tp) for one, other in found.frames] == [(0, 3), (3, 0), (2, 2)]


def test_a_record_and_itself_disagree_on_no_frame() -> None:
    found = compare(scored(A), scored(A))
    assert found.frames == []
    assert found.inside_noise is True
    assert found.differences["f1"] is not None
    assert found.differences["f1"].delta == 0


def test_a_clear_difference_is_outside_the_noise() -> None:
    assert compare(scored(counts(*[(3, 0)] * 8)), scored(counts(*[(1, 3)] * 8))).inside_noise is False


def test_undefined_scores_have_no_difference() -> None:
    found = compare(scored(counts((0, 0), (0, 0))), scored(counts((1, 0), (0, 0))))
    assert found.differences["precision"] is None
    assert found.differences["recall"] is not None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data_digest": "e" * 64}, "digest of the test frames dddddddddddddddddddd and eeeeeeeeeeeeeeeeeeee"),
        ({"matcher": "greedy"}, "matcher mitos and greedy"),
        ({"protocol": "by-slide"}, "protocol official and by-slide"),
        ({"dataset": "mitos2014"}, "data set mitos2012 and mitos2014"),
    ],
)
def test_records_that_were_measured_differently_are_refused(change: dict[str, str], message: str) -> None:
    with pytest.raises(RecordError, match=f"here and there were not measured in the same way: .*{message}"):
        compare(ok(), ok(**change), ("here", "there"))


def test_another_radius_is_refused() -> None:
    other = ok()
    other = other.model_copy(update={"pipeline": {**other.pipeline, "radius_um": 8.0}})
    with pytest.raises(RecordError, match=r"radius \(um\) 5 and 8"):
        compare(ok(), other)


def test_a_record_without_scores_is_refused_with_its_reason() -> None:
    with pytest.raises(RecordError, match=r"there: has no scores to compare: out of memory\."):
        compare(ok(), failed(reason="out of memory"), ("here", "there"))
