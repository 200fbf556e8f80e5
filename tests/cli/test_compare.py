"""`mitobench compare`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from records import DETECTIONS, metrics, ok

from mitobench.evaluate import FrameCounts
from mitobench.results import record


def written(folder: Path, tp: int, **changes: Any) -> Path:
    """A record of two frames with three mitoses each: `tp` of the second's are found."""
    frames = [
        FrameCounts(frame="A00_00", group="00", tp=1, fp=1, fn=2),
        FrameCounts(frame="A00_01", group="00", tp=tp, fp=0, fn=3 - tp),
    ]
    made = ok(**changes).model_copy(update={"test": metrics((2 + 2 * tp) / 8, frames=frames)})
    return record.write(folder, made, DETECTIONS)


def test_the_difference_and_the_frames_are_shown(mitobench: Callable[..., Any], tmp_path: Path) -> None:
    answer = mitobench("compare", written(tmp_path, 3), written(tmp_path, 1, seed=1))
    assert answer.code == 0, answer.err
    assert "f1          1.000  0.500" in answer.out
    assert "95 % over 2 frames, as there are fewer than five slides: covers about" in answer.out
    assert "The difference of F1 is inside the noise." in answer.out
    assert "1 frame on which they disagree" in answer.out
    assert answer.out.splitlines()[-1].split() == ["A00_01", "3", "0", "0", "1", "0", "2"]


def test_equal_counts_are_said_to_be_equal(mitobench: Callable[..., Any], tmp_path: Path) -> None:
    path = written(tmp_path, 2)
    assert "The counts of every frame are equal." in mitobench("compare", path, path).out


@pytest.mark.parametrize("change", [{"data_digest": "e" * 64}, {"matcher": "midog"}])
def test_what_was_not_measured_alike_is_an_error(
    mitobench: Callable[..., Any], tmp_path: Path, change: dict[str, str]
) -> None:
    one, other = written(tmp_path, 3), written(tmp_path, 3, **change)
    answer = mitobench("compare", one, other)
    assert answer.code == 2
    assert f"{one} and {other} were not measured alike: " in answer.err


def test_a_changed_record_is_an_error(mitobench: Callable[..., Any], tmp_path: Path) -> None:
    path = written(tmp_path, 3)
    path.write_text(path.read_text().replace('"tp": 3', '"tp": 2'))
    assert mitobench("compare", path, path).code == 2
