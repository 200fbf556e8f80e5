"""Searches one image cell by cell, with memory that does not grow with the image.

Only cells that touch the area to be searched are read. While one cell is searched, the next one is read. With several
processes, each reads and searches cells of its own.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from mitobench import compute
from mitobench.api import Frame
from mitobench.errors import DataError, MitobenchError
from mitobench.model.grid import Box, Cell, cells
from mitobench.model.inputs import frame_of
from mitobench.model.journal import Journal
from mitobench.model.model import CellCandidates, Model
from mitobench.model.search_area import SearchArea
from mitobench.mpp import Mpp
from mitobench.slides.reader import Image, open_image
from mitobench.slides.reader.pixels import Pixels

Load = Callable[[], Model]


@dataclass
class Seconds:
    """Where the time goes, s. Reading happens beside the search, so the sum may exceed the time that passes."""

    reading: float = 0.0
    searching: float = 0.0


@dataclass(frozen=True)
class CellResult:
    """What became of a cell.

    Attributes:
        cell: the cell.
        found: its candidates; None if nothing of it could be decoded.
        reason: why.
        unread: corners (x1, y1, x2, y2) px of what could not be decoded.
    """

    cell: Cell
    found: CellCandidates | None
    reason: str = ""
    unread: tuple[Box, ...] = ()

    @property
    def around(self) -> Box:
        """Corners around everything that could not be decoded."""
        left, top, right, bottom = zip(*self.unread, strict=True)
        return min(left), min(top), max(right), max(bottom)


@dataclass
class Searcher:
    """Searches cells with a model, in this process or in several.

    Attributes:
        model: the model.
        pool: the processes; None: this one.
        jobs: number of processes.
        seconds: where the time went (this process only).
    """

    model: Model
    pool: ProcessPoolExecutor | None = None
    jobs: int = 1
    seconds: Seconds = field(default_factory=Seconds)

    def search(
        self, image: Image, mpp: Mpp, area: SearchArea, journal: Journal | None = None, page: int | None = None
    ) -> Iterator[CellResult]:
        """Searches all cells of an image; with a journal, those that are not in it, and adds them to it.

        Yields what became of each cell when it is finished. Raises MitobenchError if the image has vanished or a
        plugin returns something that its interface does not allow; any error of a plugin is passed on.
        """
        done = {} if journal is None else journal.done
        left = [cell for cell in self.cells(image, mpp, area) if cell.number not in done]
        frame = frame_of(image, mpp, page)
        results = (
            self._here(image, frame, left) if self.pool is None else self._there(self.pool, image, mpp, page, left)
        )
        for result in results:
            if result.found is not None:
                inside = result.found.inside(area.holds(result.found.detections.xy, mpp))
                if journal is not None and not result.unread:  # otherwise it is tried again if the command is
                    journal.add(inside)
                result = replace(result, found=inside)
            elif not image.path.exists():
                raise DataError(
                    f"{image.path}: vanished while it was read. Put it back and run the same command again."
                )
            yield result

    def cells(self, image: Image, mpp: Mpp, area: SearchArea) -> list[Cell]:
        """Returns the cells of an image that are searched."""
        return [cell for cell in cells(image.size, mpp) if area.touches(cell, mpp)]

    def _here(self, image: Image, frame: Frame, left: Sequence[Cell]) -> Iterator[CellResult]:
        with ThreadPoolExecutor(1) as reader:
            read = (reader.submit(self._read, image, cell) for cell in left)
            ahead: deque[Future[tuple[Pixels, tuple[Box, ...]]]] = deque(itertools.islice(read, 2))
            try:
                for cell in left:
                    task = ahead.popleft()
                    try:
                        pixels, unread = task.result()
                        found = self._searched(frame, cell, pixels)
                    except DataError as reason:
                        yield CellResult(cell, None, str(reason), (cell.box,))
                    else:
                        yield CellResult(cell, found, unread=unread)
                    ahead.extend(itertools.islice(read, 1))
            finally:
                for task in ahead:
                    task.cancel()

    def _read(self, image: Image, cell: Cell) -> tuple[Pixels, tuple[Box, ...]]:
        started = time.perf_counter()
        try:
            return image.region_in_parts(*cell.origin, *cell.size)
        finally:
            self.seconds.reading += time.perf_counter() - started

    def _searched(self, frame: Frame, cell: Cell, pixels: Pixels) -> CellCandidates:
        started = time.perf_counter()
        try:
            return self.model.search(frame, cell, pixels)
        finally:
            self.seconds.searching += time.perf_counter() - started

    def _there(
        self, pool: Executor, image: Image, mpp: Mpp, page: int | None, left: Sequence[Cell]
    ) -> Iterator[CellResult]:
        waiting = iter(left)
        tasks: set[Future[CellResult]] = set()
        try:
            while True:
                more = itertools.islice(waiting, 2 * self.jobs - len(tasks))
                tasks |= {pool.submit(_in_process, image.path, page, mpp, cell) for cell in more}
                if not tasks:
                    return
                done, tasks = wait(tasks, return_when=FIRST_COMPLETED)
                for task in done:
                    yield task.result()
        except BrokenProcessPool as reason:
            raise MitobenchError(
                "A process ended unexpectedly, perhaps for lack of memory. Run the same command again with fewer "
                "--jobs: finished parts are kept."
            ) from reason
        finally:
            for task in tasks:
                task.cancel()


# ----------------------------------------------------------------------------------------------- in other processes

_worker: dict[str, Any] = {}


@contextmanager
def searcher(model: Model, load: Load | None = None, jobs: int = 1) -> Iterator[Searcher]:
    """Gives what searches with a model.

    Args:
        model: the model.
        load: loads the model in another process; can be pickled. Needed for several processes.
        jobs: number of processes.
    """
    if jobs == 1 or load is None:
        yield Searcher(model)
        return
    pool = ProcessPoolExecutor(jobs, get_context("spawn"), _start, (load, jobs))
    try:
        yield Searcher(model, pool, jobs)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start(load: Load, jobs: int) -> None:
    """Loads the model in a process, and shares the CPU's cores between all of them."""
    compute.set_threads(max(1, compute.threads() // jobs))
    _worker["model"] = load()


def _in_process(path: Path, page: int | None, mpp: Mpp, cell: Cell) -> CellResult:
    try:
        image = _opened(path, page)
        pixels, unread = image.region_in_parts(*cell.origin, *cell.size)
    except DataError as reason:
        return CellResult(cell, None, str(reason), (cell.box,))
    found = _worker["model"].search(frame_of(image, mpp, page), cell, pixels)
    return CellResult(cell, found, unread=unread)


def _opened(path: Path, page: int | None) -> Image:
    """Returns the image of the last call if it is the same."""
    if _worker.get("key") != (path, page):
        if "image" in _worker:
            _worker["image"].close()
        _worker["image"], _worker["key"] = open_image(path, page), (path, page)
    image: Image = _worker["image"]
    return image


def place(box: Box) -> str:
    """Returns where a part of an image is, for a message."""
    return f"x {box[0]} to {box[2]}, y {box[1]} to {box[3]} px"
