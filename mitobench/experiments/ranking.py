"""A grid's rows as they rank, in markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from mitobench.experiments.parts import Part
from mitobench.report import markdown
from mitobench.report.markdown import escape, number
from mitobench.report.row import ROLES, LeaderboardRow, seed_of
from mitobench.report.table import Section, sections

EXPLANATION = """\
`F1` is at the threshold chosen on validation, the mean over seeds, with its 95 % interval, and ranks the rows.
`oracle F1` is the best over thresholds on the test frames themselves, and ranks nothing. `validation F1` is what was
there to choose by."""

HEADER = (
    *("#", "rank range", *ROLES, "F1 [95 %]", "oracle F1", "P", "R", "AP", "validation F1"),
    *("s/frame", "seeds (spread)", "record"),
)


def body(part: Part, records: str) -> Iterator[str | list[str]]:
    """A grid's heading, notes and rows: paragraphs in markdown and lists of notes.

    `records` is the records' folder as the page sees it.
    """
    found = sections(record for _, record in part.benchmark.records) if part.benchmark else []
    yield f"## {escape(part.name)}"
    how = "; ".join([f"trained on {', '.join(part.train_on)}", *part.how])
    yield [*part.notes, how, *_measured(found), *_problems(part), *_failures(found)]
    for section in found:
        yield markdown.table(HEADER, [_cells(section, rank, row, records) for rank, row in section.ranked()])


def _measured(found: list[Section]) -> Iterator[str]:
    """On what, and what is said of all rows."""
    for section in found:
        yield f"{section.title}: {markdown.measured(section)}"
        yield from section.notes


def _problems(part: Part) -> list[str]:
    """What could not be measured, and why."""
    if part.benchmark is None:
        return [f"Not measured. {part.absent}"]
    problems = [(row.combination.title, row.problem[1]) for row in part.benchmark.problems if row.problem]
    return list(dict.fromkeys(f"{title}: not measured. {reason}" for title, reason in problems))


def _failures(found: list[Section]) -> list[str]:
    """Why rows failed, each reason once: the table says which."""
    reasons = Counter(record.reason for section in found for row in section.rows for record in row.failed)
    return [f"FAILED: {reason} ({times} record{'s' if times > 1 else ''})" for reason, times in reasons.items()]


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
