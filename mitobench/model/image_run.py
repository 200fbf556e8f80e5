"""Finds mitoses on one image of many: from the file to the files that are written about it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any

from mitobench.datasets import images
from mitobench.errors import DataError, MitobenchError, as_text
from mitobench.model import grid, inputs, outputs, reporting
from mitobench.model.image_search import CellListener, OpenImage, findings_on, opened
from mitobench.model.inputs import Searched
from mitobench.model.journal import Journal
from mitobench.model.output_folder import OutputFolder
from mitobench.model.outputs import ImageSummary
from mitobench.model.overlay import overlay
from mitobench.model.pages import IndexRow, Report
from mitobench.model.search import Load, Searcher
from mitobench.slides.areas import Area, area_of
from mitobench.slides.overview import MAX_SIDE_PX, Copies

CSV, GEOJSON, OVERLAY = ".csv", ".geojson", ".png"
ENDINGS = (CSV, GEOJSON, OVERLAY, *reporting.ENDINGS)  # of the files of an image


FAILED = "failed"  # the status of an image that could not be searched


@dataclass(frozen=True)
class Options:
    """How images are searched.

    Attributes:
        mpp: um/px of all images; None: that of each file.
        threshold: a score at or above it is a mitosis; None: the model's threshold.
        page: of files with several images, such as a z-stack: which one to search, from 1 on.
        tissue: where tissue is, for a single image: a mask image or GeoJSON. None: it is found.
        roi: GeoJSON with the only regions to search, for a single image.
        hot_spot: shape and size of the hot spot.
        overwrite: replace files that mitobench did not write, and search finished images again.
        load: loads the model in another process; needed for several.
        jobs: number of processes.
    """

    mpp: float | None = None
    threshold: float | None = None
    page: int | None = None
    tissue: Path | None = None
    roi: Path | None = None
    hot_spot: Area = field(default_factory=lambda: area_of("circle", 2.0))
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


ProgressListener = Callable[[Progress], None]


@dataclass(frozen=True)
class Processed:
    """What became of an image: its line of the summary, and that of the index of reports."""

    summary: ImageSummary
    index: IndexRow


@dataclass
class Run:
    """Searches images one after the other, and writes their files.

    Attributes:
        folder: where they are written.
        searcher: what searches.
        options: how.
        images: number of images.
        progress: called after every cell.
    """

    folder: OutputFolder
    searcher: Searcher
    options: Options
    images: int
    progress: ProgressListener | None
    _searched: int = 0
    _started: float = field(default_factory=time.perf_counter)

    def process(self, number: int, path: Path, name: str) -> Processed:
        """Searches an image and writes its files.

        Raises MitobenchError if they cannot be written. Everything that is wrong with the image or happens in a plugin
        is noted in its summary.
        """
        try:
            return self._process(number, path, name)
        except OutputError as reason:
            raise reason.reason from reason
        except MitobenchError as reason:
            note = str(reason)
        except Exception as reason:  # any error of a plugin, or too little memory: the next image may succeed
            note = f"{type(reason).__name__}: {reason}"
        return Processed(ImageSummary(str(path), note=note), IndexRow(status=FAILED, notes=(note,)))

    def _process(self, number: int, path: Path, name: str) -> Processed:
        started, options = time.perf_counter(), self.options
        assert options.threshold is not None
        with opened(path, options.mpp, options.page, options.tissue, options.roi) as given:
            identity = self._identity(given)
            stored = self.folder.finished(name, self._whole(identity))
            if stored is not None:
                return self._found_before(stored, path, name, identity)
            with _writing():
                journal = Journal(self.folder.work / f"{name}.cells", identity)
            with closing(journal):
                findings, judgement = findings_on(
                    given, self.searcher, options.threshold, name, journal, self._listener(number)
                )
            model = self.searcher.model
            report = reporting.report_on(findings, model.card, options.hot_spot, judgement, model.computed_on)
            files = self._write(given.copies, report)
        processed = Processed(_summary(report, round(time.perf_counter() - started, 2)), reporting.index_row(report))
        # With parts that cannot be decoded it is noted as another one, so that the same command searches it again.
        whole = {**self._whole(identity), **({"unread parts": len(findings.failed)} if findings.failed else {})}
        with _writing():
            self.folder.finish(name, whole, files, _stored(processed))
        return processed

    def _found_before(self, stored: dict[str, Any], path: Path, name: str, identity: dict[str, Any]) -> Processed:
        """Returns what is stored of an image, and notes where it is now: another image may take its old place."""
        processed = _restored(stored, path, name)
        again = _stored(processed)
        if again["summary"]["image"] != stored["summary"]["image"]:
            with _writing():
                self.folder.finish(name, self._whole(identity), self.folder.files(name), again)
        return processed

    def _write(self, copies: Copies, report: Report) -> list[str]:
        """Writes the files of an image; returns their names."""
        findings = report.findings
        with _writing(), self.folder.staged() as stage:
            if report.judgement.judged:
                outputs.write_csv(stage / f"{findings.name}{CSV}", findings)
                features = reporting.hot_spot_features(report)
                outputs.write_geojson(stage / f"{findings.name}{GEOJSON}", findings, features)
                picture = overlay(copies.within(MAX_SIDE_PX)[0], findings)
                images.write_rgb(stage / f"{findings.name}{OVERLAY}", picture, 1)
            reporting.write_files(stage, copies, report)
            return sorted(path.name for path in stage.iterdir())

    def _identity(self, given: OpenImage) -> dict[str, Any]:
        """What decides the candidates of an image, apart from the threshold."""
        card = self.searcher.model.card
        return {
            "mitobench": version("mitobench"),
            "model": card.digest or card.record_digest,
            "device": self.searcher.model.detector.device,
            "file": given.state,
            "decoder": given.image.decoder,
            "page": given.page,
            "mpp": list(given.mpp),
            "area": given.area.digest,
            "grid": [grid.CORE_UM, grid.HALO_UM, grid.SEAM_UM],
        }

    def _whole(self, identity: dict[str, Any]) -> dict[str, Any]:
        """What decides all files of an image."""
        spot = self.options.hot_spot
        chosen = {"threshold": self.options.threshold, "hot spot": [type(spot).__name__, spot.mm2]}
        return {**identity, **chosen}

    def _listener(self, number: int) -> CellListener:
        """Returns what counts the cells of an image, and reports the progress."""
        before = self._searched

        def listener(searched: int, earlier: int, every: int) -> None:
            self._searched = before + searched
            if self.progress is not None:
                seconds = time.perf_counter() - self._started
                self.progress(Progress(number, self.images, searched + earlier, every, self._searched, seconds))

        return listener


# ------------------------------------------------------------------------------------------------------- results


def _summary(report: Report, seconds: float) -> ImageSummary:
    findings = report.findings
    (width, height), mpp, judged = findings.size, findings.mpp, report.judgement.judged
    notes = list(report.notes)
    if not judged:
        notes = [f"not judged: {', '.join(report.judgement.notes)}", *notes]
    spots = report.hot.spots
    return ImageSummary(
        str(findings.path),
        width,
        height,
        (mpp[0] + mpp[1]) / 2,
        width * mpp[0] * height * mpp[1] / 1e6,
        findings.mitoses if judged else None,
        report.per_mm2 if judged else None,
        len(findings.found) if judged else None,
        seconds,
        "; ".join(notes),
        findings.tissue.area_mm2 if judged else None,
        len(findings.failed),
        (spots[0].count if spots else None) if judged else None,
        notes=tuple(notes),
    )


def _stored(processed: Processed) -> dict[str, Any]:
    """What is kept of a finished image. Its path is absolute: later commands may start from another folder."""
    path = str(inputs.real(Path(processed.summary.image)))
    return {"summary": {**asdict(processed.summary), "image": path}, "index": asdict(processed.index)}


def searched_before(folder: OutputFolder) -> dict[str, Searched]:
    """Returns the images with results in a folder, by name."""
    found = {}
    for name, entry in folder.images.items():
        try:
            path = inputs.real(Path(entry["stored"]["summary"]["image"]))
            found[name] = Searched(as_text(str(path)), entry["identity"]["file"])
        except (KeyError, TypeError, ValueError, OSError):  # not an entry that mitobench wrote
            continue
    return found


def _restored(stored: dict[str, Any], path: Path, name: str) -> Processed:
    """Returns what `_stored` kept."""
    index = dict(stored["index"])
    interval = None if index["interval"] is None else tuple(index["interval"])
    own = {"page": f"{name}{reporting.REPORT}", "interval": interval, "notes": tuple(index["notes"])}
    row = IndexRow(**{**index, **own})
    summary = {**stored["summary"], "image": str(path), "found_before": True}
    notes = tuple(summary.get("notes", ()))
    return Processed(ImageSummary(**{**summary, "notes": notes}), row)


# --------------------------------------------------------------------------------------------------------- files


class OutputError(Exception):
    """The output folder cannot be written, so no further image can be processed."""

    def __init__(self, reason: MitobenchError) -> None:
        super().__init__(str(reason))
        self.reason = reason


class _writing:
    """Turns errors of writing into OutputError, which ends the run. Errors of reading the image stay what they are."""

    def __enter__(self) -> None:
        return

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, MitobenchError) and not isinstance(error, DataError):
            raise OutputError(error) from error
