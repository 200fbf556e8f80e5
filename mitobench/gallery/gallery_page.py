"""Renders the gallery's HTML page. It uses only the pictures in its folder and nothing from a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from mitobench.datasets import Card
from mitobench.evaluate.matching import find_matcher
from mitobench.gallery.drawing import CROP_UM
from mitobench.gallery.outcomes import Mark, short
from mitobench.report.colours import OUTCOMES, UNLABELLED
from mitobench.report.html_page import style
from mitobench.report.markdown import number
from mitobench.report.row import LeaderboardRow
from mitobench.results.schema import Record

TEMPLATE_FOLDER = Path(__file__).parent
SHEETS = {"misses": "Hardest misses", "errors": "Most confident errors"}


@dataclass(frozen=True)
class Crop:
    """A crop: its mark, its file, and the lines of text below it."""

    mark: Mark
    file: str
    lines: Sequence[str]


@dataclass(frozen=True)
class ContactSheet:
    """The first crops of `total` of one kind, `misses` or `errors`; `file` is their contact sheet."""

    name: str
    crops: Sequence[Crop]
    total: int
    file: str


@dataclass(frozen=True)
class FrameOverlay:
    """An overlay of a whole frame: the frame's id, its file and that of its thumbnail, and the marks on it."""

    id: str
    file: str
    thumbnail: str
    marks: Sequence[Mark]

    def count(self, outcome: str) -> int:
        """The number of marks with this outcome, a key of OUTCOMES."""
        return sum(mark.outcome is OUTCOMES[outcome] for mark in self.marks)

    @property
    def unlabelled(self) -> int:
        """The number of detections on an unlabelled frame."""
        return sum(mark.outcome is UNLABELLED for mark in self.marks)


def render(
    path: Path,
    record: Record,
    card: Card,
    overlays: Sequence[FrameOverlay],
    sheets: Sequence[ContactSheet],
    n_frames: int,
) -> str:
    """Renders the page's HTML. Escapes all text, because names of plugins, frames and data sets are not trusted."""
    environment = Environment(loader=FileSystemLoader(TEMPLATE_FOLDER), autoescape=True, undefined=StrictUndefined)
    environment.filters |= {"short": short, "number": number}  # scores are truncated, ratios rounded as in the tables
    outcomes = [*OUTCOMES.values(), *([UNLABELLED] if record.test and record.test.n_unlabelled else [])]
    text: str = environment.get_template("gallery.html").render(
        style=Markup(f"{style('pictures.css')}\n{(TEMPLATE_FOLDER / 'gallery.css').read_text(encoding='utf-8')}"),
        title=LeaderboardRow([record]).title,
        path=path,
        record=record,
        card=card,
        test=record.test,
        inclusive=record.test is not None and find_matcher(record.test.matcher).inclusive,
        overlays=overlays,
        sheets=sheets,
        titles=SHEETS,
        outcomes=outcomes,
        n_frames=n_frames,
        crop_um=f"{CROP_UM:g}",
        synthetic=card.name.startswith("synthetic"),
    )
    return text
