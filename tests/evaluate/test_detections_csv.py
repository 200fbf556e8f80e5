"""Detections of any tool: two forms, tolerant of layout, strict about values; errors name file and line."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mitobench.errors import MitobenchError
from mitobench.evaluate import read_detections

Write = Callable[[str | bytes], Path]

KNOWN = ["A00_00", "A00_08", "A01_04"]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def _write(text: str | bytes) -> Path:
        path = tmp_path / "detections.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return _write


def test_points(write: Write) -> None:
    found = read_detections(write("frame,x,y,score\nA00_00,10,20.5,0.9\nA00_08,1,2,-3\nA00_00,30,40,1e-3\n"), KNOWN)
    assert list(found) == ["A00_00", "A00_08"]
    np.testing.assert_array_equal(found["A00_00"].xy, [[10, 20.5], [30, 40]])
    np.testing.assert_array_equal(found["A00_00"].score, [0.9, 0.001])


def test_boxes(write: Write) -> None:
    found = read_detections(write("frame,x1,y1,x2,y2,score\nA00_00,10,20,40,60,0.9\n"), KNOWN)["A00_00"]
    np.testing.assert_array_equal(found.xy, [[25, 40]])
    np.testing.assert_array_equal(found.boxes, [[10, 20, 40, 60]])


def test_columns_in_any_order_and_case_others_ignored(write: Write) -> None:
    found = read_detections(write("label, Score,Y,X ,frame\nmitosis,0.9,20,10,A00_00\n"), KNOWN)["A00_00"]
    np.testing.assert_array_equal(found.xy, [[10, 20]])


def test_points_are_used_if_both_forms_are_present(write: Write) -> None:
    found = read_detections(write("frame,x,y,x1,y1,x2,y2,score\nA00_00,10,20,0,0,1,1,0.9\n"), KNOWN)["A00_00"]
    np.testing.assert_array_equal(found.xy, [[10, 20]])


def test_windows_line_ends_a_byte_order_mark_and_blank_lines(write: Write) -> None:
    text = "\ufeffframe,x,y,score\r\n\r\nA00_00,10,20,0.9\r\n , , ,\r\n"
    assert len(read_detections(write(text), KNOWN)["A00_00"]) == 1


@pytest.mark.parametrize("name", ["A00_00", "A00_v2/A00_00", "A00_v2\\A00_00", "test/A00_v2/A00_00.bmp", " A00_00 "])
def test_a_frame_with_or_without_folder_and_suffix(write: Write, name: str) -> None:
    assert list(read_detections(write(f"frame,x,y,score\n{name},10,20,0.9\n"), KNOWN)) == ["A00_00"]


def test_equal_rows_are_separate_detections(write: Write) -> None:
    found = read_detections(write("frame,x,y,score\nA00_00,1,2,0.9\nA00_00,1,2,0.9\n"), KNOWN)
    assert len(found["A00_00"]) == 2


def test_a_header_without_rows_means_no_detections(write: Write) -> None:
    assert read_detections(write("frame,x,y,score\n"), KNOWN) == {}


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "the header must have frame,x,y,score or .*; it has nothing"),
        ("A00_00,10,20,0.9\n", 1, "the header must have .*it has a00_00,10,20,0.9"),
        ("frame,x,y\n", 1, "the header must have .*it has frame,x,y"),
        ("frame,x,y,x,score\n", 1, "column x appears twice"),
        ("frame,x,y,score\nA00_00,1,2,0.5\nA00_00,ten,2,0.5\n", 3, "x is 'ten', which is not a number"),
        ("frame,x,y,score\n\nA00_00,1,2,\n", 3, "score is '', which is not a number"),
        ("frame,x,y,score\nA00_00,1,nan,0.5\n", 2, "y is nan"),
        ("frame,x,y,score\nA00_00,1,2,inf\n", 2, "score is inf"),
        ("frame,x,y,score\nA00_00,1,2\n", 2, "3 columns, but the header has 4"),
        ("frame,x,y,score\nA00_00,1,2,3,4\n", 2, "5 columns, but the header has 4"),
        ("frame,x1,y1,x2,y2,score\nA00_00,9,1,2,3,0.5\n", 2, "the box ends before it starts"),
        ("frame,x,y,score\nA00_80,1,2,0.5\n", 2, "unknown frame 'A00_80'. Did you mean .*A00_08"),
        ('frame,x,y,score\nA00_00,1,2,"0.5\n', 2, "is not CSV: unexpected end of data"),
    ],
)
def test_an_error_names_file_line_and_problem(write: Write, text: str, line: int, message: str) -> None:
    with pytest.raises(MitobenchError, match=rf"detections\.csv:{line}: {message}"):
        read_detections(write(text), KNOWN)


def test_a_file_that_is_not_text(write: Write) -> None:
    with pytest.raises(MitobenchError, match="is not UTF-8 text"):
        read_detections(write(b"frame,x,y,score\n\xff\xfe,1,2,3\n"), KNOWN)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(MitobenchError, match="cannot be read: No such file"):
        read_detections(tmp_path / "none.csv", KNOWN)


def test_a_records_file_is_compressed_and_unranked_detections_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "r.detections.csv.gz"
    path.write_bytes(gzip.compress(b"frame,x,y,detector_score,score\nA00_00,1,2,0.6,0.5\nA00_00,3,4,0.1,\n"))
    assert read_detections(path, KNOWN)["A00_00"].xy.tolist() == [[1, 2]]


@pytest.mark.parametrize(
    "content",
    [b"frame,x,y,score\n", gzip.compress(b"frame,x,y,score\n" + b"A00_00,1,2,3\n" * 99, mtime=0)[:-9]],
    ids=["not packed", "torn"],
)
def test_an_invalid_or_truncated_gzip_file_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "r.csv.gz"
    path.write_bytes(content)
    with pytest.raises(MitobenchError, match=r"r\.csv\.gz: cannot be read: "):
        read_detections(path, KNOWN)
