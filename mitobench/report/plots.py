"""Draws the figures of `figures.py`: each function takes a board and returns a figure, or None if it would be empty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from mitobench.evaluate import Metrics
from mitobench.pipeline import canonical
from mitobench.published import Method
from mitobench.report.colours import COLOURS, PUBLISHED, Style
from mitobench.report.curves import Curves
from mitobench.report.effects import Effect
from mitobench.report.layout import (
    INK,
    Key,
    Point,
    equal_f1,
    figure_of,
    line,
    log_ticks,
    marker,
    points,
    stack_of,
    tenths,
    wide_figure_of,
)
from mitobench.report.markdown import number
from mitobench.report.row import LeaderboardRow

DIGEST_DIGITS = 9  # decimals; versions of numpy and scipy differ in those after them
FROC_TICKS = {0.125: "1/8", 0.25: "1/4", 0.5: "1/2", 1.0: "1", 2.0: "2", 4.0: "4", 8.0: "8"}
NOT_DRAWN = {"rule", "radius_um", "radius_px"}  # of a published method: changing these leaves the plots as they are
F1_COLOUR = COLOURS[0]  # names tell the rows apart, so they share one
NOT_MEASURED = "Stars and letters: published, not measured here."


@dataclass(frozen=True)
class PlottedRow:
    """A row with its rank as text, a label that is unique in its section, and its style."""

    number: str
    label: str
    style: Style
    row: LeaderboardRow


@dataclass(frozen=True)
class PlottedCurve:
    """The curves of a row and the scores of one record of it."""

    row: PlottedRow
    test: Metrics
    curves: Curves

    def point(self, x: float | None, y: float | None) -> Point:
        """Its marker; an undefined coordinate is 0."""
        return Point(x or 0.0, y or 0.0, self.row.number, self.row.style)


@dataclass(frozen=True)
class Board:
    """The data that the figures of a section show.

    Attributes:
        title: of the section.
        rows: the best rows, of `n_rows`.
        published: the best methods with their letters, of `n_published`.
        curves: of the best rows that have curves.
        effects: the largest effects, of `n_effects`.
    """

    title: str
    rows: Sequence[PlottedRow]
    n_rows: int
    published: Sequence[tuple[str, Method]]
    n_published: int
    curves: Sequence[PlottedCurve]
    effects: Sequence[Effect]
    n_effects: int

    def limits(self) -> list[str]:
        """Sentences on what the figures leave out."""
        rows = [f"The best {len(self.rows)} of {self.n_rows} rows."] if len(self.rows) < self.n_rows else []
        n = len(self.published)
        return rows + ([f"The best {n} of {self.n_published} published."] if n < self.n_published else [])


def digest_of(board: Board) -> str:
    """The SHA-256 of everything that the figures of a board show, its floats to `DIGEST_DIGITS` decimals."""
    rows = [
        {
            "number": plotted.number,
            "label": plotted.label,
            "style": asdict(plotted.style),
            "f1": [plotted.row.mean("f1"), *plotted.row.values("f1")],
            "interval": plotted.row.interval and plotted.row.interval.model_dump(),
            "place": [plotted.row.mean("recall"), plotted.row.mean("precision"), plotted.row.seconds_a_frame],
        }
        for plotted in board.rows
    ]
    curves = [
        [curve.row.number, curve.test.model_dump(mode="json"), *(values.tolist() for values in curve.curves)]
        for curve in board.curves
    ]
    effects = [
        [effect.role, effect.plugin, effect.against, effect.delta, effect.n_pairs, effect.in_noise]
        for effect in board.effects
    ]
    published = [[letter, method.model_dump(mode="json", exclude=NOT_DRAWN)] for letter, method in board.published]
    counts = [board.n_rows, board.n_published, board.n_effects]
    return canonical.digest(_rounded([board.title, rows, curves, effects, published, counts]))


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(part) for part in value]
    return round(float(value), DIGEST_DIGITS) + 0.0 if isinstance(value, float) else value


# --------------------------------------------------------------------------------------------------- the figures


def f1_forest(board: Board) -> Figure | None:
    """F1 of each row with its 95 % interval and its seeds, then of published methods."""
    seeded = any(len(plotted.row.good) > 1 for plotted in board.rows)
    notes = [f"Dots: {'mean ' if seeded else ''}F1; lines: 95 % interval{'; hollow: seeds' if seeded else ''}."]
    notes += [NOT_MEASURED] if board.published else []
    named = [([f"{plotted.number}  {plotted.label}"], number(plotted.row.mean("f1"))) for plotted in board.rows]
    named += [([f"{letter}  {method.name}"], number(method.f1)) for letter, method in board.published]
    figure, axes, places = stack_of(board.title, named, notes + board.limits())
    for place, plotted in zip(places, board.rows, strict=False):
        interval, seeds = plotted.row.interval, plotted.row.values("f1")
        if interval:
            axes.plot([interval.low, interval.high], [place] * 2, color=F1_COLOUR, linewidth=1.2)
        axes.plot(plotted.row.mean("f1") or 0.0, place, **_dot(F1_COLOUR, F1_COLOUR, 4.5))
        if len(seeds) > 1:
            axes.plot(seeds, [place] * len(seeds), **_dot("white", F1_COLOUR, 2.5))
    for place, (_, method) in zip(places[len(board.rows) :], board.published, strict=True):
        axes.plot(method.f1, place, linestyle="none", **marker(PUBLISHED))
    low, high = axes.get_xlim()
    axes.set(xlim=(_below([low]), min(1.0, np.ceil(high * 10) / 10)), xlabel="F1")
    tenths(axes.xaxis)
    return figure


def plane(board: Board) -> Figure | None:
    """Precision against recall of rows and published methods, with curves of equal F1."""
    rows = [(plotted, plotted.row.mean("recall"), plotted.row.mean("precision")) for plotted in board.rows]
    marked = [Point(r, p, plotted.number, plotted.style) for plotted, r, p in rows if r is not None and p is not None]
    methods = [(letter, m) for letter, m in board.published if m.recall is not None and m.precision is not None]
    marked += [Point(m.recall or 0.0, m.precision or 0.0, letter, PUBLISHED) for letter, m in methods]
    if not marked:
        return None
    figure, axes = wide_figure_of(board.title, 2.75, _notes(board, methods), _key(board, methods))
    low = _below([point.x for point in marked]), _below([point.y for point in marked])
    axes.set(xlim=(low[0], 1), ylim=(low[1], 1), xlabel="recall", ylabel="precision")
    tenths(axes.xaxis)
    tenths(axes.yaxis)
    equal_f1(axes)
    points(axes, marked)
    return figure


def precision_recall(board: Board) -> Figure | None:
    """Precision-recall curves of the best rows; the marker is at the threshold chosen on validation."""
    if not board.curves:
        return None
    key = [_curve_key(curve, "AP", curve.test.average_precision) for curve in board.curves]
    figure, axes = figure_of(board.title, 2.75, _curve_notes(board), key)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="recall", ylabel="precision")
    tenths(axes.xaxis)
    tenths(axes.yaxis)
    equal_f1(axes)
    for curve in board.curves:
        axes.plot(curve.curves.recall, curve.curves.precision, **line(curve.row.style))
    points(axes, [curve.point(curve.test.recall, curve.test.precision) for curve in board.curves])
    return figure


def froc(board: Board) -> Figure | None:
    """Sensitivity against false positives per frame; the marker is at the threshold chosen on validation."""
    if not board.curves:
        return None
    key = [_curve_key(curve, "recall", curve.test.recall) for curve in board.curves]
    figure, axes = figure_of(board.title, 2.6, _curve_notes(board), key)
    x_min, *_, x_max = FROC_TICKS
    axes.set_xscale("log")
    axes.set(xlim=(x_min, x_max), ylim=(0, 1), xlabel="false positives per HPF (one frame)", ylabel="sensitivity")
    tenths(axes.yaxis)
    log_ticks(axes, FROC_TICKS)
    for curve in board.curves:
        # in steps: the recall at a rate is the best of all thresholds with at most that many false positives
        axes.step(
            np.maximum(curve.curves.fp_per_frame, 1e-3), curve.curves.recall, where="post", **line(curve.row.style)
        )
    rates = [(curve, (curve.test.fp or 0) / curve.test.n_frames) for curve in board.curves]
    points(axes, [curve.point(min(max(rate, x_min), x_max), curve.test.recall) for curve, rate in rates])
    return figure


def time(board: Board) -> Figure | None:
    """F1 against seconds per frame."""
    rows = [(plotted, plotted.row.seconds_a_frame, plotted.row.mean("f1") or 0.0) for plotted in board.rows]
    marked = [Point(seconds, f1, plotted.number, plotted.style) for plotted, seconds, f1 in rows if seconds]
    methods = [(letter, m) for letter, m in board.published if m.seconds_a_frame]
    marked += [Point(m.seconds_a_frame or 0.0, m.f1, letter, PUBLISHED) for letter, m in methods]
    if not marked:
        return None
    key = _key(board, methods)
    figure, axes = figure_of(
        board.title, 2.4, [*_notes(board, methods), "Measured on different machines: see the records."], key
    )
    x_min, x_max = min(point.x for point in marked) / 1.6, max(point.x for point in marked) * 1.6
    axes.set_xscale("log")
    axes.set(
        xlim=(x_min, x_max), ylim=(_below([point.y for point in marked]), 1), xlabel="seconds per frame", ylabel="F1"
    )
    tenths(axes.yaxis)
    steps = [step * 10.0**power for power in range(-4, 5) for step in (1, 2, 5)]
    log_ticks(axes, {step: f"{step:g}" for step in steps if x_min <= step <= x_max})
    points(axes, marked)
    return figure


def effects(board: Board) -> Figure | None:
    """What each part adds to F1, over pairs of rows that differ in it alone."""
    if not board.effects:
        return None
    n = len(board.effects)
    notes = [
        "Brackets: pairs of rows that differ in this part alone.",
        "Lines: 95 % paired interval; hollow: it includes 0.",
    ]
    notes += [f"The largest {n} of {board.n_effects}."] if n < board.n_effects else []
    named = [
        ([f"{effect.role}: {effect.plugin}", f"over {effect.against}"], f"+{number(effect.delta)} ({effect.n_pairs})")
        for effect in board.effects
    ]
    figure, axes, places = stack_of(board.title, named, notes)
    for place, effect in zip(places, board.effects, strict=True):
        if effect.interval:
            axes.plot([effect.interval.low, effect.interval.high], [place] * 2, color=INK, linewidth=1)
        axes.plot(effect.delta, place, **_dot("white" if effect.in_noise else INK, INK, 5))
    axes.axvline(0, color="#D0D0D0", linewidth=0.8, zorder=0)
    axes.set(xlabel="difference of F1")
    return figure


# ---------------------------------------------------------------------------------------------------- their parts


def _key(board: Board, methods: Sequence[tuple[str, Method]]) -> list[Key]:
    """The rows, then the published methods that are drawn, with their F1."""
    rows = [Key(plotted.style, plotted.number, plotted.label, number(plotted.row.mean("f1"))) for plotted in board.rows]
    return rows + [Key(PUBLISHED, letter, method.name, number(method.f1)) for letter, method in methods]


def _curve_key(curve: PlottedCurve, name: str, value: float | None) -> Key:
    return Key(curve.row.style, curve.row.number, curve.row.label, f"{name} {number(value)}")


def _notes(board: Board, methods: Sequence[tuple[str, Method]]) -> list[str]:
    return ["The number at the right is F1.", *([NOT_MEASURED] if methods else []), *board.limits()]


def _curve_notes(board: Board) -> list[str]:
    """Notes on whose curves are drawn and whose are not."""
    seeds = any(len(curve.row.row.good) > 1 for curve in board.curves)
    fewer = [f"{len(board.curves)} of {board.n_rows} rows."] if len(board.curves) < board.n_rows else []
    marked = "Markers: at the threshold chosen on validation."
    return [marked, *(["The seed whose F1 is closest to the mean."] if seeds else []), *fewer]


def _below(values: Sequence[float]) -> float:
    """A round lower end of an axis, with some margin."""
    return float(max(0.0, np.floor(min(values) * 10 - 0.5) / 10))


def _dot(colour: str, edge: str, size: float) -> dict[str, Any]:
    look = {"color": colour, "markersize": size, "markeredgecolor": edge, "markeredgewidth": 0.6}
    return {"linestyle": "none", "marker": "o", **look}
