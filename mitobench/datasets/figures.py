"""Annotated points: duplicates, and boxes that leave the image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mitobench.api import Mitoses
from mitobench.datasets.points import BEYOND
from mitobench.errors import DataError

Floats = NDArray[np.float64]

NEAR_PX = 2.0
"""Two annotations of one kind closer than this, px, are of the same figure."""

REPEATED = {
    "once": "a figure is annotated more than once, and counts once",
    "all": "a figure is annotated more than once, and counts as often, as the card says",
}
NO_CONFIDENCE = "figures have no confidence"
UNSURE = "a figure has no confidence, so none of its kind in the frame has one"
MOVED = "an annotated point is outside the frame, and was moved to its edge"


@dataclass(frozen=True)
class Figure:
    """One annotated figure: its centre in px, whether it is a mitosis, the confidence, and where it is written."""

    x: float
    y: float
    is_mitosis: bool = True
    confidence: float | None = None
    where: str = ""


@dataclass
class Figures:
    """The annotation of one frame while it is read.

    Attributes:
        size: width and height of the frame, px.
        duplicates: what two annotations of one figure count as, as on a card.
        notes: what was found odd, with its place.
        oddities: the same in general words, without places; `annotation_notes` of the item.
    """

    size: tuple[int, int]
    duplicates: Literal["once", "all"] = "once"
    notes: list[str] = field(default_factory=list)
    oddities: list[str] = field(default_factory=list)

    def annotation(self, figures: Sequence[Figure], labelled: bool = True) -> Mitoses:
        """Returns the annotation of the frame. Raises DataError for a figure that is not in it."""
        yes = self._kept([figure for figure in figures if figure.is_mitosis], "mitosis")
        no = self._kept([figure for figure in figures if not figure.is_mitosis], "imposter")
        self._note_both(yes, no)
        if any(
            _confidence(of_kind) is None and any(f.confidence is not None for f in of_kind) for of_kind in (yes, no)
        ):
            self.oddities.append(UNSURE)
        return Mitoses(
            _points(yes),
            imposters=_points(no),
            labelled=labelled,
            confidence=_confidence(yes),
            imposter_confidence=_confidence(no),
        )

    def _kept(self, figures: list[Figure], what: str) -> list[Figure]:
        for figure in figures:
            self._check_inside(figure)
        repeated = repeats(_points(figures))
        for later, first in repeated.items():
            one, other = figures[later], figures[first]
            counts = "counted once" if self.duplicates == "once" else "counted twice, as the data set's card says"
            self.notes.append(f"{one.where}: repeats the {what} of {other.where} ({counts})")
            self.oddities.append(REPEATED[self.duplicates])
        kept = [f for n, f in enumerate(figures) if self.duplicates == "all" or n not in repeated]
        last = np.array(self.size) - 1.0
        inside = np.clip(_points(kept), 0, last).tolist()
        return [replace(figure, x=x, y=y) for figure, (x, y) in zip(kept, inside, strict=True)]

    def _check_inside(self, figure: Figure, margin: float = 25.0) -> None:
        """Raises DataError for a centre that is further outside than half a box of the MIDOG data sets."""
        width, height = self.size
        x, y = figure.x, figure.y
        if not (-margin <= x <= width + margin and -margin <= y <= height + margin):
            fits = -margin <= y <= width + margin and -margin <= x <= height + margin
            hint = "x and y are swapped" if fits else "the annotation belongs to another image, or is not in px"
            raise DataError(
                f"{figure.where}: ({x:g}, {y:g}) is outside the image of {width} x {height} px. Check whether {hint}."
            )
        if not (0 <= x <= width - 1 and 0 <= y <= height - 1):
            self.notes.append(f"{figure.where}: ({x:g}, {y:g}) {BEYOND}, clipped to its edge")
            self.oddities.append(MOVED)

    def _note_both(self, yes: list[Figure], no: list[Figure]) -> None:
        for later, first in repeats(_points([*no, *yes]), of=len(no)).items():
            figure = yes[later - len(no)]
            self.notes.append(f"{figure.where}: is annotated as a mitosis here and as an imposter in {no[first].where}")
            self.oddities.append("a figure is annotated both as a mitosis and as an imposter")


def repeats(xy: Floats, of: int | None = None) -> dict[int, int]:
    """Returns, for each point ([N, 2] px) within `NEAR_PX` of an earlier one, the index of the first such point.

    With `of`, only the first `of` points count as earlier ones, and only the others are compared with them.
    """
    from scipy.spatial import cKDTree

    if len(xy) < 2:
        return {}
    found: dict[int, int] = {}
    for first, later in sorted(cKDTree(xy).query_pairs(np.nextafter(NEAR_PX, 0))):
        if of is None or first < of <= later:
            found.setdefault(later, found.get(first, first) if of is None else first)
    return found


def without_confidence(file: Path, places: Sequence[str], count: int) -> list[str]:
    """Notes that some of `count` figures of a file have no confidence or votes: those at these places."""
    if not 0 < len(places) < count:
        return []
    return [
        f"{file}: {len(places)} of {count} {NO_CONFIDENCE} (the first: {places[0]}); a frame with one of them "
        "has none for the others of its kind either"
    ]


def moved(notes: Iterable[str]) -> list[str]:
    """Returns in general words that points were moved, if the notes of `points.clip` are among these."""
    return [MOVED] if any(BEYOND in note for note in notes) else []


def _points(figures: Sequence[Figure]) -> Floats:
    return np.array([[figure.x, figure.y] for figure in figures], dtype=np.float64).reshape(-1, 2)


def _confidence(figures: Sequence[Figure]) -> Floats | None:
    values = [figure.confidence for figure in figures]
    given = [value for value in values if value is not None]
    return np.array(given, dtype=np.float64) if given and len(given) == len(values) else None
