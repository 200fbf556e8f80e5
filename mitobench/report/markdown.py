"""Cells and sentences of the reports. Every text from a record is escaped, as a plugin may have any name."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from mitobench.datasets.fold_names import FEW_SLIDES
from mitobench.errors import counted
from mitobench.evaluate import Interval, coverage
from mitobench.evaluate.matching import current_name, hit_rule
from mitobench.report.pairs import PairedDifference
from mitobench.report.row import LeaderboardRow, plugin, seed_of
from mitobench.report.table import Section

__all__ = [
    "brackets",
    "bullets",
    "caution",
    "escape",
    "f1",
    "fact",
    "gain",
    "line",
    "measured",
    "number",
    "over",
    "plugin",
    "rank_cell",
    "rank_range",
    "score_cell",
    "seeds",
    "signed",
    "split_note",
    "status",
    "table",
    "two_lines",
    "worst_domain_cell",
]

MARK = "≈"
NO_BREAK = "\N{NO-BREAK SPACE}"
WELL_COVERED, COVERED = 8, 0.93  # with this many slides and this coverage, an interval needs no caution
MAX_NAME = 200  # characters of a name
SENTENCE = 1000  # characters of a note, whose end may hold the most important part


def escape(text: object, max_length: int = MAX_NAME) -> str:
    """Text for markdown that reads as it is: its markup, formulas, cell borders and line ends have no effect.

    Invisible characters (control characters, marks that change the reading direction) are removed, and text longer than
    `max_length` characters is cut.
    """
    plain = "".join(filter(str.isprintable, re.sub(r"\s+", " ", str(text))))
    plain = plain if len(plain) <= max_length else f"{plain[: max_length - 1]}…"
    return re.sub(r"([\\`*_{}\[\]()#!|~$])", r"\\\1", html.escape(plain, quote=False))


def bullets(items: Iterable[str]) -> str:
    """A bulleted list; each item is escaped."""
    return "\n".join(f"- {escape(item, SENTENCE)}" for item in items)


def number(value: float | None, digits: int = 3) -> str:
    """A number for a table: `.832`, or a dash for None."""
    if value is None:
        return "–"
    text = f"{value:.{digits}f}"
    return text[1:] if text.startswith("0.") else text


def fact(value: Any) -> str:
    """A JSON value in words: `imposters 30, background 12`."""
    return ", ".join(f"{name} {number}" for name, number in value.items()) if isinstance(value, dict) else str(value)


def signed(value: float) -> str:
    """A difference for a table: `+.052`."""
    return f"{round(value, 3) + 0.0:+.3f}".replace("0.", ".", 1)  # + 0.0 turns -0 into 0


def gain(difference: PairedDifference | None) -> str:
    """A difference of F1 with its interval, and ≈ where that includes 0: `+.052 [+.011, +.090]`."""
    if difference is None:
        return "–"
    return (
        f"{signed(difference.delta)}{brackets(difference.interval, signed)}{f' {MARK}' if difference.in_noise else ''}"
    )


def f1(row: LeaderboardRow) -> str:
    """F1, the mean over seeds, with its 95 % interval, and the number of seeds where other rows have more."""
    complete = not (row.failed or row.missing)
    of = "" if complete or row.conflicting else f" (mean of {len(row.good)})" if len(row.good) > 1 else " (one seed)"
    return f"{number(row.mean('f1'))}{of}{brackets(row.interval)}"


def status(row: LeaderboardRow) -> str:
    """The seeds with scores and their range of F1, the number of seeds expected, and the seeds that failed."""
    spread = row.spread("f1")
    return seeds(row, f"({number(spread[0])} to {number(spread[1])})" if spread else "")


def seeds(row: LeaderboardRow, between: str = "") -> str:
    """The seeds with scores, the number expected, `between`, and the seeds that failed."""
    parts = [
        " ".join(str(seed) for seed in row.seeds),
        f"of {len(set(row.expected))}" if row.missing else "",
        between,
        f"FAILED {' '.join(str(seed_of(record)) for record in row.failed)}" if row.failed else "",
    ]
    return " ".join(filter(None, parts))


def measured(section: Section) -> str:
    """A paragraph on how a section was measured, and how far its intervals can be trusted."""
    metrics = section.metrics
    if metrics is None:
        return "No row of this section has a score."
    text = (
        f"{counted(metrics.n_frames, 'test frame')} of {counted(metrics.n_groups, 'slide')} with "
        f"{counted(metrics.n_mitoses, 'mitosis', 'mitoses')}; matcher "
        f"{escape(current_name(metrics.matcher))}, {hit_rule(metrics.matcher, metrics.radius_um)}."
    )
    if metrics.unlabelled:
        text += " All test frames are UNLABELLED, so there are no scores."
    elif metrics.n_unlabelled:
        are = "is" if metrics.n_unlabelled == 1 else "are"
        text += f" {counted(metrics.n_unlabelled, 'more frame')} {are} unlabelled and not scored."
    if metrics.f1_interval:
        text += f" Brackets: 95 % interval {over(metrics.f1_interval)}."
    elif metrics.n_frames == 1 and not metrics.unlabelled:
        text += f" One frame gives no interval. {FEW_SLIDES}"
    return text


def split_note(section: Section) -> list[str]:
    """The split that the rows were measured on, as a note; several where rows differ in its wording."""
    splits = [row.first.data[section.dataset].split for row in section.rows]
    return list(dict.fromkeys(f"split {split.name}: {split.note}" for split in splits))


def over(interval: Interval) -> str:
    """The units of an interval, and its coverage below eight slides: `over 5 slides, covers about .98 (simulated)`."""
    unit = {"group": "slides", "frame": "frames"}[interval.unit]
    found = caution(interval)
    return f"over {interval.n_units} {unit}{f', {found}' if found else ''}"


def caution(interval: Interval) -> str:
    """What a "95 %" interval covers in simulation, where that may differ: few slides, frames, an old method."""
    covered = coverage(interval)
    if interval.unit == "frame":
        return f"as there are fewer than five slides: covers about {number(covered, 2)} of other slides' (simulated)"
    if covered is None or (interval.n_units >= WELL_COVERED and covered >= COVERED):
        return ""
    return f"covers about {number(covered, 2)} (simulated)"


def rank_range(found: tuple[int, int] | None) -> str:
    """The ranks that a row could have: `1 to 4`, or `3` for a single one."""
    if found is None:
        return "–"
    best, worst = found
    return str(best) if best == worst else f"{best} to {worst}"


def two_lines(text: str, small: str) -> str:
    """A cell with a line in small type below the first, unless that is empty; both must be escaped already."""
    return f"{text}<br><sub>{small}</sub>" if small else text


def worst_cell(row: LeaderboardRow, kind: str) -> str:
    """The worst value of a domain, and its F1."""
    worst = row.worst(kind)
    return "–" if worst is None else f"{escape(worst)} {number(row.domain_mean(kind, worst))}"


def worst_domain_cell(row: LeaderboardRow) -> str:
    """The lowest F1 on the frames of one domain, above the domain: `.311<br><sub>scanner B</sub>`."""
    if row.worst_domain is None:
        return "–"
    kind, value, f1 = row.worst_domain
    return two_lines(number(f1), escape(f"{kind} {value}"))


def rank_cell(section: Section, row: LeaderboardRow, rank: int | None) -> str:
    """The rank of a row, marked where it cannot be distinguished from the best, above the ranks it could have."""
    marked = f" {MARK}" if row in section.marked else ""
    ranks = rank_range(section.rank_range(row)).replace(" to ", "–") if row.ranks else ""
    return two_lines(f"{rank or '–'}{marked}", ranks)


def score_cell(row: LeaderboardRow) -> str:
    """F1 above its interval; FAILED for a row without scores."""
    if not row.good:
        return "FAILED"
    return two_lines(number(row.mean("f1")), brackets(row.interval).strip().replace(" ", NO_BREAK))


def line(cells: Iterable[str]) -> str:
    """One line of a table; the cells must be escaped already."""
    return f"| {' | '.join(cells)} |"


def table(header: Sequence[str], rows: Iterable[Iterable[str]]) -> str:
    """A whole table; the cells must be escaped already."""
    return "\n".join([line(header), line(["---"] * len(header)), *map(line, rows)])


def brackets(interval: Interval | None, shown: Callable[[float], str] = number) -> str:
    """An interval to follow a number: ` [.634, .755]`; `shown` formats its ends."""
    return f" [{shown(interval.low)}, {shown(interval.high)}]" if interval else ""
