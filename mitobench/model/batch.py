"""Finds mitoses on many images. A failing image does not stop the others; each image's files are written at once.

A search that was interrupted continues at the cell where it stopped, and finished images are not searched again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mitobench.datasets import images
from mitobench.errors import DataError, MitobenchError
from mitobench.model import grid, inputs, outputs
from mitobench.model.areas import Area, area_of
from mitobench.model.findings import Findings
from mitobench.model.inputs import SUMMARY, frame_of
from mitobench.model.journal import Journal
from mitobench.model.model import Model
from mitobench.model.output_folder import OutputFolder
from mitobench.model.outputs import ImageSummary
from mitobench.model.overlay import overlay, reduced_size
from mitobench.model.search import CellResult, Load, Searcher, place, searcher
from mitobench.slides.overview import overview
from mitobench.slides.reader import Image, open_image
from mitobench.slides.reader.resolution import Mpp

ENDINGS = (".csv", ".geojson", ".png")  # of the files of an image
MAX_PLACES = 5  # parts that could not be read which a note lists
SUMMARY_FILE = f"{SUMMARY}.csv"


@dataclass(frozen=True)
class Options:
    """How images are searched.

    Attributes:
        mpp: um/px of all images; None: that of each file.
        threshold: a score at or above it is a mitosis; None: the model's threshold.
        page: of files with several images, such as a z-stack: which one to search, from 1 on.
        tissue: where tissue is, for a single image: a mask image or GeoJSON. None: it is found.
        roi: GeoJSON with the only regions to search, for a single image.
        overwrite: replace files that mitobench did not write, and search finished images again.
        load: loads the model in another process; needed for several.
        jobs: number of processes.
    """

    mpp: float | None = None
    threshold: float | None = None
    page: int | None = None
    tissue: Path | None = None
    roi: Path | None = None
    overwrite: bool = False
    load: Load | None = None
    jobs: int = 1


@dataclass(frozen=True)
class Progress:
    """How far a search is.

    Attributes:
        image: number of the current image, from 0 on.
        images: number of images.
        cells: finished cells of the current image, with those of an earlier, interrupted run.
        all_cells: number of cells of the current image that are searched.
        searched: cells of all images that this run has searched.
        seconds: for these.
    """

    image: int
    images: int
    cells: int
    all_cells: int
    searched: int
    seconds: float

    @property
    def share(self) -> float:
        """Finished share of the work, if all images had as many cells as the current one."""
        return (self.image + (self.cells / self.all_cells if self.all_cells else 0)) / max(1, self.images)

    @property
    def seconds_left(self) -> float | None:
        """Time left, if all further images had as many cells as the current one; None before the first cell."""
        if not self.searched:
            return None
        cells = self.all_cells - self.cells + (self.images - self.image - 1) * self.all_cells
        return cells * self.seconds / self.searched


Listener = Callable[[Progress], None]


def predict_files(
    model: Model,
    paths: Sequence[Path],
    out: Path,
    mpp: float | None = None,
    threshold: float | None = None,
    options: Options | None = None,
    progress: Listener | None = None,
) -> Iterator[ImageSummary]:
    """Finds mitoses on images; writes `NAME.csv`, `.geojson` and `.png` for each, and `summary.csv` for all so far.

    Args:
        model: the model.
        paths: image files, as listed by `inputs.images_of`; `inputs.names` gives each its NAME.
        out: folder to write; created if needed.
        mpp, threshold: as in `options`, which they replace.
        options: how the images are searched.
        progress: called after every cell.

    Yields the summary of each image when it is finished, including failed ones. Raises MitobenchError if `out` cannot
    be written, holds an image that could be overwritten, or files that mitobench did not write.
    """
    given = options or Options()
    given = replace(given, mpp=given.mpp if mpp is None else mpp)
    given = replace(given, threshold=_first(threshold, given.threshold, model.card.threshold))
    inputs.check_out(out, paths)
    names = inputs.names(paths)
    with ExitStack() as stack:
        folder = stack.enter_context(OutputFolder(out, given.overwrite))
        folder.check([SUMMARY_FILE, *(f"{name}{ending}" for name in names for ending in ENDINGS)])
        rows: list[ImageSummary] = []
        _write_summary(folder, rows)  # fails before any work if it cannot be written
        run = _Run(folder, stack.enter_context(searcher(model, given.load, given.jobs)), given, len(paths), progress)
        for number, (path, name) in enumerate(zip(paths, names, strict=True)):
            row = run.row(number, path, name)
            rows.append(row)
            _write_summary(folder, rows)
            yield row
        folder.close()


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)


def _write_summary(folder: OutputFolder, rows: Sequence[ImageSummary]) -> None:
    with folder.staged() as stage:
        outputs.write_summary(stage / SUMMARY_FILE, rows)


@dataclass
class _Run:
    """One call of `predict_files`."""

    folder: OutputFolder
    searcher: Searcher
    options: Options
    images: int
    progress: Listener | None
    searched: int = 0
    started: float = field(default_factory=time.perf_counter)

    def row(self, number: int, path: Path, name: str) -> ImageSummary:
        """Searches an image, writes its files, and returns its summary."""
        try:
            return self._row(number, path, name)
        except OutputError as reason:
            raise reason.reason from reason
        except MitobenchError as reason:
            return ImageSummary(str(path), note=str(reason))
        except Exception as reason:  # any error of a plugin, or too little memory: the next image may succeed
            return ImageSummary(str(path), note=f"{type(reason).__name__}: {reason}")

    def _row(self, number: int, path: Path, name: str) -> ImageSummary:
        started = time.perf_counter()
        inputs.check_there([path])
        state = _state(path)
        with open_image(path, self.options.page) as image:
            mpp, notes = inputs.resolution(image, self.options.mpp)
            area = area_of(image, mpp, self.options.tissue, self.options.roi)
            identity = self._identity(path, state, image, mpp, area)
            whole = {**identity, "threshold": self.options.threshold}
            stored = self.folder.finished(name, whole)
            if stored is not None:
                return ImageSummary(**{**stored, "image": str(path)})
            notes = [*([] if name == path.stem else [f"its files are named {name}"]), *image.notes, *notes, *area.notes]
            notes += inputs.oddities_of(image)
            findings = self._findings(number, image, name, mpp, area, identity, notes)
            if _state(path) != state:
                raise DataError(f"{path}: changed while it was read. Run the same command again when it is complete.")
            files = self._write(image, findings)
        row = _summarise(findings, round(time.perf_counter() - started, 2))
        if not findings.failed:
            with _writing():
                self.folder.finish(name, whole, files, asdict(row))
        return row

    def _findings(
        self,
        number: int,
        image: Image,
        name: str,
        mpp: Mpp,
        area: Area,
        identity: dict[str, Any],
        notes: Sequence[str],
    ) -> Findings:
        with _writing():
            journal = Journal(self.folder.work / f"{name}.cells", identity)
        every = self.searcher.cells(image, mpp, area)
        failed: list[CellResult] = []
        self._tell(number, len(journal.done), len(every))
        try:
            for result in self.searcher.search(image, mpp, area, journal, self.options.page):
                self.searched += 1
                failed += [result] if result.found is None else []
                self._tell(number, len(journal.done) + len(failed), len(every))
        finally:
            journal.close()
        frame = frame_of(image, mpp, self.options.page)
        found = self.searcher.model.joined(frame, list(journal.done.values()), self.options.threshold).sorted()
        failed.sort(key=lambda result: result.cell.number)
        if failed and len(failed) == len(every):
            raise DataError(failed[0].reason)
        threshold = self.options.threshold
        assert threshold is not None
        return Findings(
            name,
            image.path,
            image.size,
            mpp,
            found,
            threshold,
            area.tissue,
            (*notes, *_unread(failed)),
            self.options.page,
            tuple(result.cell.box for result in failed),
        )

    def _write(self, image: Image, findings: Findings) -> list[str]:
        """Writes the files of an image; returns their names."""
        pixels, _ = overview(image, reduced_size(image.size))
        with _writing(), self.folder.staged() as stage:
            target = stage / findings.name
            outputs.write_csv(target.with_name(f"{findings.name}.csv"), findings)
            outputs.write_geojson(target.with_name(f"{findings.name}.geojson"), findings)
            images.write_rgb(target.with_name(f"{findings.name}.png"), overlay(pixels, findings))
            return sorted(path.name for path in stage.iterdir())

    def _identity(self, path: Path, state: list[Any], image: Image, mpp: Mpp, area: Area) -> dict[str, Any]:
        """What decides the candidates of an image, apart from the threshold."""
        return {
            "mitobench": version("mitobench"),
            "model": self.searcher.model.card.digest or self.searcher.model.card.record_digest,
            "device": self.searcher.model.detector.device,
            "file": [path.name, *state],
            "decoder": image.decoder,
            "page": self.options.page,
            "mpp": list(mpp),
            "area": area.digest,
            "grid": [grid.CORE_UM, grid.HALO_UM, grid.SEAM_UM],
        }

    def _tell(self, number: int, cells: int, all_cells: int) -> None:
        if self.progress is not None:
            seconds = time.perf_counter() - self.started
            self.progress(Progress(number, self.images, cells, all_cells, self.searched, seconds))


class OutputError(Exception):
    """The output folder cannot be written, so no further image can be processed."""

    def __init__(self, reason: MitobenchError) -> None:
        super().__init__(str(reason))
        self.reason = reason


class _writing:
    """Turns errors of writing into OutputError, which ends the run."""

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, MitobenchError):
            raise OutputError(error) from error


def _state(path: Path) -> list[Any]:
    """Size and modification time of a file, and of the parts of a slide of several files. Raises DataError without it."""
    parts = path.with_suffix("")
    try:
        files = [path, *(sorted(parts.iterdir()) if path.suffix and parts.is_dir() else ())]
        return [[file.stat().st_size, file.stat().st_mtime_ns] for file in files]
    except OSError as reason:
        raise DataError(f"{path}: vanished while it was read. Put it back and run the same command again.") from reason


def _unread(failed: Sequence[CellResult]) -> list[str]:
    if not failed:
        return []
    places = [place(result.cell.box) for result in failed[:MAX_PLACES]]
    more = [f"and {len(failed) - MAX_PLACES} more"] if len(failed) > MAX_PLACES else []
    return [f"{len(failed)} parts could not be decoded and were not searched: {'; '.join([*places, *more])}"]


def _summarise(findings: Findings, seconds: float) -> ImageSummary:
    (width, height), mpp, tissue = findings.size, findings.mpp, findings.tissue.area_mm2
    return ImageSummary(
        str(findings.path),
        width,
        height,
        (mpp[0] + mpp[1]) / 2,
        width * mpp[0] * height * mpp[1] / 1e6,
        findings.mitoses,
        findings.mitoses / tissue if tissue else None,
        len(findings.found),
        seconds,
        "; ".join(findings.notes),
        tissue,
        len(findings.failed),
    )
