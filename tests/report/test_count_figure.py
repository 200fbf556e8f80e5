"""The Bland-Altman figure of the count: each case, the bias and the limits of agreement of the best row."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import matplotlib
import pytest
from records import complete_record, frame, ok, write_complete_record

from mitobench.report import build, count_figure, figures
from mitobench.report.colours import style_of
from mitobench.report.plots import Board, PlottedRow
from mitobench.report.stale import stale
from mitobench.report.table import sections
from mitobench.results.record import Record

NAME = "mitos2012-official-count.svg"


def frames(*counts: tuple[int, int, int], area_mm2: float | None = 0.5) -> list:  # type: ignore[type-arg]
    """Frames of one slide each with these true positives, false positives and misses."""
    return [replace(frame(f"A{i:02d}", *of), area_mm2=area_mm2, domains={}) for i, of in enumerate(counts)]


def board(*records: Record) -> Board:
    (section,) = sections(records)
    rows = [PlottedRow(str(rank), row.title, style_of(0), row) for rank, row in section.ranked()]
    return Board("a section", rows, len(rows), [], 0, [], [], 0)


def test_each_case_is_a_dot_and_bias_and_limits_are_lines() -> None:
    record, _ = complete_record(ok(), frames((2, 0, 0), (2, 1, 0), (2, 2, 1)))
    shown = board(record)
    count = count_figure.count_of(shown)
    assert count is not None
    with matplotlib.rc_context(figures.LOOK):
        (axes,) = count_figure.draw(shown, count).axes
    dots = [(line.get_xdata()[0], line.get_ydata()[0]) for line in axes.lines if len(line.get_xdata()) == 1]  # type: ignore[index,arg-type]
    assert dots == [(4, 0), (5, 2), (7, 2)]  # per mm2: 4, 6 and 8 detected, 4, 4 and 6 annotated
    spread = 1.96 * (4 / 3) ** 0.5
    heights = [line.get_ydata()[0] for line in axes.lines if len(line.get_xdata()) == 2]  # type: ignore[index,arg-type]
    assert heights == pytest.approx([0, 4 / 3, 4 / 3 - spread, 4 / 3 + spread])
    assert [text.get_text() for text in axes.texts] == ["+1.3", "-0.9", "+3.6"]


def test_two_cases_have_no_limits() -> None:
    record, _ = complete_record(ok(), frames((2, 0, 0), (2, 1, 0)))
    shown = board(record)
    count = count_figure.count_of(shown)
    assert count is not None
    figure = count_figure.draw(shown, count)
    assert [text.get_text() for text in figure.axes[0].texts] == ["+1.0"]
    assert any("Limits of agreement: fewer than 3 cases" in text.get_text() for text in figure.texts)


def test_without_areas_there_is_no_count() -> None:
    record, _ = complete_record(ok(), frames((2, 0, 0), (2, 1, 0), area_mm2=None))
    assert count_figure.count_of(board(record)) is None


def test_it_is_drawn_on_command_and_checked_against_the_records(tmp_path: Path) -> None:
    write_complete_record(tmp_path / "records", ok(), frames((2, 0, 0), (2, 1, 0), (2, 2, 1)))
    build.build(tmp_path)
    assert not (tmp_path / "figures" / NAME).exists()
    build.build(tmp_path, counts=True)
    drawn = (tmp_path / "figures" / NAME).read_text(encoding="utf-8")
    assert "annotated mitoses per mm2" in drawn
    assert stale(tmp_path)[1] == []
    path = tmp_path / "figures" / figures.MANIFEST
    manifest = json.loads(path.read_text())
    manifest["mitos2012-official"]["count"] = "0" * 64
    path.write_text(json.dumps(manifest))
    assert any("are stale" in problem for problem in stale(tmp_path)[1])
    build.build(tmp_path)
    assert not (tmp_path / "figures" / NAME).exists()
