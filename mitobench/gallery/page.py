"""The gallery's page: text and pictures that lie beside it, nothing from a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from mitobench.datasets import Card
from mitobench.gallery.drawing import CROP_UM
from mitobench.gallery.outcomes import Mark, short
from mitobench.report.colours import OUTCOMES, UNLABELLED
from mitobench.report.markdown import number
from mitobench.report.row import LeaderboardRow
from mitobench.results.schema import Record

TEMPLATES = Path(__file__).parent
SHEETS = {"misses": "Hardest misses", "errors": "Most confident errors"}


@dataclass(frozen=True)
class Shot:
    """A crop: its mark, its file, and the lines below it."""

    mark: Mark
    file: str
    lines: Sequence[str]


@dataclass(frozen=True)
class Sheet:
    """Crops of one kind, `misses` or `errors`: the first of `total`; `file` is the contact sheet of them."""

    name: str
    shots: Sequence[Shot]
    total: int
    file: str


@dataclass(frozen=True)
class Overlay:
    """A whole frame: its id, its file, and what is marked on it."""

    id: str
    file: str
    marks: Sequence[Mark]

    def count(self, outcome: str) -> int:
        """How many of its marks have this outcome, a name in OUTCOMES."""
        return sum(mark.outcome is OUTCOMES[outcome] for mark in self.marks)

    @property
    def unlabelled(self) -> int:
        """How many detections of unknown truth it has."""
        return sum(mark.outcome is UNLABELLED for mark in self.marks)


def render(
    path: Path, record: Record, card: Card, overlays: Sequence[Overlay], sheets: Sequence[Sheet], n_frames: int
) -> str:
    """The page's HTML. Every text is escaped: a plugin, a frame or a data set may be called anything."""
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined)
    environment.filters |= {"short": short, "number": number}  # scores are cut, ratios rounded as in the tables
    outcomes = [*OUTCOMES.values(), *([UNLABELLED] if record.test and record.test.n_unlabelled else [])]
    text: str = environment.get_template("gallery.html").render(
        title=LeaderboardRow([record]).title,
        path=path,
        record=record,
        card=card,
        test=record.test,
        overlays=overlays,
        sheets=sheets,
        titles=SHEETS,
        outcomes=outcomes,
        n_frames=n_frames,
        crop_um=f"{CROP_UM:g}",
        synthetic=card.name.startswith("synthetic"),
    )
    return text
