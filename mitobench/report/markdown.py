"""Cells and sentences of tables. Every text from a record is escaped: a plugin may be called anything."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from mitobench.evaluate import Interval, coverage
from mitobench.report.pairs import Paired
from mitobench.report.row import Row, plugin, seed_of
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
    "rank_range",
    "status",
    "table",
]

MARK = "≈"
WELL_COVERED, COVERED = 8, 0.93  # from so many slides on an interval covers what it should, and needs no word
SENTENCE = 1000  # characters at most: a split's note or a source is longer than a name, and says the worst at its end


def escape(text: object, most: int = 200) -> str:
    """Text as it reads, whatever it holds: no markup or formula, no table cell, no line ends of its own.

    What cannot be seen (control characters, marks that turn the reading direction) is left out, and what is longer than
    `most` characters is cut.
    """
    plain = "".join(filter(str.isprintable, re.sub(r"\s+", " ", str(text))))
    plain = plain if len(plain) <= most else f"{plain[: most - 1]}…"
    return re.sub(r"([\\`*_{}\[\]()#!|~$])", r"\\\1", html.escape(plain, quote=False))


def bullets(items: Iterable[str]) -> str:
    """A list, each item escaped and whole."""
    return "\n".join(f"- {escape(item, SENTENCE)}" for item in items)


def number(value: float | None, digits: int = 3) -> str:
    """A number as a table has it: .832, or a dash where there is none."""
    if value is None:
        return "–"
    text = f"{value:.{digits}f}"
    return text[1:] if text.startswith("0.") else text


def fact(value: Any) -> str:
    """A JSON value in words: `imposters 30, background 12`."""
    return ", ".join(f"{name} {number}" for name, number in value.items()) if isinstance(value, dict) else str(value)


def signed(value: float) -> str:
    """A difference as a table has it: +.052."""
    return f"{round(value, 3) + 0.0:+.3f}".replace("0.", ".", 1)  # + 0.0: there is no -0


def gain(difference: Paired | None) -> str:
    """A difference of F1 with its interval, and ≈ where that holds 0: +.052 [+.011, +.090]."""
    if difference is None:
        return "–"
    return (
        f"{signed(difference.delta)}{brackets(difference.interval, signed)}{f' {MARK}' if difference.in_noise else ''}"
    )


def f1(row: Row) -> str:
    """F1, the mean of its seeds, with its 95 % interval; it says of how many seeds where others have more."""
    whole = not (row.failed or row.missing)
    of = "" if whole or row.conflicting else f" (mean of {len(row.good)})" if len(row.good) > 1 else " (one seed)"
    return f"{number(row.mean('f1'))}{of}{brackets(row.interval)}"


def status(row: Row) -> str:
    """Seeds that have scores with the spread of F1 over them, how many there should be, and those that failed."""
    spread = row.spread("f1")
    return seeds(row, f"({number(spread[0])} to {number(spread[1])})" if spread else "")


def seeds(row: Row, between: str = "") -> str:
    """The seeds, and what may be said before those that failed."""
    parts = [
        " ".join(str(seed) for seed in row.seeds),
        f"of {len(set(row.expected))}" if row.missing else "",
        between,
        f"FAILED {' '.join(str(seed_of(record)) for record in row.failed)}" if row.failed else "",
    ]
    return " ".join(filter(None, parts))


def measured(section: Section) -> str:
    """On what and how a section was measured, and how far its intervals can be trusted."""
    metrics = section.metrics
    if metrics is None:
        return "No row of this section has a score."
    text = (
        f"{metrics.n_frames} test frames of {metrics.n_groups} slides, {metrics.n_mitoses} mitoses; matcher "
        f"{escape(metrics.matcher)}, a hit is closer than {metrics.radius_um:g} um."
    )
    if metrics.unlabelled:
        text += " All test frames are UNLABELLED: no score can be had here."
    elif metrics.n_unlabelled:
        text += f" {metrics.n_unlabelled} more are unlabelled and not scored."
    if metrics.f1_interval:
        text += f" Brackets: 95 % interval {over(metrics.f1_interval)}."
    return text


def over(interval: Interval) -> str:
    """What an interval is over, and below eight slides what it covers: `over 5 slides, covers about .98`."""
    unit = {"group": "slides", "frame": "frames"}[interval.unit]
    found = caution(interval)
    return f"over {interval.n_units} {unit}{f', {found}' if found else ''}"


def caution(interval: Interval) -> str:
    """What a "95 %" interval covers in simulation, where that is to be known: few slides, frames, an old method."""
    covered = coverage(interval)
    if interval.unit == "frame":
        return f"as there are fewer than five slides: covers about {number(covered, 2)} of other slides' (simulated)"
    if covered is None or (interval.n_units >= WELL_COVERED and covered >= COVERED):
        return ""
    return f"covers about {number(covered, 2)} (simulated)"


def rank_range(found: tuple[int, int] | None) -> str:
    """The ranks that a row may have: `1 to 4`, or `3` where there is only that one."""
    if found is None:
        return "–"
    best, worst = found
    return str(best) if best == worst else f"{best} to {worst}"


def line(cells: Sequence[str]) -> str:
    """One line of a table; the cells are escaped already."""
    return f"| {' | '.join(cells)} |"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A whole table; the cells are escaped already."""
    return "\n".join([line(header), line(["---"] * len(header)), *map(line, rows)])


def brackets(interval: Interval | None, shown: Callable[[float], str] = number) -> str:
    """An interval behind a number: ` [.634, .755]`, its ends as `shown`."""
    return f" [{shown(interval.low)}, {shown(interval.high)}]" if interval else ""
