"""The outcome of each detection and mitosis of a frame."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from records import metrics

from mitobench.api import Frame, Mitoses
from mitobench.datasets import Item
from mitobench.errors import RecordError
from mitobench.gallery.outcomes import (
    Mark,
    StoredCandidate,
    caption,
    hardest_misses,
    marks,
    most_confident_errors,
    short,
)
from mitobench.report.colours import OUTCOMES

TEST = metrics()  # threshold .5, radius 5 um
FRAME = Frame("A00_00", "some", "00", "A", (0.25, 0.25), (400, 400), lambda: np.zeros((400, 400, 3), dtype=np.uint8))


def item(*xy: tuple[float, float], labelled: bool = True, imposters: tuple[float, float] | None = None) -> Item:
    places = np.array(xy, dtype=np.float64).reshape(-1, 2)
    lookalikes = np.array([imposters] if imposters else [], dtype=np.float64).reshape(-1, 2)
    return Item(FRAME, Mitoses(places, None, lookalikes, labelled), ())


def candidate(
    x: float, y: float, score: float | None, found: int | None = None, near: int | None = None
) -> StoredCandidate:
    """A detection that found, or is near, the mitosis with this index."""
    return StoredCandidate((x, y), 0.7, 0.2, score, found, frozenset({found, near} - {None}))


def described(found: list[Mark]) -> list[tuple[str, tuple[float, float], str]]:
    return [(mark.outcome.title, mark.xy, mark.note) for mark in found]


def test_hits_errors_and_misses() -> None:
    found = marks(
        item((100, 100), (300, 300)),
        [candidate(101, 100, 0.9, found=0), candidate(200, 200, 0.8)],
        TEST,
    )
    assert described(found) == [
        ("true positive", (101, 100), ""),
        ("false positive", (200, 200), "35 um from the nearest mitosis"),
        ("false negative", (300, 300), "no candidate of its own within 5 um"),
    ]


def test_a_false_positive_has_a_note_on_its_kind() -> None:
    first = candidate(100, 100, 0.9, found=0)
    found = marks(
        item((100, 100), imposters=(200, 200)),
        [first, candidate(104, 100, 0.8, near=0), candidate(201, 200, 0.7)],
        TEST,
    )
    assert [mark.note for mark in found] == ["", "second detection of one mitosis", "annotated as a look-alike"]
    (alone,) = marks(item(), [candidate(10, 10, 0.9)], TEST)
    assert alone.note == "no mitosis on this frame"


def test_a_miss_names_the_best_candidate_near_it_that_did_not_count() -> None:
    near = [
        candidate(100, 104, 0.3, near=0),
        candidate(102, 100, 0.4, near=0),
        candidate(100, 100, None, near=0),
        candidate(200, 200, 0.45),
    ]
    (miss,) = marks(item((100, 100)), near, TEST)
    assert miss.candidate == near[1]
    assert caption(miss, 0.5)[1:] == ["score .400 < .500", "detector .700, verifier .200"]
    (dropped,) = marks(item((100, 100)), [near[2]], TEST)
    assert caption(dropped, 0.5)[1:] == [
        "no score",
        "detector .700, verifier .200",
        "dropped by the candidate threshold",
    ]


def test_the_hardest_misses_come_first() -> None:
    scored = [candidate(0, 0, 0.4), None, candidate(0, 0, 0.1), candidate(0, 0, None)]
    (miss,) = marks(item((100, 100)), [], TEST)
    ordered = hardest_misses(replace(miss, candidate=c) for c in scored)
    assert [mark.candidate for mark in ordered] == [scored[1], scored[3], scored[2], scored[0]]


def test_the_most_confident_errors_come_first() -> None:
    found = marks(item(), [candidate(0, 0, 0.6), candidate(9, 9, 0.9)], TEST)
    assert [mark.candidate and mark.candidate.score for mark in most_confident_errors(found)] == [0.9, 0.6]
    assert hardest_misses(found) == []


def test_detections_on_an_unlabelled_frame_are_neither_right_nor_wrong() -> None:
    found = marks(item(labelled=False), [candidate(0, 0, 0.6), candidate(9, 9, 0.4)], TEST)
    assert [mark.outcome.title for mark in found] == ["unlabelled detection"]


def test_without_a_threshold_nothing_counts() -> None:
    (miss,) = marks(item((100, 100)), [candidate(100, 100, 0.9)], metrics(threshold=None))
    assert miss.outcome.title == "false negative"


@pytest.mark.parametrize("annotated", [0, 3])
def test_a_mitosis_that_the_frame_does_not_have_is_refused(annotated: int) -> None:
    places = [(100.0 * n, 100.0) for n in range(annotated)]
    message = f"some/A00_00: a detection refers to mitosis {annotated}, but the frame has {annotated}"
    with pytest.raises(RecordError, match=message):
        marks(item(*places), [candidate(300, 300, 0.9, found=annotated)], TEST)


@pytest.mark.parametrize(
    ("score", "text"),
    [(0.9996, ".999"), (1.0, "1.000"), (0.0, ".000"), (None, "–"), (-2.5, "-2.500"), (-0.25, "-.250")],
)
def test_a_score_is_truncated_and_never_rounded_up_to_the_threshold(score: float | None, text: str) -> None:
    assert short(score) == text


def test_a_caption_names_no_verifier_if_there_is_none() -> None:
    found = StoredCandidate((1, 2), 0.7, None, 0.7, None, frozenset())
    assert caption(Mark("A00_00", (1, 2), OUTCOMES["fp"], found), 0.5)[-1] == "detector .700"
