"""Lays out a figure: title, axes, a key below them, and notes. Sizes are in inches, so that letters keep their size."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedFormatter, FixedLocator, MultipleLocator, NullLocator, StrMethodFormatter
from numpy.typing import NDArray

from mitobench.report.colours import Style

Floats = NDArray[np.float64]

WIDTH = 3.5  # a column of a paper
LINE = 0.165  # height of a line of text
LABELLED = 0.42  # height of ticks and label below the axes
GREY, INK = "#767676", "#1A1A1A"
ROW = 0.31  # height of a value with its interval, and a line of text above it
LETTERS = 47  # that fit into a column beside a number
KEY_LEFT = 3.1  # of a key beside the axes
LETTERS_BESIDE = 56  # that fit there
MOST_SQUARE = 1.25  # height of axes beside a long key, over their usual height
BESIDE = 10  # pt; a label that is further from its marker gets a line to it
LEADER = {"arrowstyle": "-", "color": GREY, "linewidth": 0.4, "shrinkA": 0, "shrinkB": 3}
AROUND = [  # offsets of a label from its marker, pt
    (radius * np.cos(angle), (radius - 1) * np.sin(angle))
    for radius in (9, 15, 21)
    for angle in np.arange(0, 2 * np.pi, np.pi / 8)
]
DASHES = {"solid": "-", "dash": "--", "dot": ":", "dashdot": "-."}


class Point(NamedTuple):
    """A marker with its number or letter."""

    x: float
    y: float
    name: str
    style: Style


class Key(NamedTuple):
    """A line of the key: a marker, its number or letter, its meaning, and a value."""

    style: Style
    name: str
    text: str
    value: str


def figure_of(
    title: str, height: float, notes: Sequence[str], key: Sequence[Key] = (), left: float = 0.45, right: float = 0.3
) -> tuple[Figure, Axes]:
    """An empty figure with axes of `height` inches above its key and its notes."""
    heading = wrapped(title, 52)
    texts = [wrapped(line.text, LETTERS - len(line.value)) for line in key]
    below = LABELLED + LINE * (sum(map(len, texts)) + len(notes)) + 0.08
    figure = _headed(heading, WIDTH, below + height)
    total = figure.get_figheight()
    axes = figure.add_axes((left / WIDTH, below / total, (WIDTH - left - right) / WIDTH, height / total))
    y = _key_lines(figure, 0, below - LABELLED - LINE / 2, key, texts)
    _note_lines(figure, y, notes)
    return figure, axes


def wide_figure_of(title: str, least: float, notes: Sequence[str], key: Sequence[Key]) -> tuple[Figure, Axes]:
    """An empty figure of two columns: axes of at least `least` inches above the notes, and the key beside them."""
    texts = [wrapped(line.text, LETTERS_BESIDE - len(line.value)) for line in key]
    below = LABELLED + LINE * len(notes) + 0.08
    lines = LINE * sum(map(len, texts))
    height = min(max(least, lines - below), MOST_SQUARE * least)
    top = max(lines + 0.08, below + height)
    figure = _headed(wrapped(title, 2 * LETTERS), 2 * WIDTH, top)
    width, total = 2 * WIDTH, figure.get_figheight()
    axes = figure.add_axes((0.5 / width, (top - height) / total, (KEY_LEFT - 0.8) / width, height / total))
    _key_lines(figure, KEY_LEFT, top - LINE / 2, key, texts)
    _note_lines(figure, top - height - LABELLED - LINE / 2, notes)
    return figure, axes


def _headed(heading: Sequence[str], width: float, height: float) -> Figure:
    """An empty figure with a heading above `height` inches."""
    total = height + LINE * (len(heading) + 0.6)
    figure = Figure(figsize=(width, total))
    FigureCanvasAgg(figure)
    figure.text(0.1 / width, 1 - 0.05 / total, "\n".join(heading), va="top", weight="bold", color=INK)
    return figure


def _key_lines(figure: Figure, left: float, y: float, key: Sequence[Key], texts: Sequence[Sequence[str]]) -> float:
    """Draw the key from `left` and down from `y`; returns the y of the line below it. All in inches."""
    width, total = figure.get_size_inches()
    for line, text in zip(key, texts, strict=True):
        place, look = [(left + 0.17) / width], marker(line.style)
        figure.add_artist(Line2D(place, [y / total], linestyle="none", transform=figure.transFigure, **look))
        figure.text((left + 0.42) / width, y / total, line.name, va="center", ha="right", color=INK)
        for row, part in enumerate(text):
            figure.text((left + 0.5) / width, (y - LINE * row) / total, part, va="center", color=INK)
        figure.text(1 - 0.1 / width, y / total, line.value, va="center", ha="right", color=INK)
        y -= LINE * len(text)
    return y


def _note_lines(figure: Figure, y: float, notes: Sequence[str]) -> None:
    """Draw notes down from `y` inches."""
    width, total = figure.get_size_inches()
    for place, note in enumerate(notes):
        figure.text(0.1 / width, (y - LINE * place) / total, note, va="center", color=GREY)


def stack_of(
    title: str, named: Sequence[tuple[Sequence[str], str]], notes: Sequence[str]
) -> tuple[Figure, Axes, Sequence[float]]:
    """An empty figure for values below each other, and their positions on its y axis.

    Args:
        title: of the figure.
        named: for each the texts above it, each on a line of its own, and its value at the right.
        notes: lines below the axes.
    """
    widest = LETTERS + 3
    lines = [
        [line for text in texts[:-1] for line in wrapped(text, widest)] + wrapped(texts[-1], widest - len(value))
        for texts, value in named
    ]
    places = list(accumulate(ROW + LINE * (len(over) - 1) for over in lines))  # inches
    top, bottom = 0.05, places[-1] + 0.09
    figure, axes = figure_of(title, bottom - top, notes, left=0.1, right=0.12)
    for place, over, (_, value) in zip(places, lines, named, strict=True):
        at: Any = {"transform": axes.get_yaxis_transform(), "va": "bottom", "color": INK}
        axes.text(0, place - 0.075, "\n".join(over), linespacing=1.15, **at)
        axes.text(1, place - 0.075, value, ha="right", **at)
    axes.set(ylim=(bottom, top), yticks=[])
    axes.spines["left"].set_visible(False)
    return figure, axes, places


def marker(style: Style) -> dict[str, Any]:
    """Matplotlib's arguments for a marker."""
    size = 7 if style.marker == "*" else 5
    return {
        "marker": style.marker,
        "markersize": size,
        "color": style.colour,
        "markeredgecolor": "white",
        "markeredgewidth": 0.4,
    }


