"""The table of results, which must be complete on a narrow terminal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from records import frame, ok, write_complete_record

from mitobench.cli import console
from mitobench.evaluate import FramePrediction
from mitobench.pipeline.estimate import StageTime
from mitobench.report import build


def six(tp: int, fp: int, fn: int) -> list[FramePrediction]:
    """One frame with these counts for each of six slides."""
    return [frame(f"A{slide:02d}", tp, fp, fn) for slide in range(6)]


@pytest.mark.parametrize("width", [70, 80, 100, 200])
def test_no_name_or_number_of_a_row_is_cut(
    width: int, tmp_path: Path, mitobench: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_complete_record(tmp_path / build.RECORDS, ok(detector="a-detector-with-a-long-name"), six(5, 1, 1))
    monkeypatch.setenv("COLUMNS", str(width))
    shown = mitobench("leaderboard", "show", tmp_path).out
    assert "a-detector-with-a-long-name" in shown
    assert ".833" in shown
    assert "…" not in shown
    for column in ("P", "R", "F1 [95 %]", "alone", "oracle", "AP", "s/frame", "seeds"):
        assert column in shown


def test_each_row_shows_its_rank_range_and_whether_it_is_inside_the_noise(
    tmp_path: Path, mitobench: Callable[..., Any]
) -> None:
    for name in ("one", "same"):
        write_complete_record(tmp_path / build.RECORDS, ok(detector=name), six(2, 1, 0))
    write_complete_record(tmp_path / build.RECORDS, ok(detector="far"), six(1, 20, 1))
    shown = " ".join(mitobench("leaderboard", "show", tmp_path).out.split())
    assert shown.count("rank range 1 to 2 ≈") == 2
    assert shown.count("rank range 3 ") == 1


def test_the_count_of_the_best_row_is_one_sentence(tmp_path: Path, mitobench: Callable[..., Any]) -> None:
    frames = [replace(one, area_mm2=0.5, domains={"tumour": "human breast cancer"}) for one in six(2, 1, 0)]
    write_complete_record(tmp_path / build.RECORDS, ok(), frames)
    shown = " ".join(mitobench("leaderboard", "show", tmp_path).out.split())
    assert (
        "The count of rank 1: 6.0 detected and 4.0 annotated mitoses per mm2 (mean of 6 cases), bias +2.0, limits of "
        "agreement +2.0 to +2.0, ICC .00, same side of the cut-offs: 6 of 6 cases." in shown
    )


def test_the_time_of_a_plan_says_what_it_is_from(capsys: pytest.CaptureFixture[str]) -> None:
    known = StageTime("fit-detector", "frcnn", 6, 0, 7200.0, 3600.0, 9000.0, 3, "training steps")
    console._show_times([known, StageTime("fusion", "linear", 4, 4, 0.0, 0.0, 0.0, 0, "")], every=False)
    shown = " ".join(capsys.readouterr().out.split())
    assert "about 2.0 h, from 60 min to 2.5 h" in shown
    assert "Not in the sum: 4 stages" in shown
    assert "fit-detector frcnn: 6 to run, 2.0 h, from 3 earlier of this plugin, scaled by training steps" in shown
    assert "fusion linear: 4 to run; no earlier fusion of linear: not in the sum" in shown


def test_a_long_list_is_cut_and_says_how_to_see_all(capsys: pytest.CaptureFixture[str]) -> None:
    console._show_rest(range(console.MAX_LINES + 5), False, "stages")
    assert capsys.readouterr().out == "... and 5 more stages; --list-all shows them.\n"
    console._show_rest(range(console.MAX_LINES), False, "stages")
    console._show_rest(range(console.MAX_LINES + 5), True, "stages")
    assert capsys.readouterr().out == ""
