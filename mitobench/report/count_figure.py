"""Draws how well the best row of a section counts: a Bland-Altman figure of detected and annotated mitoses per mm2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from mitobench.evaluate.case_counts import CaseCount, CaseCounts
from mitobench.pipeline import canonical
from mitobench.report import case_counts
from mitobench.report.layout import GREY, INK, Key, figure_of, marker
from mitobench.report.plots import Board, PlottedRow
from mitobench.results.case_counts import case_counts_of, cases_of

NAME = "count"


@dataclass(frozen=True)
class PlottedCount:
    """The counts of one record of a row: over all cases, and of each case. `several`: the row has other seeds, too."""

    row: PlottedRow
    counts: CaseCounts
    cases: Sequence[CaseCount]
    several: bool


def count_of(board: Board) -> PlottedCount | None:
    """Returns the counts of the best row that has any: those of the seed whose F1 is closest to the row's mean."""
    for plotted in board.rows:
        mean = plotted.row.mean("f1") or 0.0
        tested = sorted(
            (record for record in plotted.row.good if record.test),
            key=lambda record: abs(((record.test.f1 if record.test else None) or 0.0) - mean),
        )
        if tested and (counts := case_counts_of(tested[0])) and (cases := cases_of(tested[0])):
            return PlottedCount(plotted, counts, cases, len(tested) > 1)
    return None


def digest_of(board: Board, count: PlottedCount) -> str:
    """The SHA-256 of everything that the figure shows."""
    row = [count.row.number, count.row.label, count.several]
    cases = [[case.detected, case.annotated] for case in count.cases]
    return canonical.digest([board.title, row, count.counts.model_dump(mode="json"), cases])


def draw(board: Board, count: PlottedCount) -> Figure:
    """Draws the difference of the two counts of each case against their mean, the bias and the limits of agreement."""
    counts = count.counts
    limits = [limit for limit in (counts.lower_limit, counts.upper_limit) if limit is not None]
    notes = ["Dots: cases (slides). Solid line: bias."]
    notes += ["Dashed: limits of agreement."] if limits else [f"Limits of agreement: {case_counts.FEW}."]
    notes += ["The seed whose F1 is closest to the mean."] if count.several else []
    key = [Key(count.row.style, count.row.number, count.row.label, f"ICC {case_counts.icc(counts)}")]
    figure, axes = figure_of(board.title, 2.2, notes, key, left=0.6, right=0.5)
    for case in count.cases:
        axes.plot((case.detected + case.annotated) / 2, case.detected - case.annotated, **marker(count.row.style))
    axes.axhline(0, color="#D0D0D0", linewidth=0.8, zorder=0)
    for value, style in [(counts.bias, "-"), *((limit, "--") for limit in limits)]:
        axes.axhline(value, color=INK, linewidth=0.8, linestyle=style, zorder=1)
        axes.annotate(
            case_counts.signed(value),
            (1, value),
            (3, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            va="center",
            color=GREY,
        )
    axes.set(xlabel="mean of detected and annotated mitoses per mm2", ylabel="detected - annotated")
    return figure
