"""One palette for page, figures and galleries: a row looks the same wherever it is drawn.

The colours are those of Okabe and Ito (https://jfly.uni-koeln.de/color/), which people with any of the common colour
vision deficiencies tell apart; yellow and black are left out, as they vanish on white or on a dark page. Nothing is
told by colour alone: each colour comes with a marker, and what became of a detection has a shape of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
SYMBOLS = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "x")
DASHES = ("solid", "dash", "dot", "dashdot")


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


def style_of(index: int) -> Style:
    """The style of the row with this number, from 0; 42 numbers in a row differ in colour, marker or both."""
    dash = DASHES[index // len(COLOURS) % len(DASHES)]
    marker = index % len(MARKERS)
    return Style(COLOURS[index % len(COLOURS)], MARKERS[marker], SYMBOLS[marker], dash)


def colour_of(index: int) -> str:
    """The colour of the row with this number, from 0."""
    return style_of(index).colour


def styles(rankings: Iterable[Sequence[str]]) -> dict[str, Style]:
    """The style of every name, where each section gives the names of its rows, best first.

    A name has one style in all sections. The best rows of all sections are served first, so that those that figures
    show differ most.
    """
    by_rank = chain.from_iterable(zip_longest(*rankings))
    names = dict.fromkeys(name for name in by_rank if name is not None)
    return {name: style_of(index) for index, name in enumerate(names)}


@dataclass(frozen=True)
class Fate:
    """What became of a detection or of a mitosis, as the paper's figures 8, 10 and 11 colour it.

    Attributes:
        title: in words.
        colour: `#RRGGBB`, bright enough to read on H&E.
        shape: `circle`, `square`, `diamond` or `triangle`, for who cannot tell the colours apart.
    """

    title: str
    colour: str
    shape: str


FATES = {
    "tp": Fate("true positive", "#00E640", "circle"),
    "fp": Fate("false positive", "#FFE500", "square"),
    "fn": Fate("false negative", "#4C9AFF", "diamond"),
}
UNLABELLED = Fate("unlabelled detection", "#FFFFFF", "triangle")
