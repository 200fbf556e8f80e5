"""Finds mitoses on many images. A failing image does not stop the others; each image's files are written at once.

A search that was interrupted continues at the cell where it stopped, and finished images are not searched again.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

from mitobench.errors import DataError, MitobenchError
from mitobench.model import inputs, outputs
from mitobench.model.image_run import (
    ENDINGS,
    FAILED,
    Options,
    Processed,
    Progress,
    ProgressListener,
    Run,
    searched_before,
)
from mitobench.model.inputs import SUMMARY
from mitobench.model.model import Model
from mitobench.model.output_folder import OutputFolder
from mitobench.model.outputs import ImageSummary
from mitobench.model.pages.index_page import write_index
from mitobench.model.reporting import INDEX
from mitobench.model.search import searcher
from mitobench.model.spread_images import Spread, spread_images

__all__ = ["ENDINGS", "SUMMARY_FILE", "Options", "Progress", "ProgressListener", "predict_files"]

SUMMARY_FILE = f"{SUMMARY}.csv"
INDEX_SECONDS = 30.0  # between two versions of the index, which takes a while with thousands of images


def predict_files(
    model: Model,
    paths: Sequence[Path],
    out: Path,
    mpp: float | None = None,
    threshold: float | None = None,
    options: Options | None = None,
    progress: ProgressListener | None = None,
    spread: Spread | None = None,
) -> Iterator[ImageSummary]:
    """Finds mitoses on images; writes the files of each, and `summary.csv` and an index of the reports for all so far.

    An earlier `summary.csv` and index are replaced when the first image is finished.

    Args:
        model: the model.
        paths: image files, as listed by `inputs.images_of`; `inputs.names` gives each its NAME.
        out: folder to write; created if needed.
        mpp, threshold: as in `options`, which they replace.
        options: how the images are searched.
        progress: called after every cell; with `spread`, after every image.
        spread: searches images elsewhere (`spread_images.py`), several at once; None: here, one after the other.

    Yields the summary of each image when it is finished, including failed ones. Raises MitobenchError if `out` cannot
    be written, holds an image that could be overwritten, or files that mitobench did not write.
    """
    given = options or Options()
    given = replace(given, mpp=given.mpp if mpp is None else mpp)
    chosen = given.threshold if threshold is None else threshold
    given = replace(given, threshold=model.card.threshold if chosen is None else chosen)
    inputs.check_out(out, paths)
    with ExitStack() as stack:
        folder = stack.enter_context(OutputFolder(out, given.overwrite))
        names = inputs.names(paths, searched_before(folder))
        folder.check([SUMMARY_FILE, INDEX, *(f"{name}{ending}" for name in names for ending in ENDINGS)])
        with folder.staged():  # fails before any work if nothing can be written
            pass
        done: dict[int, Processed] = {}
        index_at, indexed = 0.0, 0
        results: Iterator[tuple[int, Processed]]
        if spread is None:
            search = stack.enter_context(searcher(model, given.load, given.jobs))
            run = Run(folder, search, given, len(paths), progress)
            results = (
                (number, run.process(number, *image)) for number, image in enumerate(zip(paths, names, strict=True))
            )
        else:
            results = spread_images(folder, paths, names, given, progress, spread)
        try:
            for number, processed in results:
                done[number] = processed
                if processed.index.status == FAILED:
                    _forget(folder, names[number], paths[number])
                _write_summary(folder, _in_order(done))
                if time.monotonic() >= index_at or len(done) == len(paths):
                    _write_index(folder, _in_order(done), model, given, paths)
                    index_at, indexed = time.monotonic() + INDEX_SECONDS, len(done)
                yield processed.summary
        finally:  # also if it is interrupted; an index that cannot be written must not hide that
            if len(done) > indexed:
                with suppress(MitobenchError):
                    _write_index(folder, _in_order(done), model, given, paths)
        folder.close()


def _forget(folder: OutputFolder, name: str, path: Path) -> None:
    """Deletes what an earlier run wrote of an image that failed and is another one now."""
    try:
        state = inputs.state(path)
    except DataError:  # it has vanished: its results are all there is
        return
    folder.failed(name, state)


def _in_order(done: Mapping[int, Processed]) -> list[Processed]:
    return [one for _, one in sorted(done.items())]


def _write_summary(folder: OutputFolder, done: Sequence[Processed]) -> None:
    with folder.staged() as stage:
        outputs.write_summary(stage / SUMMARY_FILE, (processed.summary for processed in done))


def _write_index(
    folder: OutputFolder, done: Sequence[Processed], model: Model, options: Options, paths: Sequence[Path]
) -> None:
    assert options.threshold is not None
    shown = _shown(paths)
    rows = [replace(processed.index, name=shown[processed.summary.image]) for processed in done]
    with folder.staged() as stage:
        write_index(stage / INDEX, rows, options.hot_spot.mm2, model.card, options.threshold, len(paths))


def _shown(paths: Sequence[Path]) -> dict[str, str]:
    """Returns how the index calls each image: by the file's name, with the folder if several files have that name."""
    number = Counter(path.name for path in paths)
    return {str(path): path.name if number[path.name] == 1 else f"{path.parent.name}/{path.name}" for path in paths}
