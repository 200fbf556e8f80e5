"""How a figure is laid out: title, axes, a key below them, and notes; in inches, so that letters keep their size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
LINE = 0.165  # of text
LABELLED = 0.42  # below axes: ticks and label
GREY, INK = "#767676", "#1A1A1A"
LETTERS = 47  # that fit beside a number in a column
DASHES = {"solid": "-", "dash": "--", "dot": ":", "dashdot": "-."}


class Point(NamedTuple):
    """A marker with its number or letter."""

    x: float
    y: float
    name: str
    style: Style


class Key(NamedTuple):
    """A line of the key: a marker, its number or letter, what it stands for, and a value."""

    style: Style
    name: str
    text: str
    value: str


def figure_of(
    title: str, height: float, notes: Sequence[str], key: Sequence[Key] = (), left: float = 0.45, right: float = 0.3
) -> tuple[Figure, Axes]:
    """An empty figure whose axes are `height` high, over its key and its notes."""
    below = LABELLED + LINE * (len(key) + len(notes)) + 0.08
    total = below + height + 1.6 * LINE
    figure = Figure(figsize=(WIDTH, total))
    FigureCanvasAgg(figure)
    axes = figure.add_axes((left / WIDTH, below / total, (WIDTH - left - right) / WIDTH, height / total))
    figure.text(0.1 / WIDTH, 1 - 0.05 / total, fitting(title, 52), va="top", weight="bold", color=INK)
    for place, line in enumerate(key):
        _key_line(figure, (below - LABELLED - LINE * (place + 0.5)) / total, line)
    for place, note in enumerate(notes):
        y = (below - LABELLED - LINE * (len(key) + place + 0.5)) / total
        figure.text(0.1 / WIDTH, y, note, va="center", color=GREY)
    return figure, axes


def _key_line(figure: Figure, y: float, line: Key) -> None:
    look = marker(line.style)
    figure.add_artist(Line2D([0.17 / WIDTH], [y], linestyle="none", transform=figure.transFigure, **look))
    figure.text(0.42 / WIDTH, y, line.name, va="center", ha="right", color=INK)
    figure.text(0.5 / WIDTH, y, fitting(line.text, LETTERS - len(line.value)), va="center", color=INK)
    figure.text(1 - 0.1 / WIDTH, y, line.value, va="center", ha="right", color=INK)


def marker(style: Style) -> dict[str, Any]:
    """How a row's marker is drawn, by matplotlib's names."""
    size = 7 if style.marker == "*" else 5
    return {
        "marker": style.marker,
        "markersize": size,
        "color": style.colour,
        "markeredgecolor": "white",
        "markeredgewidth": 0.4,
    }


def line(style: Style) -> dict[str, Any]:
    """How a row's curve is drawn."""
    return {"color": style.colour, "linestyle": DASHES[style.dash], "linewidth": 1.1}


def fitting(text: str, letters: int) -> str:
    """A name as it can be printed: nothing invisible, and cut where it is too long."""
    plain = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    return plain if len(plain) <= letters else f"{plain[: letters - 1]}…"


def labelled_line(axes: Axes, place: float, lines: Sequence[str], value: str) -> None:
    """Lines of text over the bar or the interval at `place`, with its value at the right."""
    across, room = axes.get_yaxis_transform(), LETTERS + 3
    cut = [fitting(text, room - len(value)) for text in lines]
    axes.text(0, place - 0.24, "\n".join(cut), transform=across, va="bottom", color=INK, linespacing=1.15)
    axes.text(1, place - 0.24, value, transform=across, va="bottom", ha="right", color=INK)


def equal_f1(axes: Axes) -> None:
    """Curves of equal F1 in the plane of recall and precision, named at the right."""
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
    """Ticks at whole tenths, or at every second one of a long axis."""
    low, high = axis.get_view_interval()
    axis.set_major_locator(MultipleLocator(0.1 if high - low < 0.65 else 0.2))
    axis.set_major_formatter(StrMethodFormatter("{x:.1f}"))


def log_ticks(axes: Axes, ticks: Mapping[float, str]) -> None:
    """Ticks of a logarithmic x axis, without powers of ten."""
    axes.xaxis.set_major_locator(FixedLocator(list(ticks)))
    axes.xaxis.set_major_formatter(FixedFormatter(list(ticks.values())))
    axes.xaxis.set_minor_locator(NullLocator())


def points(axes: Axes, marked: Sequence[Point]) -> None:
    """Markers, each with its number or letter on the side where there is most room."""
    for point in marked:
        axes.plot(point.x, point.y, zorder=3, clip_on=False, **marker(point.style))
    taken = axes.transData.transform([(point.x, point.y) for point in marked]) if marked else np.zeros((0, 2))
    middle = axes.transAxes.transform((0.5, 0.5))
    unit = axes.figure.dpi / 72
    for place, point in zip(taken[: len(marked)].copy(), marked, strict=True):
        around = [(9 * np.cos(a) * unit, 8 * np.sin(a) * unit) for a in np.arange(0, 2 * np.pi, np.pi / 8)]
        others = taken[np.any(taken != place, axis=1)]
        room = [_room(place + offset, others, middle) for offset in around]
        dx, dy = around[int(np.argmax(room))]
        taken = np.vstack([taken, place + np.array([dx, dy])])
        axes.annotate(
            point.name,
            (point.x, point.y),
            (dx / unit, dy / unit),
            textcoords="offset points",
            ha="center",
            va="center",
            color=INK,
            zorder=4,
            annotation_clip=False,
        )


def _room(place: Floats, others: Floats, middle: Floats) -> float:
    """Distance to the nearest marker or label, px; less a little far from the middle of the axes."""
    nearest = float(np.hypot(*(others - place).T).min(initial=60.0))
    return nearest - 0.01 * float(np.hypot(*(middle - place)))
