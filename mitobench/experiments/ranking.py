"""Writes the part of an experiment's page for one grid: a ranking of its combinations, in markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from mitobench.errors import counted
from mitobench.experiments.parts import ExperimentPart
from mitobench.report import markdown
from mitobench.report.markdown import escape, number
from mitobench.report.row import ROLES, LeaderboardRow, seed_of
from mitobench.report.table import Section, sections

EXPLANATION = """\
`F1` is measured at the threshold chosen on validation: the mean over seeds, with its 95 % interval. Rows are ranked by
it. `oracle F1` is the best F1 over all thresholds on the test frames themselves; it does not affect the ranking.
`validation F1` is the F1 on the frames that the threshold was chosen on."""

HEADER = (
    *("#", "rank range", *ROLES, "F1 [95 %]", "oracle F1", "P", "R", "AP", "validation F1"),
    *("s/frame", "seeds (spread)", "record"),
)


def body(part: ExperimentPart, records: str) -> Iterator[str | list[str]]:
    """Yields a grid's heading, notes and rows: paragraphs in markdown, and lists of notes.

    `records` is the folder of the records, relative to the page.
    """
    measured = sections(record for benchmark in part.benchmarks for _, record in benchmark.records)
    yield f"## {escape(part.name)}"
    how = "; ".join([f"trained on {', '.join(part.train_on)}", *part.how])
    yield [*part.notes, how, *_section_notes(measured), *_problems(part), *_failures(measured)]
    for section in measured:
        yield markdown.table(HEADER, [_cells(section, rank, row, records) for rank, row in section.ranked()])


def _section_notes(measured: list[Section]) -> Iterator[str]:
    """Yields what each section was measured on, and the notes on all of its rows."""
    for section in measured:
        yield f"{section.title}: {markdown.measured(section)}"
        yield from section.notes


def _problems(part: ExperimentPart) -> list[str]:
    """Returns what could not be measured, and why."""
    if not part.benchmarks:
        return [f"Not measured. {part.absent}"]
    planned = [row for benchmark in part.benchmarks for row in benchmark.problems]
    problems = [(row.combination.title, row.problem[1]) for row in planned if row.problem]
    return list(dict.fromkeys(f"{title}: not measured. {reason}" for title, reason in problems))


def _failures(measured: list[Section]) -> list[str]:
    """Returns why rows failed, each reason once. The table shows which rows failed."""
    reasons = Counter(record.reason for section in measured for row in section.rows for record in row.failed)
    return [f"FAILED: {reason} ({counted(times, 'record')})" for reason, times in reasons.items()]


def _cells(section: Section, rank: int | None, row: LeaderboardRow, records: str) -> list[str]:
    return [
        str(rank or "–"),
        markdown.rank_range(section.rank_range(row)),
        *(escape(markdown.plugin(row.first, role)) for role in ROLES),
        escape(markdown.f1(row) if row.good else "FAILED"),
        number(row.mean("oracle_f1")),
        number(row.mean("precision")),
        number(row.mean("recall")),
        number(row.mean("average_precision")),
        number(row.mean("f1", "validation")),
        number(row.seconds_a_frame, 2),
        markdown.status(row),
        " ".join(f"[s{seed_of(record)}]({records}/{section.file(record)})" for record in row.records),
    ]
