"""One palette for page, figures and galleries: a row looks and is called the same wherever it is drawn.

The colours are those of Okabe and Ito (https://jfly.uni-koeln.de/color/), which people with any of the common colour
vision deficiencies tell apart; yellow and black are left out, as they vanish on white or on a dark page. Nothing is
told by colour alone: each colour comes with a marker, and what became of a detection has a shape of its own.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mitobench.results.current_names import current_overrides, current_variant

if TYPE_CHECKING:  # galleries read colours and no table
    from mitobench.report.table import Row, Section

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
SYMBOLS = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "x")
DASHES = ("solid", "dash", "dot", "dashdot")
SHORTENED = re.compile(r"schedules shortened to (\S+)")


@dataclass(frozen=True)
class Style:
    """How a row is drawn.

    Attributes:
        colour: `#RRGGBB`, which stands out on white and on a dark page.
        marker: in matplotlib's words.
        symbol: the same marker in plotly's words.
        dash: of its lines, in plotly's words.
    """

    colour: str
    marker: str
    symbol: str
    dash: str


PUBLISHED = Style("#767676", "*", "star", "solid")


def style_of(place: int) -> Style:
    """The style of the row at this place of its section, from 0; 42 in a row differ in colour, marker or both."""
    dash = DASHES[place // len(COLOURS) % len(DASHES)]
    marker = place % len(MARKERS)
    return Style(COLOURS[place % len(COLOURS)], MARKERS[marker], SYMBOLS[marker], dash)


def labels(section: Section) -> dict[Row, str]:
    """A name of each row that no other of its section has: `mask + frcnn + none (modern, schedules x 0.2)`.

    It is the title, and in brackets what tells the row from those of the same title: no more facts than that takes.
    """
    alike: dict[str, list[Row]] = defaultdict(list)
    for row in section.rows:
        alike[row.title].append(row)
    return {
        row: f"{title} ({', '.join(told)})" if told else title
        for title, rows in alike.items()
        for row, told in _told_apart(section, rows)
    }


def _told_apart(section: Section, rows: Sequence[Row]) -> Iterator[tuple[Row, list[str]]]:
    """Each row with its facts; one that tells no more rows apart than those before it is left out."""
    facts = [_facts(section, row) for row in rows]
    names = dict.fromkeys(name for known in facts for name in known)
    every: list[list[str | None]] = [[known.get(name) for known in facts] for name in names]
    every.append([f"record {row.first.digest[:8]}" for row in rows])
    told: list[tuple[str | None, ...]] = [() for _ in rows]
    for values in every:
        more = [(*said, value) for said, value in zip(told, values, strict=True)]
        told = more if len(set(more)) > len(set(told)) else told
    for row, said in zip(rows, told, strict=True):
        yield row, [fact for fact in said if fact]


def _facts(section: Section, row: Row) -> dict[str, str]:
    """What may tell a row from another of its title, in words, by what it is about; what says most comes first."""
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
    """What became of a detection or of a mitosis, as the paper's figures 8, 10 and 11 colour it.

    Attributes:
        title: in words.
        colour: `#RRGGBB`, bright enough to read on H&E.
        shape: `circle`, `square`, `diamond` or `triangle`, for who cannot tell the colours apart.
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
