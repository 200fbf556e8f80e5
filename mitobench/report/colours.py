"""The colours, markers and labels of rows and detections, shared by pages, figures and galleries.

The colours are those of Okabe and Ito (https://jfly.uni-koeln.de/color/), which people with any of the common colour
vision deficiencies can distinguish; yellow and black are left out, as they vanish on white or on a dark page. Colour is
never the only difference: each colour comes with a marker, and each outcome of a detection has its own shape.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mitobench.results.current_names import current_overrides, current_variant

if TYPE_CHECKING:  # galleries need colours only
    from mitobench.report.table import LeaderboardRow, Section

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
SYMBOLS = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "x")
DASHES = ("solid", "dash", "dot", "dashdot")
SHORTENED = re.compile(r"schedules shortened to (\S+)")


@dataclass(frozen=True)
class Style:
    """How a row is drawn.

    Attributes:
        colour: `#RRGGBB`, visible on white and on a dark page.
        marker: matplotlib's name of the marker.
        symbol: the name of the same marker in the page's `drawing.js`.
        dash: the style of its lines, one of `DASHES`.
    """

    colour: str
    marker: str
    symbol: str
    dash: str


PUBLISHED = Style("#767676", "*", "star", "solid")


def style_of(place: int) -> Style:
    """The style of the row at an index of its section. 42 consecutive rows differ in colour, marker or both."""
    dash = DASHES[place // len(COLOURS) % len(DASHES)]
    marker = place % len(MARKERS)
    return Style(COLOURS[place % len(COLOURS)], MARKERS[marker], SYMBOLS[marker], dash)


def labels(section: Section) -> dict[LeaderboardRow, str]:
    """A label of each row that is unique in its section: `mask + frcnn + none (modern, schedules x 0.2)`.

    It is the row's title, followed in brackets by `distinguishing_facts`.
    """
    return {
        row: f"{row.title} ({', '.join(facts)})" if facts else row.title
        for row, facts in distinguishing_facts(section).items()
    }


def distinguishing_facts(section: Section) -> dict[LeaderboardRow, list[str]]:
    """The fewest facts that distinguish each row from those of the same title; empty for a title without other rows."""
    same_title: dict[str, list[LeaderboardRow]] = defaultdict(list)
    for row in section.rows:
        same_title[row.title].append(row)
    return {row: facts for rows in same_title.values() for row, facts in _distinguish(section, rows)}


def _distinguish(section: Section, rows: Sequence[LeaderboardRow]) -> Iterator[tuple[LeaderboardRow, list[str]]]:
    """Each row with its facts; a fact that separates no more rows than those before it is left out."""
    facts = [_facts(section, row) for row in rows]
    names = dict.fromkeys(name for known in facts for name in known)
    columns: list[list[str | None]] = [[known.get(name) for known in facts] for name in names]
    columns.append([f"record {row.first.digest[:8]}" for row in rows])
    chosen: list[tuple[str | None, ...]] = [() for _ in rows]
    for values in columns:
        extended = [(*known, value) for known, value in zip(chosen, values, strict=True)]
        chosen = extended if len(set(extended)) > len(set(chosen)) else chosen
    for row, known in zip(rows, chosen, strict=True):
        yield row, [fact for fact in known if fact]


def _facts(section: Section, row: LeaderboardRow) -> dict[str, str]:
    """What may distinguish a row from others of the same title, in words, the most important first."""
    record = row.first
    shortened = next(filter(None, map(SHORTENED.match, record.notes)), None)
    facts = {
        "train_on": f"trained on {', '.join(record.combination['train_on'])}",
        "profile": record.profile,
        "schedules": f"schedules x {shortened[1] if shortened else 1}",
    }
    for role, entry in record.plugins.items():
        variant = current_variant(role, entry)
        facts |= {f"{role} {option}": f"{entry.name} {option} {value}" for option, value in variant.items()}
    for override in current_overrides(record):
        name, _, value = override.partition("=")
        facts[name] = f"{name.rpartition('.')[2]} {value}"
    return facts | {remark: remark for remark in section.remarks(row)}


@dataclass(frozen=True)
class Outcome:
    """The outcome of a detection or of a mitosis, coloured as in the paper's figures 8, 10 and 11.

    Attributes:
        title: in words.
        colour: `#RRGGBB`, bright enough to read on H&E.
        shape: `circle`, `square`, `diamond` or `triangle`, for readers who cannot distinguish the colours.
    """

    title: str
    colour: str
    shape: str


OUTCOMES = {
    "tp": Outcome("true positive", "#00E640", "circle"),
    "fp": Outcome("false positive", "#FFE500", "square"),
    "fn": Outcome("false negative", "#4C9AFF", "diamond"),
}
UNLABELLED = Outcome("unlabelled detection", "#FFFFFF", "triangle")
