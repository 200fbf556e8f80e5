"""Prints results: sections of a leaderboard, a matrix, and scores on validation frames."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from mitobench import validation
from mitobench.cli.console import MAX_LINES, console, notify, show_problems, show_unrecorded
from mitobench.errors import counted
from mitobench.report import build, case_counts, markdown
from mitobench.report.row import ROLES, UNUSED
from mitobench.report.table import unused_score
from mitobench.results.current_names import current_overrides

if TYPE_CHECKING:
    from mitobench.benchmark import Benchmark
    from mitobench.report.matrix import Matrix
    from mitobench.report.table import LeaderboardRow, Section
    from mitobench.validation import ValidationRow

MAX_ROWS, BEST_ROWS = 12, 3  # of a section with more rows, a run prints its own and the best ones


def show_results(benchmarks: Sequence[Benchmark], out: Path) -> None:
    """Prints what could not run, the sections of the leaderboard in `out` with rows of this run, and where all are."""
    show_problems(benchmarks)
    show_unrecorded(benchmarks)
    if not any(benchmark.records for benchmark in benchmarks):
        return
    page, sections = build.build(out)
    files = {
        path.relative_to(out / build.RECORDS).as_posix() for benchmark in benchmarks for path, _ in benchmark.records
    }
    others = 0
    for section in sections:
        rows = [row for row in section.rows if any(files & {*section.files_of(one).values()} for one in row.records)]
        if rows:
            show_section(section, rows)
        others += not rows
    show_legend()
    if others:
        notify(f"{counted(others, 'other section')} of this leaderboard: mitobench leaderboard show {out}")
    notify(f"Records      {out / build.RECORDS}")
    notify(f"Leaderboard  {page}")


def show_matrix(matrix: Matrix) -> None:
    """Prints the F1 of each pair of what was trained on (lines) and tested on (columns)."""
    table = Table(
        title=escape(f"{matrix.title}: F1, trained on one {matrix.kind} (lines), tested on each (columns)"),
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    table.add_column("trained on", overflow="fold")
    for name in (*matrix.names, "loss"):
        table.add_column(escape(name), justify="right", overflow="fold")
    for trained in matrix.names:
        scores = [markdown.number(matrix.f1.get((trained, tested))) for tested in matrix.names]
        table.add_row(escape(trained), *scores, markdown.number(matrix.loss(trained)))
    console.print(table)
    for (trained, _), reason in matrix.failed.items():
        console.print(f"[red]FAILED[/red] {escape(trained)}: {escape(reason)}")


def show_validation(benchmarks: Sequence[Benchmark], rows: Sequence[ValidationRow]) -> None:
    """Prints validation scores, best first, and for each data set the best setting as `run` takes it."""
    show_problems(benchmarks)
    for dataset in dict.fromkeys(row.dataset for row in rows):
        shown = [row for row in rows if row.dataset == dataset]
        table = Table(
            title=escape(f"Validation, {dataset} (thresholds chosen on the same frames)"),
            title_justify="left",
            box=None,
            pad_edge=False,
        )
        for column in ("#", "F1", "lowest to highest", "AP", "P", "R", "threshold", "seeds"):
            table.add_column(column, justify="right", no_wrap=True)
        names = []
        for number, row in enumerate(shown, 1):
            table.add_row(str(number), *map(escape, _validation_cells(row)))
            names.append(f"{number:>4}  {'; '.join(filter(None, [row.title, ', '.join(row.sets)]))}")
        console.print(table)
        for name in names:
            notify(name)
    for reason in dict.fromkeys(reason for row in rows for reason in row.reasons):
        console.print(f"[red]FAILED[/red] {escape(reason)}")
    for row in validation.best(rows):
        if sum(other.dataset == row.dataset for other in rows) > 1:
            notify(f"Best on validation of {row.dataset}:")
            notify(f"  {validation.arguments(row)}")
    console.print(escape(validation.NOTE))


def _validation_cells(row: ValidationRow) -> list[str]:
    """F1, its spread over seeds, average precision, precision, recall, threshold and seeds of a row."""
    spread = f"{markdown.number(row.spread[0])} to {markdown.number(row.spread[1])}" if row.spread else ""
    threshold = row.mean("threshold") if len(row.seeds) == 1 else None
    return [
        "FAILED" if row.reasons else markdown.number(row.mean("f1")),
        spread,
        markdown.number(row.mean("average_precision")),
        markdown.number(row.mean("precision")),
        markdown.number(row.mean("recall")),
        "" if len(row.seeds) > 1 else markdown.number(threshold, 4),
        " ".join(dict.fromkeys(str(seed.seed) for seed in row.seeds)) + _in_folds(row),
    ]


def _in_folds(row: ValidationRow) -> str:
    folds = {seed.fold for seed in row.seeds}
    return f" ({len(folds)} folds)" if len(folds) > 1 else ""


def show_sections(sections: Sequence[Section]) -> None:
    """Prints all sections of a leaderboard."""
    for section in sections:
        show_section(section)
    if sections:
        show_legend()


def show_section(section: Section, of_run: Collection[LeaderboardRow] | None = None) -> None:
    """Prints one section of the leaderboard: a table of numbers, and below it the names of the rows.

    `of_run`: rows of a run; of a section with many rows these and the best ones are printed. None: all.
    """
    table = Table(
        title=escape(section.title),
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    for column in ("#", "P", "R", "F1 [95 %]", "alone", "oracle", "AP", "s/frame", "seeds"):
        table.add_column(escape(column), justify="right", no_wrap=True)
    names = []
    shown = _rows(section, of_run)
    for number, rank, row in shown:
        label = str(rank) if rank else f"({number})"
        names.append(f"{label:>4}  {_name(row)}{_ranks(section, row)}")
        table.add_row(label, *(escape(cell) for cell in _numbers(row)))
    console.print(table)
    for name in names:
        console.print(escape(name))
    if len(section.rows) > len(shown):
        rest = counted(len(section.rows) - len(shown), "more row")
        console.print(escape(f"... and {rest}, in the page {section.name}.md."))
    console.print(escape(markdown.measured(section)))
    best_count = case_counts.of_best(section)
    if best_count is not None:
        console.print(escape(f"The count {case_counts.of_rank(best_count[0])}: {case_counts.sentence(best_count[1])}."))
    for note in section.notes:
        console.print(f"- {escape(note)}")


def show_legend() -> None:
    """Prints what the columns of `show_section` mean."""
    console.print(
        "rank range: ranks that the row may have on other slides, by paired comparisons corrected for their number. "
        "≈: inside the noise of the best. alone: F1 of the detector without verification. oracle: F1 at the best "
        "threshold on the test set itself, never used to rank. –: not defined, as AP and oracle are for a sum over "
        "folds. seeds: the numbers of the seeds."
    )


def _rows(section: Section, of_run: Collection[LeaderboardRow] | None) -> list[tuple[int, int | None, LeaderboardRow]]:
    """The rows to print with their place and rank: all of a short section, otherwise the best and those of a run."""
    rows = [(number, rank, row) for number, (rank, row) in enumerate(section.ranked(), 1)]
    if of_run is not None and len(rows) > MAX_ROWS:
        rows = [entry for entry in rows if entry[0] <= BEST_ROWS or entry[2] in of_run]
    return rows[:MAX_LINES]


def _name(row: LeaderboardRow) -> str:
    """The row's combination, training data sets, profile and overrides, and whether one of two scores is unused."""
    record = row.first
    parts = [markdown.plugin(record, role) for role in ROLES if record.combination[role] != UNUSED]
    options = ", ".join([record.profile, *current_overrides(record)])
    trained = f"trained on {', '.join(record.combination['train_on'])}"
    return "; ".join(filter(None, [" + ".join(parts), trained, options, unused_score(row)]))


def _ranks(section: Section, row: LeaderboardRow) -> str:
    """The row's rank range, marked if it is inside the noise of the best; empty if the row has no rank."""
    found = section.rank_range(row)
    mark = f" {markdown.MARK}" if row in section.marked else ""
    return f"; rank range {markdown.rank_range(found)}{mark}" if found else ""


def _numbers(row: LeaderboardRow) -> list[str]:
    return [
        markdown.number(row.mean("precision")),
        markdown.number(row.mean("recall")),
        markdown.f1(row) if row.good else "FAILED",
        markdown.number(row.mean("f1", "detector_alone")),
        markdown.number(row.mean("oracle_f1")),
        markdown.number(row.mean("average_precision")),
        markdown.number(row.seconds_a_frame, 2),
        markdown.seeds(row),
    ]
