"""Measures `mitobench predict` on a whole slide: seconds per mm2 of tissue, peak memory, and where the time goes.

With `--data`, models are compared side by side on a slide of 16 frames of MITOS 2012 or 2014, all of it tissue, on one
thread. The networks of a model are exported before, as `mitobench predict` does for more images. CPU seconds are those
of the process, which other processes disturb least; the shares are shares of them.

Without, the slide is a pyramid of repeated synthetic tissue, 95 % of it glass. `--full` makes one of 100,000 x 80,000
px, otherwise 20,000 x 20,000 px. Without `--model`, a cheap detector (`blobs`) searches, so that memory and reading are
measured. Post-processing of 100,000 candidates is measured too.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from common import machine, table
from numpy.typing import NDArray

from mitobench import compute, datasets
from mitobench.api import Detections
from mitobench.datasets import splits
from mitobench.datasets.synthesis import make_frame
from mitobench.evaluate import FramePrediction, count_frames, total
from mitobench.model import Model, Prediction, exported, reporting
from mitobench.model import card as cards
from mitobench.model.batch import predict_files
from mitobench.model.findings import Findings
from mitobench.model.image_run import Run
from mitobench.model.outputs import write_csv, write_geojson
from mitobench.model.overlay import overlay
from mitobench.slides.areas import area_of
from mitobench.slides.tissue import Tissue

MPP = 0.25
TILE, BLOCK = 512, 2048  # px; tissue fills whole blocks
GLASS_SHARE = 0.95
QUICK, FULL = (20_000, 20_000), (100_000, 80_000)
LEVELS = (1, 4, 16)
SCANNERS = {"mitos2012": "A", "mitos2014": "H"}  # whose frames a slide is made of


def make_slide(path: Path, size: tuple[int, int]) -> float:
    """Writes the slide; returns the area of its tissue, mm2."""
    columns, rows = size[0] // BLOCK, size[1] // BLOCK
    number = max(1, round((1 - GLASS_SHARE) * size[0] * size[1] / BLOCK**2))
    is_tissue = np.zeros((rows + 1, columns + 1), dtype=bool)
    side = int(np.ceil(np.sqrt(number)))
    top, left = (rows - side) // 2, (columns - side) // 2
    places = [(top + k // side, left + k % side) for k in range(number)]
    for place in places:
        is_tissue[place] = True
    block = np.tile(make_frame(0, 0, 0, TILE).image, (BLOCK // TILE, BLOCK // TILE, 1))
    options: dict[str, Any] = {"tile": (TILE, TILE), "compression": "zlib", "photometric": "rgb", "dtype": np.uint8}
    dots_per_cm = 10_000 / MPP
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        for level in LEVELS:
            shape = (size[1] // level, size[0] // level, 3)
            more = {"subfiletype": 1} if level > 1 else {"resolution": (dots_per_cm, dots_per_cm), "resolutionunit": 3}
            tiff.write(_tiles(shape, level, is_tissue, block), shape=shape, metadata=None, **more, **options)
    return number * (BLOCK * MPP) ** 2 / 1e6


def _tiles(
    shape: tuple[int, int, int], level: int, is_tissue: NDArray[np.bool_], block: NDArray[np.uint8]
) -> Iterator[NDArray[np.uint8]]:
    """Yields the tiles of a stored resolution."""
    reduced, side = block[::level, ::level], BLOCK // level
    glass = np.full((TILE, TILE, 3), 244, dtype=np.uint8)
    for y in range(0, shape[0], TILE):
        for x in range(0, shape[1], TILE):
            tile = glass
            for row in range(y // side, min((y + TILE - 1) // side + 1, is_tissue.shape[0])):
                for column in range(x // side, min((x + TILE - 1) // side + 1, is_tissue.shape[1])):
                    if is_tissue[row, column]:
                        tile = glass.copy() if tile is glass else tile
                        _paste(tile, reduced, (row * side - y, column * side - x))
            yield tile


def _paste(tile: NDArray[np.uint8], part: NDArray[np.uint8], at: tuple[int, int]) -> None:
    """Copies what fits of `part` into a tile, its corner at (row, column)."""
    rows = slice(max(at[0], 0), min(at[0] + len(part), len(tile)))
    columns = slice(max(at[1], 0), min(at[1] + part.shape[1], tile.shape[1]))
    inside = part[rows.start - at[0] : rows.stop - at[0], columns.start - at[1] : columns.stop - at[1]]
    tile[rows, columns] = inside


def blobs_model(folder: Path) -> Path:
    """Writes a model of `blobs` without a verifier."""
    names = {"detector": "blobs", "verifier": "none", "fuser": "detector-only"}
    parts = {
        role: cards.PackedPlugin(name=name, package="mitobench", version="1", options={})
        for role, name in names.items()
    }
    measured = cards.MeasuredScores(dataset="none", protocol="none", seed=0, f1=None, f1_interval=None)
    card = cards.ModelCard(
        title="blobs",
        record="",
        record_digest="",
        combination={},
        train_on={},
        notes=[],
        plugins=cards.PackedPlugins(**parts),
        candidate_threshold=0.3,
        threshold=0.4,
        mpp=0.5,
        measured=measured,
        half=False,
    )
    folder.mkdir()
    cards.write(folder, card)
    return folder


class Stopwatch:
    """Adds up the CPU time of the calling threads in functions, s."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def time(self, owner: Any, name: str, what: str) -> None:
        """Times every call of `owner.name`."""
        function: Callable[..., Any] = getattr(owner, name)

        def timed(*arguments: Any, **named: Any) -> Any:
            started = time.thread_time()
            try:
                return function(*arguments, **named)
            finally:
                self.seconds[what] = self.seconds.get(what, 0.0) + time.thread_time() - started

        setattr(owner, name, timed)


