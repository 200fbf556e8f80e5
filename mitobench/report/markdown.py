"""Cells and sentences of tables. Every text from a record is escaped: a plugin may be called anything."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from mitobench.evaluate import Interval
from mitobench.report.pairs import Paired
from mitobench.report.row import Row, plugin, seed_of
from mitobench.report.table import Section

__all__ = [
    "brackets",
    "bullets",
    "escape",
    "f1",
    "fact",
    "gain",
    "line",
    "measured",
    "number",
    "plugin",
    "status",
    "table",
]

MARK = "≈"
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
    interval = metrics.f1_interval
    if interval:
        by_slide = interval.unit == "group"
        text += f" Brackets: 95 % bootstrap over {interval.n_units} {'slides' if by_slide else 'frames'}"
        if interval.weak:
            text += f", weak, as there are fewer than {'ten' if by_slide else 'five'} slides"
        text += "."
    return text


def line(cells: Sequence[str]) -> str:
    """One line of a table; the cells are escaped already."""
    return f"| {' | '.join(cells)} |"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A whole table; the cells are escaped already."""
    return "\n".join([line(header), line(["---"] * len(header)), *map(line, rows)])


def brackets(interval: Interval | None, shown: Callable[[float], str] = number) -> str:
    """An interval behind a number: ` [.634, .755]`, its ends as `shown`."""
    return f" [{shown(interval.low)}, {shown(interval.high)}]" if interval else ""
