"""Writes a gallery of a record: overlays, contact sheets and an HTML page."""

from __future__ import annotations

import io
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from mitobench.atomic import write_atomic, write_text_atomic
from mitobench.datasets import Item
from mitobench.errors import MitobenchError, RecordError, nearest
from mitobench.evaluate.matching import find_matcher
from mitobench.gallery import drawing, gallery_page
from mitobench.gallery.outcomes import Mark, StoredCandidate, caption, hardest_misses, marks, most_confident_errors
from mitobench.gallery.source import test_frames
from mitobench.report.colours import OUTCOMES
from mitobench.report.row import LeaderboardRow
from mitobench.results import record as records
from mitobench.results.recompute import Recomputation
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
    """A written gallery.

    Attributes:
        page: path of index.html; its pictures are in the same folder.
        n_frames: number of frames shown.
        n_misses, n_errors: number of all misses and false positives, including those without a crop.
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
    max_frames: int | None = None,
    max_crops: int = 24,
    kind: str = "png",
    progress: Progress = lambda done, total: None,
) -> Gallery:
    """Writes the gallery of a record: `out/index.html` with overlays, crops and contact sheets.

    Args:
        path: the record's JSON file; its files of detections must be in the same folder.
        out: folder to write; created if needed.
        data: folder that holds the data set at any depth; None: synthetic frames are generated.
        max_frames: draw overlays of only this many frames, those with the most errors; None: all test frames.
        max_crops: maximum number of misses, and of false positives, to show as crops.
        kind: image format, `png` or `jpeg`.
        progress: called with (frames drawn, total number of frames).

    Raises RecordError for a broken or failed record; MitobenchError if `data` is needed but not given, or the disk is
    full; DataError if frames are missing, corrupt, or differ from those that the record was made with.
    """
    if kind not in KINDS:
        raise MitobenchError(f"Unknown image format {kind!r}. {nearest(kind, KINDS)}")
    record = records.read(path)
    if record.test is None:
        raise RecordError(
            f"{path}: the run failed ({record.reason}), so there are no detections to show. "
            "Choose a record with status ok."
        )
    if find_matcher(record.test.matcher).many:
        raise RecordError(
            f"{path}: its matcher is {record.test.matcher}, with which a detection may find several mitoses. A gallery "
            "shows one mitosis for each detection: choose a record with another matcher."
        )
    found = StoredCandidate.of_record(Recomputation.read(path, record))
    card, items = test_frames(record, data)
    of_frame = {item.frame.id: marks(item, found.get(item.frame.id, []), record.test) for item in items}
    every = [mark for of_one in of_frame.values() for mark in of_one]
    subjects = {"misses": hardest_misses(every), "errors": most_confident_errors(every)}
    shown = _frames_with_most_errors(of_frame, max_frames)
    pictures = PictureFolder(out, kind)
    chosen = [mark for of_kind in subjects.values() for mark in of_kind[:max_crops]]
    crops = _draw(items, of_frame, shown, chosen, pictures, progress)
    sheets = [
        _sheet(name, [(mark, crops[mark]) for mark in of_kind[:max_crops]], len(of_kind), record, pictures)
        for name, of_kind in subjects.items()
    ]
    overlays = [
        gallery_page.FrameOverlay(id, pictures.name(f"frames/{id}"), pictures.name(f"thumbnails/{id}"), of_frame[id])
        for id in shown
    ]
    text = gallery_page.render(path, record, card, overlays, sheets, len(items))
    write_text_atomic(out / PAGE, text)
    return Gallery(out / PAGE, len(shown), len(subjects["misses"]), len(subjects["errors"]))


@dataclass(frozen=True)
class PictureFolder:
    """The folder that pictures are written to."""

    folder: Path
    kind: str

    def name(self, what: str) -> str:
        """A picture's path below the folder. Replaces characters that are unsafe in a file name or a link."""
        safe = (re.sub(r"[^A-Za-z0-9._-]+", "_", part) for part in what.split("/", 1))
        return f"{'/'.join(safe)}.{self.kind}"

    def save(self, what: str, image: Image.Image) -> str:
        """Writes a picture atomically; returns its path below the folder. Raises MitobenchError if writing fails."""
        content = io.BytesIO()
        image.save(content, self.kind, **KINDS[self.kind])
        write_atomic(self.folder / self.name(what), content.getvalue())
        return self.name(what)


def _frames_with_most_errors(of_frame: Marks, max_frames: int | None) -> list[str]:
    """Ids of the `max_frames` frames (None: all) with the most misses and false positives, sorted by id."""
    wrong = {id: sum(mark.outcome is not OUTCOMES["tp"] for mark in of_one) for id, of_one in of_frame.items()}
    return sorted(sorted(wrong, key=lambda id: (-wrong[id], id))[:max_frames])


def _draw(
    items: Sequence[Item],
    of_frame: Marks,
    shown: Sequence[str],
    subjects: Sequence[Mark],
    pictures: PictureFolder,
    progress: Progress,
) -> dict[Mark, Image.Image]:
    """Writes the overlays and returns the crops. Holds one frame in memory at a time."""
    crops = {}
    of_subject = defaultdict(list)
    for mark in subjects:
        of_subject[mark.frame].append(mark)
    needed = [item.frame for item in items if item.frame.id in shown or item.frame.id in of_subject]
    for number, frame in enumerate(needed, 1):
        pixels = frame.read()
        if frame.id in shown:
            pictures.save(f"frames/{frame.id}", drawing.overlay(frame, pixels, of_frame[frame.id]))
            pictures.save(f"thumbnails/{frame.id}", drawing.thumbnail(frame, pixels, of_frame[frame.id]))
        for mark in of_subject[frame.id]:
            crops[mark] = drawing.crop(frame, pixels, mark, of_frame[frame.id])
        progress(number, len(needed))
    return crops


def _sheet(
    name: str, crops: Sequence[tuple[Mark, Image.Image]], total: int, record: Record, pictures: PictureFolder
) -> gallery_page.ContactSheet:
    """Writes a contact sheet and its single crops."""
    assert record.test is not None
    texts = [caption(mark, record.test.threshold) for mark, _ in crops]
    sheet_crops = [
        gallery_page.Crop(mark, pictures.save(f"crops/{name}-{number:03d}", image), text)
        for number, ((mark, image), text) in enumerate(zip(crops, texts, strict=True), 1)
    ]
    if sheet_crops:
        row = f"{LeaderboardRow([record]).title}, {record.combination['dataset']}"
        title = f"{gallery_page.SHEETS[name]}, {len(sheet_crops)} of {total}: {row}"
        pictures.save(
            name, drawing.sheet(title, [(image, text) for (_, image), text in zip(crops, texts, strict=True)])
        )
    return gallery_page.ContactSheet(name, sheet_crops, total, pictures.name(name))