@dataclass(frozen=True)
class Measured:
    """What a search of a slide cost: seconds, CPU seconds of each part, mm2 of tissue that was found, GiB."""

    wall: float
    cpu: float
    parts: dict[str, float]
    mm2: float
    mitoses: int | None
    peak: float

    def row(self, name: str, mm2: float, f1: str) -> list[str]:
        """Returns the line of a table."""
        shares = [f"{self.parts.get(part, 0.0) / self.cpu:.0%}" for part in PARTS]
        return [name, f"{self.wall / mm2:.2f}", f"{self.cpu / mm2:.2f}", *shares, f"{self.peak:.2f}", f1]


PARTS = ("reading", "detecting", "verifying", "writing")
HEAD = ["model", "s/mm2", "CPU s/mm2", *PARTS, "peak GiB", "F1"]


def measure(slide: Path, folder: Path, out: Path) -> Measured:
    """Searches the slide with a model on one thread, its networks exported."""
    from mitobench.model.search import Searcher

    compute.set_threads(1)
    model, watch = Model.load(folder), Stopwatch()
    model.use_exported(exported.networks_in(exported.prepared(model)))
    watch.time(Searcher, "_read", "reading")
    watch.time(model.detector, "predict", "detecting")
    if model.verifier is not None:
        watch.time(model.verifier, "score", "verifying")
    watch.time(Run, "_write", "writing")
    started = time.perf_counter(), time.process_time()
    (row,) = predict_files(model, [slide], out)
    wall, cpu = time.perf_counter() - started[0], time.process_time() - started[1]
    assert row.done, row.note
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return Measured(wall, cpu, watch.seconds, row.tissue_mm2 or 0.0, row.mitoses, peak)


def export_networks(folder: Path, slide: Path) -> None:
    """Exports the networks of a model, as `mitobench predict` does for a slide of 16 times the size."""
    exported.prepared(Model.load(folder), [slide] * 16)


def in_own_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls a function in a new process, so that its peak memory and patches are its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def tiled_frames(path: Path, data: Path, dataset: str, side: int = 4) -> float:
    """Writes a slide of `side` x `side` frames of a data set, spread evenly over its slides; returns its area, mm2."""
    found = list(datasets.load(dataset, data).select([SCANNERS[dataset]]).items.values())
    items = [found[place] for place in np.linspace(0, len(found) - 1, side**2).astype(int)]
    width, height = (min(sizes) for sizes in zip(*(item.frame.size for item in items), strict=True))
    rows = [np.hstack([item.frame.read()[:height, :width] for item in items[k::side]]) for k in range(side)]
    whole, mpp = np.vstack(rows), items[0].frame.mpp
    dots_per_cm = tuple(10_000 / value for value in mpp)
    options: dict[str, Any] = {"tile": (TILE, TILE), "compression": "zlib", "photometric": "rgb"}
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        for level in LEVELS:
            more = {"subfiletype": 1} if level > 1 else {"resolution": dots_per_cm, "resolutionunit": 3}
            tiff.write(whole[::level, ::level], metadata=None, **more, **options)
    return float(whole.shape[0] * mpp[1] * whole.shape[1] * mpp[0] / 1e6)


