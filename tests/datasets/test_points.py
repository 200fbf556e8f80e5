"""Coordinates: errors name file and line; points slightly outside the frame are clipped with a note."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mitobench.api import DataError
from mitobench.datasets.points import clip, rows

SIZE = (100, 50)


def test_blank_lines_spaces_crlf_bom_and_trailing_commas_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbf 1 , 2.5,\r\n\r\n  ,,\r\n3,4,,\r\n")
    assert [(where.rsplit(":")[-1], numbers) for where, numbers in rows(path)] == [("1", [1, 2.5]), ("4", [3, 4])]


@pytest.mark.parametrize("cell", ["x", "nan", "inf", "", "1;2"])
def test_text_nan_and_inf_are_errors_with_file_and_line(tmp_path: Path, cell: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"1,2\n3,{cell},4\n")
    with pytest.raises(DataError, match=r"a\.csv:2: .*is not a number"):
        list(rows(path))


def test_bytes_that_are_not_utf_8_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(DataError, match=r"a\.csv:1: is not UTF-8 text"):
        list(rows(path))


def test_inside_is_left_alone() -> None:
    xy = np.array([[0.0, 0.0], [99.0, 49.0], [12.5, 7.25]])
    clipped, notes = clip(xy, SIZE, "a.csv:1")
    np.testing.assert_array_equal(clipped, xy)
    assert notes == []


@pytest.mark.parametrize(
    ("point", "to"), [((100, 5), (99, 5)), ((5, 50), (5, 49)), ((-1.9, 5), (0, 5)), ((100.9, 50.9), (99, 49))]
)
def test_less_than_two_px_outside_is_clipped_and_noted(point: tuple[float, float], to: tuple[float, float]) -> None:
    clipped, notes = clip(np.array([point], dtype=float), SIZE, "a.csv:7")
    np.testing.assert_array_equal(clipped, [to])
    assert len(notes) == 1
    assert notes[0].startswith("a.csv:7: ")


@pytest.mark.parametrize("point", [(101, 5), (5, 51), (-2, 5), (5, -300)])
def test_two_px_outside_is_an_error_with_file_and_line(point: tuple[float, float]) -> None:
    with pytest.raises(DataError, match=r"a\.csv:7: .* px outside the frame of 100 x 50"):
        clip(np.array([[1, 1], point], dtype=float), SIZE, "a.csv:7")


@pytest.mark.parametrize("line", ["1,20,300", "1,20,300,", " 1,20,300", "1.0,2e1,300", "+1,20,3.0e2", "001,020,0300"])
def test_whole_numbers_are_read_like_all_others(tmp_path: Path, line: str) -> None:
    (tmp_path / "a.csv").write_text(f"{line}\n")
    assert [numbers for _, numbers in rows(tmp_path / "a.csv")] == [[1.0, 20.0, 300.0]]
