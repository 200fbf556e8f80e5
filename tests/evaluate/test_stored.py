"""Stored detections give every score back exactly, with every matcher; errors in the file are named."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mitobench.errors import RecordError
from mitobench.evaluate import MATCHERS, FrameEntry, FramePrediction, choose_threshold, evaluate
from mitobench.evaluate.stored import COLUMNS, StoredDetections, from_csv, of_frames, to_csv
from mitobench.foreign.limits import MAX_PX

pytestmark = pytest.mark.slow

RADIUS_UM = 5.0

# Whole px at .5 um/px on a small frame: equal distances, doubled detections and hits at the very radius are frequent.
coordinate = st.integers(0, 24).map(float)
point = st.tuples(coordinate, coordinate)
detection = st.tuples(coordinate, coordinate, st.sampled_from([0.125, 0.25, 0.5, 0.75, 0.875]))
frame = st.tuples(st.lists(point, max_size=5), st.lists(detection, max_size=8), st.booleans())


def predictions(
    drawn: Sequence[tuple[list[tuple[float, float]], list[tuple[float, float, float]], bool]],
) -> list[FramePrediction]:
    made = []
    for number, (truth, found, labelled) in enumerate(drawn):
        rows = np.array(found, dtype=np.float64).reshape(-1, 3)
        mitoses = np.array(truth if labelled else [], dtype=np.float64).reshape(-1, 2)
        made.append(
            FramePrediction(f"F{number}", f"{number % 2}", (0.5, 0.5), mitoses, rows[:, :2], rows[:, 2], labelled)
        )
    return made


def stored(frames: Sequence[FramePrediction], matcher: str) -> StoredDetections:
    score = np.concatenate([np.zeros(0), *(frame.score for frame in frames)])
    boxes = [np.concatenate([frame.xy - 1, frame.xy + 1], axis=1) for frame in frames]
    return of_frames(frames, boxes, np.full(len(score), np.nan), score, matcher, RADIUS_UM)


@pytest.mark.slow
@pytest.mark.parametrize("matcher", MATCHERS)
@settings(max_examples=150, deadline=None)
@given(drawn=st.lists(frame, min_size=1, max_size=4), threshold=st.sampled_from([None, 0.25, 0.5, 0.75]))
@example(drawn=[([(0.0, 0.0), (8.0, 0.0)], [(4.0, 0.0, 0.5), (9.0, 0.0, 0.25)], True)], threshold=0.25)
def test_every_score_is_given_back_exactly(matcher: str, drawn: list, threshold: float | None) -> None:
    frames = predictions(drawn)
    entries = [FrameEntry.of(frame) for frame in frames]
    again = from_csv(to_csv(stored(frames, matcher)))
    read = again.frames(entries, again.score, matcher)
    rule = matcher, RADIUS_UM
    once, now = (evaluate(of, threshold, *rule).model_dump() for of in (frames, read))
    median, again_median = once.pop("localisation_um"), now.pop("localisation_um")
    assert now == once
    assert again_median == (None if median is None else pytest.approx(median, rel=1e-12))
    assert choose_threshold(read, *rule) == choose_threshold(frames, *rule)
    assert [entry.mitoses for entry in entries] == [len(f.truth_xy) if f.labelled else None for f in frames]


def test_the_nearest_mitosis_is_stored_first_by_its_index_in_the_file() -> None:
    truth = np.array([[20.0, 0.0], [9.0, 0.0], [3.0, 0.0]])
    found = FramePrediction("F", "0", (0.5, 0.5), truth, np.array([[5.0, 0.0], [60.0, 0.0]]), np.array([0.5, 0.25]))
    lines = to_csv(stored([found], "mitos")).splitlines()
    assert lines[0] == ",".join(COLUMNS)
    assert lines[1] == "F,5.00,0.00,4.0,-1.0,6.0,1.0,0.5,,0.5,2,1.0,1:2.0"
    assert lines[2] == "F,60.00,0.00,59.0,-1.0,61.0,1.0,0.25,,0.25,,,"


def test_a_detection_without_a_score_is_not_ranked_and_counts_for_the_detector_alone() -> None:
    text = f"{','.join(COLUMNS)}\nF,5,5,4,4,6,6,0.5,,,0,1.0,\nF,9,9,8,8,10,10,0.75,0.5,0.625,,,\n"
    read, entries = from_csv(text), [FrameEntry(frame="F", group="0", mitoses=1)]
    assert read.is_candidate.tolist() == [False, True]
    assert [len(frame.xy) for frame in read.frames(entries, read.score, "mitos")] == [1]
    assert [len(frame.xy) for frame in read.frames(entries, read.detector, "mitos")] == [2]
    assert read.near.tolist() == [True, False]


ROW = dict(zip(COLUMNS, ["F", "5", "5", "4", "4", "6", "6", "0.5", "0.5", "0.5", "0", "1.0", "1:2.0"], strict=True))


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ("x", ""),
        ("x", "nan"),
        ("y", "inf"),
        ("x1", "1e400"),
        ("detector_score", ""),
        ("detector_score", "1_0"),
        ("score", " 0.5"),
        ("score", "half"),
        ("mitosis", "-1"),
        ("mitosis", "1.5"),
        ("mitosis", "9" * 30),
        ("mitosis", ""),
        ("distance_um", ""),
        ("distance_um", "-0.5"),
        ("distance_um", "3.0"),
        ("also_within", "1"),
        ("also_within", "0:2.0"),
        ("also_within", "1:2.0 2:1.5"),
    ],
)
def test_an_invalid_cell_is_an_error_with_its_row(column: str, cell: str) -> None:
    assert len(from_csv(f"{','.join(COLUMNS)}\n{','.join(ROW.values())}\n")) == 1
    with pytest.raises(RecordError, match="row 2"):
        from_csv(f"{','.join(COLUMNS)}\n{','.join({**ROW, column: cell}.values())}\n")


@pytest.mark.parametrize("text", ["", "\n", "frame,x\nF,1\n", f"{','.join(COLUMNS)}\nF,1\n", 'frame,"x\n'])
def test_unexpected_columns_are_named(text: str) -> None:
    with pytest.raises(RecordError):
        from_csv(text)


@pytest.mark.parametrize(
    ("entry", "message"),
    [({"frame": "G", "mitoses": 3}, "not among the record's frames"), ({"frame": "F", "mitoses": 1}, "which has 1")],
)
def test_a_detection_on_an_unknown_frame_or_mitosis_is_named(entry: dict, message: str) -> None:
    read = from_csv(f"{','.join(COLUMNS)}\n{','.join(ROW.values())}\n")
    with pytest.raises(RecordError, match=message):
        read.frames([FrameEntry(group="0", **entry)], read.score, "mitos")


# ------------------------------------------------------------------------------------- untrusted files


def rows(number: int, frame: str = "F", x: str = "1", near: str = "") -> str:
    """CSV rows of equal detections, as an untrusted file may have."""
    row = ",".join([frame, x, "1", "0", "0", "2", "2", "0.5", "", "0.5", near, near and "1.0", ""])
    return "\n".join([",".join(COLUMNS), *[row] * number, ""])


@pytest.mark.parametrize("x", ["1000001", "-1e7", "1e9"])
def test_implausible_coordinates_are_refused(x: str) -> None:
    with pytest.raises(RecordError, match=r"row 2: x is .*, which is out of range"):
        from_csv(rows(1, x=x))
    assert from_csv(rows(1, x=str(int(MAX_PX)))).xy[0, 0] == MAX_PX


def test_one_long_frame_id_does_not_take_its_length_in_memory_per_row() -> None:
    with pytest.raises(RecordError, match="row 2: the frame's id has 100,000 characters"):
        from_csv(rows(1, frame="x" * 100_000))


@pytest.mark.parametrize("others", [0, 100_000])
def test_pairs_of_detections_and_mitoses_are_limited_over_all_frames(others: int) -> None:
    found = from_csv(rows(1 if others else 10_000))
    entries = [FrameEntry(frame=name, group="g", mitoses=50_000) for name in ("F", *map(str, range(others)))]
    with pytest.raises(RecordError, match="pairs of a detection and a mitosis"):
        found.frames(entries, found.score, "mitos")


def test_too_many_detections_for_a_matcher_that_runs_at_every_rank_are_refused() -> None:
    found, entry = from_csv(rows(2_000, near="0")), FrameEntry(frame="F", group="g", mitoses=2_000)
    for matcher in ("evalutils", "hungarian"):
        with pytest.raises(RecordError, match="too crowded"):
            found.frames([entry], found.score, matcher)
    assert len(found.frames([entry], found.score, "mitos")) == 1


def test_a_repeated_frame_is_refused() -> None:
    found, entry = from_csv(rows(1)), FrameEntry(frame="F", group="g", mitoses=1)
    with pytest.raises(RecordError, match="twice"):
        found.frames([entry, entry], found.score, "mitos")
