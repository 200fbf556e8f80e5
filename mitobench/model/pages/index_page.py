"""The index of many images: one HTML page with a table that links to the report on each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mitobench import __version__
from mitobench.atomic import write_text_atomic
from mitobench.model.card import ModelCard
from mitobench.model.pages.templates import render
from mitobench.slides.hotspot import CONFIDENCE


@dataclass(frozen=True)
class IndexRow:
    """A line of the index. Numbers are None where the slide has none.

    Attributes:
        name: of the slide's file, with its folder if others have that name; `batch` gives it.
        page: address of its report, relative to the index; empty without one.
        status: `judged`, `not judged` or `failed`.
        hot_spot: mitoses in its hot spot.
        interval: of that count.
        mitoses: on the whole slide.
        tissue_mm2: area of its tissue.
        per_mm2: mitoses per mm2 of tissue.
        notes: what is odd, or why it failed.
    """

    name: str = ""
    page: str = ""
    status: str = "judged"
    hot_spot: int | None = None
    interval: tuple[float, float] | None = None
    mitoses: int | None = None
    tissue_mm2: float | None = None
    per_mm2: float | None = None
    notes: Sequence[str] = ()


def write_index(
    path: Path, rows: Sequence[IndexRow], area_mm2: float, card: ModelCard, threshold: float, images: int
) -> None:
    """Writes the index.

    Args:
        path: the HTML file.
        rows: the slides, in the order in which they are shown.
        area_mm2: size of the hot spots.
        card: the model's card.
        threshold: that was used.
        images: how many there are, with those that are not finished.

    Raises MitobenchError if the file cannot be written.
    """
    text = render(
        "index.html",
        rows=rows,
        images=images,
        counts={status: sum(row.status == status for row in rows) for status in ("judged", "not judged", "failed")},
        area_mm2=area_mm2,
        card=card,
        threshold=threshold,
        confidence=f"{CONFIDENCE:.0%}",
        version=__version__,
    )
    write_text_atomic(path, text)
