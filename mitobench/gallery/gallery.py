"""Overlays, contact sheets and a page, from a record and its frames."""

from __future__ import annotations

import io
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from mitobench.atomic import write_text_whole, write_whole
from mitobench.datasets import Item
from mitobench.errors import MitobenchError, RecordError, nearest
from mitobench.gallery import drawing, page
from mitobench.gallery.outcomes import Candidate, Mark, caption, hardest_misses, marks, most_confident_errors
from mitobench.gallery.source import test_frames
from mitobench.report.colours import OUTCOMES
from mitobench.report.row import LeaderboardRow
from mitobench.results import record as records
from mitobench.results.recompute import Recomputed
from mitobench.results.schema import Record

Progress = Callable[[int, int], None]
Marks = Mapping[str, Sequence[Mark]]

PAGE = "index.html"
KINDS: dict[str, dict[str, Any]] = {
    "png": {},
    "jpeg": {"quality": 82, "subsampling": 0, "optimize": True},
}


@dataclass(frozen=True)
class Gallery:
    """What was written.

    Attributes:
        page: index.html; its pictures lie beside it.
        n_frames: frames shown.
        n_misses, n_errors: in all, also those that have no crop.
    """

    page: Path
    n_frames: int
    n_misses: int
    n_errors: int


def write(
    path: Path,
    out: Path,
    *,
    data: Path | None = None,
    most_frames: int | None = None,
    most_crops: int = 24,
    kind: str = "png",
    progress: Progress = lambda done, total: None,
) -> Gallery:
    """Write the gallery of a record: `out/index.html`, its overlays, crops and contact sheets.

    Args:
        path: of the record; its detections lie beside it.
        out: folder, made if need be.
        data: folder that holds the data set at any depth; None: synthetic frames are made.
        most_frames: that have an overlay, those with the most misses and false positives; None: all test frames.
        most_crops: misses that are shown, and errors.
        kind: of the pictures, `png` or `jpeg`.
        progress: called with (frames drawn, frames in all).

    Raises RecordError for a record that is broken or failed, MitobenchError where its frames are not told or the disk
    is full, DataError where frames are missing, corrupt, or not those that the record was made with.
    """
    if kind not in KINDS:
        raise MitobenchError(f"No kind of picture is called {kind!r}. {nearest(kind, KINDS)}")
    made = records.read(path)
    if made.test is None:
        raise RecordError(f"{path}: a record that failed ({made.reason}) has no detections to show.")
    found = Candidate.of_record(Recomputed.read(path, made))
    card, items = test_frames(made, data)
    of_frame = {item.frame.id: marks(item, found.get(item.frame.id, []), made.test) for item in items}
    every = [mark for of_one in of_frame.values() for mark in of_one]
    subjects = {"misses": hardest_misses(every), "errors": most_confident_errors(every)}
    shown = _worst(of_frame, most_frames)
    pictures = Pictures(out, kind)
    chosen = [mark for of_kind in subjects.values() for mark in of_kind[:most_crops]]
    crops = _draw(items, of_frame, shown, chosen, pictures, progress)
    sheets = [
        _sheet(name, [(mark, crops[mark]) for mark in of_kind[:most_crops]], len(of_kind), made, pictures)
        for name, of_kind in subjects.items()
    ]
    overlays = [page.Overlay(id, pictures.name(f"frames/{id}"), of_frame[id]) for id in shown]
    text = page.render(path, made, card, overlays, sheets, len(items))
    write_text_whole(out / PAGE, text)
    return Gallery(out / PAGE, len(shown), len(subjects["misses"]), len(subjects["errors"]))


@dataclass(frozen=True)
class Pictures:
    """The folder that pictures are written to."""

    folder: Path
    kind: str

    def name(self, what: str) -> str:
        """A picture's path below the folder; safe in a file system and in a link, whatever a frame is called."""
        safe = (re.sub(r"[^A-Za-z0-9._-]+", "_", part) for part in what.split("/", 1))
        return f"{'/'.join(safe)}.{self.kind}"

    def save(self, what: str, image: Image.Image) -> str:
        """Write a picture whole or not at all; returns its name. Raises MitobenchError where it cannot be written."""
        content = io.BytesIO()
        image.save(content, self.kind, **KINDS[self.kind])
        write_whole(self.folder / self.name(what), content.getvalue())
        return self.name(what)


def _worst(of_frame: Marks, most: int | None) -> list[str]:
    """Ids of the frames with the most misses and false positives, in the order of their names; None: of all."""
    wrong = {id: sum(mark.outcome is not OUTCOMES["tp"] for mark in of_one) for id, of_one in of_frame.items()}
    return sorted(sorted(wrong, key=lambda id: (-wrong[id], id))[:most])


def _draw(
    items: Sequence[Item],
    of_frame: Marks,
    shown: Sequence[str],
    subjects: Sequence[Mark],
    pictures: Pictures,
    progress: Progress,
) -> dict[Mark, Image.Image]:
    """Write the overlays, and give the crops; one frame is in memory at a time."""
    crops = {}
    of_subject = defaultdict(list)
    for mark in subjects:
        of_subject[mark.frame].append(mark)
    needed = [item.frame for item in items if item.frame.id in shown or item.frame.id in of_subject]
    for number, frame in enumerate(needed, 1):
        pixels = frame.read()
        if frame.id in shown:
            pictures.save(f"frames/{frame.id}", drawing.overlay(frame, pixels, of_frame[frame.id]))
        for mark in of_subject[frame.id]:
            crops[mark] = drawing.crop(frame, pixels, mark, of_frame[frame.id])
        progress(number, len(needed))
    return crops


def _sheet(
    name: str, crops: Sequence[tuple[Mark, Image.Image]], total: int, made: Record, pictures: Pictures
) -> page.Sheet:
    """Write a contact sheet and its crops one by one."""
    assert made.test is not None
    texts = [caption(mark, made.test.threshold) for mark, _ in crops]
    shots = [
        page.Shot(mark, pictures.save(f"crops/{name}-{number:03d}", image), text)
        for number, ((mark, image), text) in enumerate(zip(crops, texts, strict=True), 1)
    ]
    if shots:
        row = f"{LeaderboardRow([made]).title}, {made.combination['dataset']}"
        title = f"{page.SHEETS[name]}, {len(shots)} of {total}: {row}"
        pictures.save(
            name, drawing.sheet(title, [(image, text) for (_, image), text in zip(crops, texts, strict=True)])
        )
    return page.Sheet(name, shots, total, pictures.name(name))
