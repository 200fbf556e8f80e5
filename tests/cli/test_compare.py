"""`mitobench compare`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_runs
from records import frame, ok, write_complete_record


def written(folder: Path, tp: int, **changes: Any) -> Path:
    """Writes a record of two frames with three mitoses each, `tp` of which are found on the second."""
    return write_complete_record(folder, ok(**changes), [frame("A00_00", 1, 1, 2), frame("A00_01", tp, 0, 3 - tp)])


def test_the_difference_and_the_frames_are_shown(mitobench: Callable[..., Any], tmp_path: Path) -> None:
    answer = mitobench("compare", written(tmp_path, 3), written(tmp_path, 1, seed=1))
    assert answer.code == 0, answer.err
    assert "f1          0.727  0.444" in answer.out
    assert "95 % over 2 frames, as there are fewer than five slides: covers about" in answer.out
    assert "The difference in F1 is inside the noise." in answer.out
    assert "1 frame with different counts" in answer.out
    assert answer.out.splitlines()[-1].split() == ["A00_01", "3", "0", "0", "1", "0", "2"]


def test_equal_counts_are_reported(mitobench: Callable[..., Any], tmp_path: Path) -> None:
    path = written(tmp_path, 2)
    assert "Both records have the same counts on every frame." in mitobench("compare", path, path).out


@pytest.mark.parametrize("change", [{"data_digest": "e" * 64}, {"matcher": "midog"}])
def test_records_measured_differently_cannot_be_compared(
    mitobench: Callable[..., Any], tmp_path: Path, change: dict[str, str]
) -> None:
    one, other = written(tmp_path, 3), written(tmp_path, 3, **change)
    answer = mitobench("compare", one, other)
    assert answer.code == 2
    assert f"{one} and {other} were not measured in the same way: " in answer.err


def test_a_changed_record_is_an_error(mitobench: Callable[..., Any], tmp_path: Path) -> None:
    path = written(tmp_path, 3)
    path.write_text(path.read_text().replace('"tp": 3', '"tp": 2'))
    assert mitobench("compare", path, path).code == 2


def test_a_record_with_wrong_numbers_is_an_error(mitobench: Callable[..., Any], tmp_path: Path) -> None:
    path = written(tmp_path, 3)
    tiny_runs.reseal(path, lambda content: content["test"].update(f1=0.99))
    answer = mitobench("compare", path, path)
    assert answer.code == 2
    assert f"{path}: test.f1 is 0.99; it must be 0.727" in answer.err


def test_counts_and_what_annotators_say_are_side_by_side(mitobench: Callable[..., Any], tmp_path: Path) -> None:
    def cases(found: int) -> Path:
        frames = [
            replace(
                frame(f"A{i:02d}", found, i, 4 - found),
                area_mm2=0.5,
                domains={"tumour": "human breast cancer"},
                contested=np.array([True, False, False, False]),
                contested_imposters=np.zeros(1, dtype=bool),
                imposter_xy=np.array([[0.0, 500.0]]),  # where the first false positive is
            )
            for i in range(3)
        ]
        return write_complete_record(tmp_path, ok(seed=found), frames)

    shown = mitobench("compare", cases(4), cases(2)).out
    lines = {line[:38].strip(): line[38:].split() for line in shown.splitlines()}
    assert lines["false positives per mm2"] == ["2.00", "2.00", "+0.00"]
    assert lines["false positives on annotated imposters"] == ["2", "2", "+0"]
    assert lines["other false positives"] == ["1", "1", "+0"]
    assert lines["F1 without contested figures"] == ["0.857", "0.400", "+0.457"]
    assert "The count, mitoses per mm2 over 3 cases:" in shown
    counts = {line[:34].strip(): line[34:].split() for line in shown.partition("The count")[2].splitlines()}
    assert counts["detected per mm2, mean"] == ["10.00", "6.00", "+4.00"]
    assert counts["annotated per mm2, mean"] == ["8.00", "8.00", "+0.00"]
    assert counts["bias"] == ["2.00", "-2.00", "+4.00"]
    assert counts["upper limit of agreement"] == ["5.92", "1.92", "+4.00"]
    assert counts["share on the same side of cut-offs"] == ["1.000", "0.333", "+0.667"]


def test_records_without_areas_have_no_count(mitobench: Callable[..., Any], tmp_path: Path) -> None:
    path = written(tmp_path, 2)
    shown = mitobench("compare", path, path).out
    assert "The count" not in shown
    assert "false positives per mm2" not in shown
