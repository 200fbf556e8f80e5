"""The table of results, which must be complete on a narrow terminal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from records import frame, ok, write_complete_record

from mitobench.cli import result_tables
from mitobench.evaluate import FramePrediction
from mitobench.report import build
from mitobench.report.table import sections
from mitobench.results.record import read


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


def boards(folder: Path, *detectors: str, **changes: Any) -> None:
    """Writes a record of each detector, the first with the highest F1."""
    for fp, detector in enumerate(detectors):
        write_complete_record(folder / build.RECORDS, ok(detector=detector, **changes), six(4, fp, 0))


def test_after_a_run_only_its_rows_and_the_best_of_a_long_section_are_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    boards(tmp_path, *(f"d{number:02}" for number in range(14)))
    (section,) = build.read_sections(tmp_path / build.RECORDS)
    result_tables.show_section(section, [section.rows[10]])
    shown = capsys.readouterr().out
    assert [name for name in (f"d{number:02}" for number in range(14)) if name in shown] == ["d00", "d01", "d02", "d10"]
    assert "  11  " in shown, "a row keeps its rank"
    assert f"... and 10 more rows, in the page {section.name}.md." in shown
    result_tables.show_section(section)
    assert "d13" in capsys.readouterr().out


def test_the_name_of_a_row_says_that_a_score_is_unused_and_names_no_unused_estimator(
    capsys: pytest.CaptureFixture[str],
) -> None:
    record = ok(estimator="-", verifier="own")
    assert record.chosen is not None
    record = record.model_copy(update={"chosen": record.chosen.model_copy(update={"fuser": {"w": 1.0}})})
    result_tables.show_section(*sections([record]))
    shown = " ".join(capsys.readouterr().out.split())
    assert "- +" not in shown
    assert "validation gave the score of the verifier no weight" in shown


def test_after_a_run_other_sections_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    boards(tmp_path, "theirs", data_digest="e" * 64)
    boards(tmp_path, "alike")
    path = write_complete_record(tmp_path / build.RECORDS, ok(detector="ours"), six(5, 1, 1))
    run = cast(Any, SimpleNamespace(problems=[], records=[(path, read(path))]))
    result_tables.show_results([run], tmp_path)
    shown = capsys.readouterr().out
    assert "ours" in shown
    assert "alike" in shown, "rows of the same section stay, to compare with"
    assert "theirs" not in shown
    assert f"1 other section of this leaderboard: mitobench leaderboard show {tmp_path}" in shown


def test_a_table_in_a_pipe_is_as_wide_as_it_needs(
    tmp_path: Path, mitobench: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    boards(tmp_path, *(f"d{number:02}" for number in range(11)))
    monkeypatch.setenv("COLUMNS", "30")
    shown = mitobench("leaderboard", "show", tmp_path).out
    assert "…" not in shown
    (line,) = (line for line in shown.splitlines() if line.startswith("10  "))
    assert len(line) > 60
    assert "[" in line
