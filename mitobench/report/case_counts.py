"""How well rows count: detected against annotated mitoses per mm2 over cases, in cells and sentences."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

from mitobench.errors import counted
from mitobench.evaluate.case_counts import MIN_CASES, CaseCounts
from mitobench.report.markdown import number
from mitobench.report.row import LeaderboardRow
from mitobench.report.table import Section
from mitobench.results.case_counts import case_counts_of, lacks_frames_without_mitoses

MEANS = ("detected_per_mm2", "annotated_per_mm2", "bias", "lower_limit", "upper_limit", "icc", "same_side")
FEW = f"fewer than {MIN_CASES} cases"


def of_row(row: LeaderboardRow) -> CaseCounts | None:
    """Returns the counts of a row, each number the mean over seeds; None where a seed has none."""
    found = [counts for record in row.good if (counts := case_counts_of(record))]
    if not found or len(found) < len(row.good):
        return None
    return found[0].model_copy(update={name: _mean([getattr(counts, name) for counts in found]) for name in MEANS})


def of_best(section: Section) -> tuple[int, CaseCounts] | None:
    """Returns rank and counts of the best row of a section that has any; None if no row has."""
    rows = ((rank, of_row(row)) for rank, row in section.ranked() if rank is not None)
    return next(((rank, counts) for rank, counts in rows if counts), None)


def of_rank(rank: int) -> str:
    """Returns `of rank N`, and why it is not 1 if it is not."""
    return f"of rank {rank}" if rank == 1 else f"of rank {rank}, the first row whose records hold it"


def sentence(counts: CaseCounts) -> str:
    """Returns the counts in words: bias, limits of agreement, ICC, cases on the same side of the cut-offs."""
    parts = [
        f"{per_mm2(counts.detected_per_mm2)} detected and {per_mm2(counts.annotated_per_mm2)} annotated mitoses per "
        f"mm2 (mean of {counted(counts.n_cases, 'case')}), bias {signed(counts.bias)}",
        FEW if counts.lower_limit is None else f"limits of agreement {limits(counts)}",
        "" if counts.icc is None else f"ICC {icc(counts)}",
        same_side(counts) and f"same side of the cut-offs: {same_side(counts)} cases",
    ]
    return ", ".join(filter(None, parts))


def caveats(section: Section, table: bool = True) -> Iterator[str]:
    """Yields what a reader of the counts of a section must know; with `table`, also which rows a table lacks."""
    records = [record for row in section.rows for record in row.good]
    several = max((counts.n_several_scanners for row in section.rows if (counts := of_row(row))), default=0)
    if several:
        which = "1 case has" if several == 1 else f"{several} cases have"
        yield f"{which} frames of several scanners, whose counts are averaged: no tissue counts as two cases."
    if table and any(row.good and of_row(row) is None for row in section.rows):
        yield "Rows whose records do not hold the area of every frame (older records) are not in this table."
    if any(map(lacks_frames_without_mitoses, records)):
        yield "Frames without mitoses are missing (positives only): both counts are higher than those of whole cases."


def facts(counts: CaseCounts) -> dict[str, str]:
    """Returns the counts of one record by what they are, for its details."""
    several = counts.n_several_scanners
    return {
        "cases": f"{counts.n_cases}{f', {several} with frames of several scanners, averaged' if several else ''}",
        "detected per mm2, mean": per_mm2(counts.detected_per_mm2),
        "annotated per mm2, mean": per_mm2(counts.annotated_per_mm2),
        "bias": signed(counts.bias),
        "limits of agreement": FEW if counts.lower_limit is None else limits(counts),
        "ICC(2,1)": "undefined" if counts.icc is None else icc(counts),
        "same side of the cut-offs": same_side(counts) or "no cut-offs for these cases",
        **{f"cut-offs, {tumour}": ", ".join(f"{at:g}" for at in found) for tumour, found in counts.cut_offs.items()},
    }


def limits(counts: CaseCounts) -> str:
    """Returns the limits of agreement: `-4.1 to +8.5`, or a dash with fewer than three cases."""
    if counts.lower_limit is None or counts.upper_limit is None:
        return "–"
    return f"{signed(counts.lower_limit)} to {signed(counts.upper_limit)}"


def icc(counts: CaseCounts) -> str:
    """Returns the intraclass correlation, or a dash where it is undefined."""
    return number(None if counts.icc is None else round(counts.icc, 2) + 0.0, 2)  # + 0.0 turns -0 into 0


def same_side(counts: CaseCounts) -> str:
    """Returns how many cases are on the same side of the cut-offs: `4 of 5`; empty if there are no cut-offs.

    The number is the mean over seeds.
    """
    if counts.same_side is None:
        return ""
    return f"{f'{counts.same_side * counts.n_graded:.1f}'.removesuffix('.0')} of {counts.n_graded}"


def per_mm2(value: float) -> str:
    """Returns mitoses per mm2."""
    return f"{value:.1f}"


def signed(value: float) -> str:
    """Returns a difference of mitoses per mm2, with its sign."""
    return f"{round(value, 1) + 0.0:+.1f}"  # + 0.0 turns -0 into 0


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known and len(known) == len(values) else None
