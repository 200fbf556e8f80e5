"""Finds mitoses on one image file, and writes nothing: the same for `mitobench predict` and from Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mitobench.errors import DataError
from mitobench.model import inputs
from mitobench.model.deviation import Judgement, judge_image
from mitobench.model.findings import Findings
from mitobench.model.journal import Journal
from mitobench.model.model import Prediction
from mitobench.model.search import CellResult, Searcher, place
from mitobench.model.search_area import EVERYWHERE, SearchArea, search_area_of
from mitobench.mpp import Mpp
from mitobench.slides.overview import Copies
from mitobench.slides.reader import Image, open_image

MAX_PLACES = 5  # parts that could not be read which a note lists

# Called before the first cell and after each, with the number of cells of this search, of earlier ones, and of all.
CellListener = Callable[[int, int, int], None]


@dataclass(frozen=True)
class OpenImage:
    """An open image file, and where on it mitoses are searched for.

    Attributes:
        image: the file.
        page: the page of it that is read, from 1 on; None: the only image.
        state: of the file before it was opened (`inputs.state`).
        mpp: um/px along x and y that are used.
        notes: on the um/px.
        copies: reduced copies of the image.
        area: where mitoses are searched for.
    """

    image: Image
    page: int | None
    state: list[Any]
    mpp: Mpp
    notes: Sequence[str]
    copies: Copies
    area: SearchArea


@contextmanager
def opened(
    path: Path,
    mpp: float | None = None,
    page: int | None = None,
    tissue: Path | None = None,
    roi: Path | None = None,
    option: str = "--mpp ",
) -> Iterator[OpenImage]:
    """Opens an image file, and finds where on it mitoses are searched for.

    Args:
        path: the file.
        mpp, page, tissue, roi: as in `image_run.Options`.
        option: how the user gives um/px, for messages (`inputs.resolution`).

    Raises DataError if a file cannot be read, an outline or a mask does not fit the image, or um/px is missing.
    """
    inputs.check_file(path)
    state = inputs.state(path)
    with open_image(path, page) as image:
        used, notes = inputs.resolution(image, mpp, option)
        inputs.check_size(path, image.size, used)
        copies = Copies(image)
        area = search_area_of(image, used, tissue, roi, copies)
        yield OpenImage(image, page, state, used, notes, copies, area)


def findings_on(
    given: OpenImage,
    searcher: Searcher,
    threshold: float,
    name: str,
    journal: Journal | None = None,
    listener: CellListener | None = None,
) -> tuple[Findings, Judgement]:
    """Judges an image, and searches it unless its counts would mean nothing.

    Args:
        given: the image.
        searcher: what searches.
        threshold: a score at or above it is a mitosis.
        name: of its output files, without suffix.
        journal: cells that were finished before, which are not searched again; finished cells are added to it.
        listener: called after every cell.

    Parts that cannot be decoded are left out, with a note. Raises DataError if nothing can be decoded or the file
    changed meanwhile; any error of a plugin is passed on.
    """
    image, area = given.image, given.area
    judgement = judge_image(searcher.model.card, image, given.mpp, area.tissue, given.copies, area.found)
    notes = [*([] if name == image.path.stem else [f"its files are named {name}"]), *image.notes, *given.notes]
    notes += [*area.notes, *inputs.notes_on_files(image.path)]
    notes += [EVERYWHERE] if judgement.judged and not area.found else []
    found, failed = Prediction.none(), list[CellResult]()
    if judgement.judged:
        found, failed = _searched(given, searcher, threshold, journal, listener or (lambda *_: None))
    tissue = area.tissue.without([box for result in failed for box in result.unread], given.mpp)
    if failed and not tissue.mask.any():
        raise DataError(f"{image.path}: none of its tissue can be decoded. Copy the file again.")
    if inputs.state(image.path) != given.state:
        raise DataError(f"{image.path}: changed while it was read. Run the same command again when it is complete.")
    boxes = tuple(result.around for result in failed)
    notes = [*_unread(boxes), *notes]
    findings = Findings(
        name, image.path, image.size, given.mpp, found, threshold, tissue, tuple(notes), given.page, boxes
    )
    return findings, judgement


def _searched(
    given: OpenImage, searcher: Searcher, threshold: float, journal: Journal | None, listener: CellListener
) -> tuple[Prediction, list[CellResult]]:
    """Returns the candidates, the highest score first, and the cells with parts that cannot be decoded, in order."""
    image, mpp, area = given.image, given.mpp, given.area
    every = len(searcher.cells(image, mpp, area))
    found = [] if journal is None else list(journal.done.values())
    earlier, failed = len(found), list[CellResult]()
    listener(0, earlier, every)
    for number, result in enumerate(searcher.search(image, mpp, area, journal, given.page), 1):
        found += [] if result.found is None else [result.found]
        failed += [result] if result.unread else []
        listener(number, earlier, every)
    if failed and not found and len(failed) == every:
        raise DataError(failed[0].reason)
    failed.sort(key=lambda result: result.cell.number)
    joined = searcher.model.joined(inputs.frame_of(image, mpp, given.page), found, threshold)
    return joined.sorted(), failed


def _unread(boxes: Sequence[tuple[int, int, int, int]]) -> list[str]:
    if not boxes:
        return []
    places = [place(box) for box in boxes[:MAX_PLACES]]
    more = [f"and {len(boxes) - MAX_PLACES} more"] if len(boxes) > MAX_PLACES else []
    what = (
        "1 part could not be decoded and was"
        if len(boxes) == 1
        else f"{len(boxes)} parts could not be decoded and were"
    )
    return [f"{what} not searched: {'; '.join([*places, *more])}"]