def line(style: Style) -> dict[str, Any]:
    """Matplotlib's arguments for a curve."""
    return {"color": style.colour, "linestyle": DASHES[style.dash], "linewidth": 1.1}


def wrapped(text: str, letters: int) -> list[str]:
    """A name broken into at most four lines of so many letters; invisible characters are replaced.

    A name that does not fit into one line is first broken before its brackets.
    """
    plain = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    parts = [plain] if len(plain) <= letters else re.split(r" (?=\()", plain, maxsplit=1)
    how: Any = {"width": letters, "max_lines": 2, "placeholder": "…", "break_on_hyphens": False}
    return [line for part in parts for line in textwrap.wrap(part, **how)] or [""]


def equal_f1(axes: Axes) -> None:
    """Draw curves of equal F1 in the plane of recall and precision, labelled at the right."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    recall = np.linspace(max(left, 1e-3), right, 400)
    for f1 in np.arange(0.1, 1.0, 0.1):
        with np.errstate(divide="ignore"):
            precision = f1 * recall / (2 * recall - f1)
        inside = (2 * recall > f1) & (precision <= top)
        axes.plot(recall[inside], precision[inside], color="#D0D0D0", linewidth=0.6, zorder=0)
        at_right = f1 * right / (2 * right - f1)
        if bottom <= at_right <= top:
            axes.annotate(
                f"{f1:.1f}"[1:], (right, at_right), (3, 0), textcoords="offset points", va="center", color=GREY
            )
    axes.annotate("F1", (1, 1), (3, 3), xycoords="axes fraction", textcoords="offset points", color=GREY)


def tenths(axis: Axis) -> None:
    """Set ticks at every tenth, or at every second tenth of a long axis."""
    low, high = axis.get_view_interval()
    axis.set_major_locator(MultipleLocator(0.1 if high - low < 0.65 else 0.2))
    axis.set_major_formatter(StrMethodFormatter("{x:.1f}"))


def log_ticks(axes: Axes, ticks: Mapping[float, str]) -> None:
    """Set the ticks of a logarithmic x axis, without powers of ten."""
    axes.xaxis.set_major_locator(FixedLocator(list(ticks)))
    axes.xaxis.set_major_formatter(FixedFormatter(list(ticks.values())))
    axes.xaxis.set_minor_locator(NullLocator())


def points(axes: Axes, marked: Sequence[Point]) -> None:
    """Draw markers, each with its number or letter where there is space: beside it, or at the end of a short line."""
    for point in marked:
        axes.plot(point.x, point.y, zorder=3, clip_on=False, **marker(point.style))
    unit = axes.figure.dpi / 72
    middle = axes.transAxes.transform((0.5, 0.5)) / unit
    places = axes.transData.transform([(point.x, point.y) for point in marked]).reshape(-1, 2) / unit
    places = places.round(3)  # machines differ in the last digits, which would decide ties
    boxes = np.hstack([places, np.full(places.shape, 3.0)])  # markers and labels: middle and half the size, pt
    for place, point in zip(places, marked, strict=True):
        size = 2.6 * len(point.name), 4.0
        others = boxes[np.any(boxes[:, :2] != place, axis=1)]
        space = [min(_space(place + offset, size, others), 1.5) for offset in AROUND]
        far = [np.hypot(*offset) / 10 + np.hypot(*(middle - place - offset)) / 100 for offset in AROUND]
        offset = AROUND[int(np.argmax(np.subtract(space, far).round(3)))]
        boxes = np.vstack([boxes, [*(place + offset), *size]])
        axes.annotate(
            point.name,
            (point.x, point.y),
            offset,
            textcoords="offset points",
            ha="center",
            va="center",
            color=INK,
            zorder=4,
            annotation_clip=False,
            arrowprops=LEADER if np.hypot(*offset) > BESIDE else None,
        )


def _space(middle: Floats, size: tuple[float, float], boxes: Floats) -> float:
    """The space between a box and the closest of the others, pt; negative where they overlap."""
    apart = np.abs(boxes[:, :2] - middle) - boxes[:, 2:] - size
    return float(apart.max(axis=1).min(initial=60.0))
