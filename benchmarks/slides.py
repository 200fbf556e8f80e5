"""Measures `mitobench predict` on a whole slide: seconds per mm2 of tissue, peak memory, and where the time goes.

The slide is a pyramid of repeated synthetic tissue, 95 % of it glass. `--full` makes one of 100,000 x 80,000 px,
otherwise 20,000 x 20,000 px. Without `--model`, a cheap detector (`blobs`) searches, so that memory and reading are
measured.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from mitobench.api import Detections
from mitobench.datasets.synthesis import make_frame
from mitobench.model import Model, Prediction
from mitobench.model import card as cards
from mitobench.model.batch import predict_files
from mitobench.model.findings import Findings
from mitobench.model.image_run import Run
from mitobench.model.outputs import write_csv, write_geojson
from mitobench.slides.tissue import Tissue

MPP = 0.25
TILE, BLOCK = 512, 2048  # px; tissue fills whole blocks
GLASS_SHARE = 0.95
QUICK, FULL = (20_000, 20_000), (100_000, 80_000)
LEVELS = (1, 4, 16)


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
    """Adds up the time in functions."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def time(self, owner: Any, name: str, what: str) -> None:
        """Times every call of `owner.name`."""
        function: Callable[..., Any] = getattr(owner, name)

        def timed(*arguments: Any, **named: Any) -> Any:
            started = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                self.seconds[what] = self.seconds.get(what, 0.0) + time.perf_counter() - started

        setattr(owner, name, timed)


def measure(slide: Path, model: Model, out: Path, mm2: float) -> None:
    """Searches the slide, and prints the time and memory that it took."""
    from mitobench.model.search import Searcher

    watch = Stopwatch()
    watch.time(Searcher, "_read", "reading (beside the search)")
    watch.time(model.detector, "predict", "detecting")
    if model.verifier is not None:
        watch.time(model.verifier, "score", "verifying")
    watch.time(Run, "_write", "writing tables, pictures and report")
    started = time.perf_counter()
    (row,) = predict_files(model, [slide], out)
    seconds = time.perf_counter() - started
    assert row.done, row.note
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{row.width_px} x {row.height_px} px, {mm2:.1f} mm2 of tissue ({row.tissue_mm2:.1f} found)")
    print(f"{seconds:.1f} s, {seconds / mm2:.2f} s/mm2 of tissue; peak memory {peak:.2f} GiB")
    for what, took in watch.seconds.items():
        print(f"  {what:40} {took:8.1f} s  {took / seconds:4.0%}")


def post_processing(model: Model, folder: Path, number: int) -> None:
    """Prints the time from the candidates of all cells to the tables, for many candidates."""
    from mitobench.api import Frame
    from mitobench.model import grid
    from mitobench.model.model import CellCandidates

    size, mpp = (100_000, 80_000), (MPP, MPP)
    rng = np.random.default_rng(0)
    xy = rng.uniform(0, size, (number, 2))
    score = rng.beta(1, 10, number)  # most candidates are far below the threshold, as with detectors
    found = []
    for cell in grid.cells(size, mpp):
        inside = cell.holds(xy)
        found.append(CellCandidates(cell.number, Detections.from_points(xy[inside], score[inside]), score[inside]))
    made = time.perf_counter()
    frame = Frame("slide", "images", "slide", "-", mpp, size, lambda: np.zeros((1, 1, 3), np.uint8))
    prediction: Prediction = model.joined(frame, found).sorted()
    tissue = Tissue(np.ones((2500, 3125), dtype=bool), 8.0)
    findings = Findings("slide", Path("slide"), size, mpp, prediction, model.card.threshold, tissue)
    write_csv(folder / "a.csv", findings)
    write_geojson(folder / "a.geojson", findings)
    done = time.perf_counter()
    print(
        f"{len(prediction):,} candidates joined, fused and written in {done - made:.1f} s, "
        f"{prediction.is_mitosis.sum():,} of them mitoses"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="a slide of 100,000 x 80,000 px")
    parser.add_argument("--model", help="name or folder of a model; default: blobs")
    parser.add_argument("--folder", type=Path, help="where the slide is made; default: a temporary folder")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        model = Model.load(cards.find(arguments.model) if arguments.model else blobs_model(folder / "blobs"))
        started = time.perf_counter()
        mm2 = make_slide(folder / "slide.tif", FULL if arguments.full else QUICK)
        print(f"slide made in {time.perf_counter() - started:.0f} s")
        measure(folder / "slide.tif", model, folder / "out", mm2)
        post_processing(model, folder, 100_000)


if __name__ == "__main__":
    main()