def f1_on_test(folder: Path, data: Path) -> str:
    """Returns F1, and hits, false detections and misses, on the test frames of MITOS 2012."""
    compute.set_threads(1)
    model, dataset = Model.load(folder), datasets.load("mitos2012", data).select(["A"])
    split = splits.assign(splits.load_split("mitos2012", "official"), dataset)
    frames = []
    for id in split.parts["test"]:
        item = dataset.items[id]
        found = model.predict(item.frame)
        frames.append(replace(FramePrediction.of(item.frame, item.mitoses, found.detections), score=found.score))
    counts = total(count_frames(frames, model.card.threshold, "mitos", dataset.card.radius_um))
    return f"{counts.ratio('f1'):.3f} ({counts.tp}, {counts.fp}, {counts.fn})"


def compare(models: Sequence[str], data: Path, dataset: str, folder: Path, with_f1: bool) -> None:
    """Prints what models cost on a slide of real frames, one after the other."""
    mm2 = tiled_frames(folder / "slide.tif", data, dataset)
    rows = []
    for number, name in enumerate(models):
        of = cards.find(name)
        in_own_process(export_networks, of, folder / "slide.tif")
        measured = in_own_process(measure, folder / "slide.tif", of, folder / f"out-{number}")
        print(f"{name}: {measured.mitoses} mitoses, {measured.mm2:.2f} mm2 of tissue found", flush=True)
        f1 = in_own_process(f1_on_test, of, data) if with_f1 else ""
        rows.append(measured.row(name, measured.mm2, f1))
        print(rows[-1], flush=True)
    print(f"\n{machine()}; one thread; {mm2:.2f} mm2; F1 with (hits, false, missed)\n\n{table(HEAD, rows)}")


def post_processing(model: Model, folder: Path, number: int) -> None:
    """Prints the time from the candidates of all cells to the tables, for many candidates."""
    from mitobench.api import Frame
    from mitobench.model import grid
    from mitobench.model.model import CellCandidates

    size, mpp = (100_000, 80_000), (MPP, MPP)
    rng = np.random.default_rng(0)
    xy = rng.uniform(0, size, (number, 2))
    score = rng.uniform(0.21, 1, number)  # nearly all are written as mitoses or near ones, which costs most
    found = []
    for cell in grid.cells(size, mpp):
        inside = cell.holds(xy)
        found.append(CellCandidates(cell.number, Detections.from_points(xy[inside], score[inside]), score[inside]))
    made = time.process_time()
    frame = Frame("slide", "images", "slide", "-", mpp, size, lambda: np.zeros((1, 1, 3), np.uint8))
    prediction: Prediction = model.joined(frame, found).sorted()
    tissue = Tissue(np.ones((2500, 3125), dtype=bool), 8.0)
    findings = Findings("slide", Path("slide"), size, mpp, prediction, model.card.threshold, tissue)
    report = reporting.report_on(findings, model.card, area_of("circle", 2.0))
    write_csv(folder / "a.csv", findings)
    write_geojson(folder / "a.geojson", findings, reporting.hot_spot_features(report))
    overlay(np.full((3277, 4096, 3), 200, np.uint8), findings)
    seconds = time.process_time() - made
    print(
        f"{len(prediction):,} candidates joined, fused, counted, drawn and written in {seconds:.1f} CPU s, "
        f"{prediction.is_mitosis.sum():,} of them mitoses"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="a slide of 100,000 x 80,000 px")
    parser.add_argument(
        "--model",
        action="append",
        help="name or folder of a model, may be repeated; default: blobs, with --data bundled",
    )
    parser.add_argument("--data", type=Path, help="folder with the data set: compares models on real frames")
    parser.add_argument(
        "--dataset", choices=SCANNERS, default="mitos2012", help="with --data: whose frames the slide has"
    )
    parser.add_argument("--score", action="store_true", help="with --data: F1 on the 15 test frames of MITOS 2012")
    parser.add_argument("--folder", type=Path, help="where the slide is made; default: a temporary folder")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        blobs = blobs_model(folder / "blobs")
        if arguments.data:
            compare(arguments.model or ["bundled"], arguments.data, arguments.dataset, folder, arguments.score)
            return
        started = time.perf_counter()
        size = FULL if arguments.full else QUICK
        mm2 = make_slide(folder / "slide.tif", size)
        seconds = time.perf_counter() - started
        print(f"a slide of {size[0]} x {size[1]} px, {mm2:.2f} mm2 of it tissue, made in {seconds:.0f} s")
        for number, given in enumerate(arguments.model or [str(blobs)]):
            measured = in_own_process(measure, folder / "slide.tif", cards.find(given), folder / f"out-{number}")
            print(f"{given}: {measured.mm2:.2f} mm2 of tissue found, peak memory {measured.peak:.2f} GiB")
            print(table(HEAD, [measured.row(Path(given).name, mm2, "")]))
        post_processing(Model.load(blobs), folder, 100_000)


if __name__ == "__main__":
    main()
