"""The table of a run, whole on a narrow terminal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from records import DETECTIONS, ok
from report.counted import F1_8, counted

from mitobench.report import build
from mitobench.results import record


@pytest.mark.parametrize("width", [70, 80, 100, 200])
def test_every_name_and_number_of_a_row_is_whole(
    width: int, tmp_path: Path, mitobench: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    record.write(tmp_path / build.RECORDS, ok(f1=0.832, detector="a-detector-with-a-long-name"), DETECTIONS)
    monkeypatch.setenv("COLUMNS", str(width))
    shown = mitobench("leaderboard", "show", tmp_path).out
    assert "a-detector-with-a-long-name" in shown
    assert ".832" in shown
    assert "…" not in shown
    for column in ("P", "R", "F1 [95 %]", "alone", "oracle", "AP", "s/frame", "seeds"):
        assert column in shown


def test_each_row_has_its_rank_range_and_the_mark_of_the_noise(tmp_path: Path, mitobench: Callable[..., Any]) -> None:
    for name, each in (("one", F1_8), ("same", F1_8)):
        record.write(tmp_path / build.RECORDS, counted(each, detector=name), DETECTIONS)
    record.write(tmp_path / build.RECORDS, counted([(0, 20, 2)] * 6, detector="far"), DETECTIONS)
    shown = " ".join(mitobench("leaderboard", "show", tmp_path).out.split())
    assert shown.count("rank range 1 to 2 ≈") == 2
    assert shown.count("rank range 3 ") == 1
