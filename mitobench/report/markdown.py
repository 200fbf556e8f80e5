"""LEADERBOARD.md. Every text from a record is escaped: a plugin may be called anything."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import Any

from mitobench.report.table import Row, Section
from mitobench.results.record import Record

HEADER = (
    "#",
    "estimator",
    "detector",
    "verifier",
    "fuser",
    "trained on",
    "profile",
    "P",
    "R",
    "F1 [range]",
    "F1 detector alone",
    "oracle F1",
    "AP",
    "s/frame",
    "seeds",
    "record",
)

EXPLANATION = """\
`F1` is at the threshold chosen on validation and ranks the rows; `oracle F1` is the best over thresholds on the test
frames themselves, shown because published numbers use it, and ranks nothing. `detector alone` is the same run before
verification and fusion, at a threshold of its own from validation."""


def leaderboard(sections: Sequence[Section], records_folder: str = "records") -> str:
    """The whole page."""
    parts = ["# Leaderboard", "Made by `mitobench leaderboard build` from the records beside it; not to be edited."]
    parts.append(EXPLANATION if sections else "There is no record yet.")
    parts += [_section(section, records_folder) for section in sections]
    return "\n\n".join(parts) + "\n"


def escape(text: object) -> str:
    """Text as it reads, whatever it holds: no markup, no table cell, no line ends of its own."""
    plain = re.sub(r"\s+", " ", str(text))
    return re.sub(r"([\\`*_{}\[\]()#!|~])", r"\\\1", html.escape(plain, quote=False))


def number(value: float | None, digits: int = 3) -> str:
    """A number as a table has it: .832, or a dash where there is none."""
    if value is None:
        return "–"
    text = f"{value:.{digits}f}"
    return text[1:] if text.startswith("0.") else text


def fact(value: Any) -> str:
    """A JSON value in words: `imposters 30, background 12`."""
    return ", ".join(f"{name} {number}" for name, number in value.items()) if isinstance(value, dict) else str(value)


def plugin(record: Record, role: str) -> str:
    """A plugin's name with the options that make it a variant: `resnet50 (width 0.5, patch 64)`."""
    name = str(record.combination[role])
    variant = record.plugins[role].variant if role in record.plugins else {}
    shown = ", ".join(f"{option} {value}" for option, value in variant.items())
    return f"{name} ({shown})" if shown else name


def f1(row: Row) -> str:
    """F1 with its spread over seeds, or with the bootstrap interval of its only seed."""
    spread = row.spread("f1")
    if spread and row.mean("f1") is not None:
        return f"{number(row.mean('f1'))} [{number(spread[0])}, {number(spread[1])}]"
    interval = row.good[0].test.f1_interval if len(row.good) == 1 and row.good[0].test else None
    text = number(row.mean("f1"))
    return f"{text} [{number(interval.low)}, {number(interval.high)}]" if interval else text


def status(row: Row) -> str:
    """Seeds that have scores, and those that failed."""
    good = " ".join(str(seed) for seed in row.seeds)
    bad = " ".join(f"{r.combination['seed']}" for r in row.failed)
    return " ".join(filter(None, [good, f"FAILED {bad}" if bad else ""]))


def _section(section: Section, records_folder: str) -> str:
    lines = [f"## {escape(section.dataset)}, protocol {escape(section.protocol)}", "", measured(section), ""]
    lines += [f"- {escape(note)}" for note in section.notes]
    lines += ["", line(HEADER), line(["---"] * len(HEADER))]
    lines += [line(_cells(row, rank, section, records_folder)) for rank, row in section.ranked()]
    failures = [
        f"- {escape(r.combination['detector'])}: {escape(r.reason)}" for row in section.rows for r in row.failed
    ]
    return "\n".join([*lines, *(["", "FAILED:", "", *failures] if failures else [])])


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
        text += "; least and greatest where a row has several seeds."
    return text


def _cells(row: Row, rank: int | None, section: Section, records_folder: str) -> list[str]:
    names = row.first.combination
    extra = [note for note in row.first.notes if note not in section.notes]
    links = " ".join(
        f"[s{r.combination['seed']}]({records_folder}/{r.stem}.json)" for r in row.records
    )  # stem is safe: it holds letters, digits, dots and dashes only
    return [
        str(rank or "–"),
        *(escape(plugin(row.first, role)) for role in ("estimator", "detector", "verifier", "fuser")),
        escape(", ".join(names["train_on"])) + (f" ({escape('; '.join(extra))})" if extra else ""),
        escape(", ".join([row.first.profile, *row.first.overrides])),
        number(row.mean("precision")),
        number(row.mean("recall")),
        f1(row) if row.good else "FAILED",
        number(row.mean("f1", "detector_alone")),
        number(row.mean("oracle_f1")),
        number(row.mean("average_precision")),
        number(row.seconds_a_frame, 2),
        status(row),
        links,
    ]


def line(cells: Sequence[str]) -> str:
    """One line of a table; the cells are escaped already."""
    return f"| {' | '.join(cells)} |"
