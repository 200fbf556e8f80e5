"""Predicts on many images. A failing image does not stop the others; each image's files are written at once."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from mitobench.api import Frame
from mitobench.datasets import images
from mitobench.errors import MitobenchError
from mitobench.model import inputs, outputs
from mitobench.model.model import Model, Prediction
from mitobench.model.outputs import ImageSummary
from mitobench.model.overlay import overlay


def predict_files(
    model: Model, paths: Sequence[Path], out: Path, mpp: float, threshold: float | None = None
) -> Iterator[ImageSummary]:
    """Predicts on images; writes `NAME.csv`, `.geojson` and `.png` for each, and `summary.csv` for all so far.

    Args:
        model: the model.
        paths: image files, as listed by `inputs.images_of`; `inputs.names` gives each its NAME.
        out: folder to write; created if needed.
        mpp: um/px of the images.
        threshold: a score at or above it is a mitosis; None: the model's threshold.

    Yields the summary of each image when it is finished, including failed ones. Raises MitobenchError if `out` cannot
    be written, or holds an image that could be overwritten.
    """
    inputs.check_out(out, paths)
    rows: list[ImageSummary] = []
    outputs.write_summary(out / f"{inputs.SUMMARY}.csv", rows)  # fails before any work if it cannot be written
    threshold = model.card.threshold if threshold is None else threshold
    for path, name in zip(paths, inputs.names(paths), strict=True):
        started = time.perf_counter()
        notes = [] if name == path.stem else [f"its files are named {name}"]
        try:
            frame, odd = inputs.read(path, mpp)
            found = model.predict(frame, threshold)
        except MitobenchError as reason:
            row = ImageSummary(str(path), note=str(reason))
        except Exception as reason:  # any error of a plugin, or too little memory: the next image may succeed
            row = ImageSummary(str(path), note=f"{type(reason).__name__}: {reason}")
        else:
            _write(out / name, str(path), frame, found, threshold)
            seconds = round(time.perf_counter() - started, 2)
            row = replace(_summarise(path, frame, found), seconds=seconds, note="; ".join([*notes, *odd]))
        rows.append(row)
        outputs.write_summary(out / f"{inputs.SUMMARY}.csv", rows)
        yield row


def _write(target: Path, image: str, frame: Frame, found: Prediction, threshold: float) -> None:
    name = target.name
    outputs.write_csv(target.with_name(f"{name}.csv"), image, found)
    outputs.write_geojson(target.with_name(f"{name}.geojson"), image, found)
    images.write_rgb(target.with_name(f"{name}.png"), overlay(frame, found, threshold))


def _summarise(path: Path, frame: Frame, found: Prediction) -> ImageSummary:
    area = frame.size[0] * frame.mpp[0] * frame.size[1] * frame.mpp[1] / 1e6
    mitoses = int(found.is_mitosis.sum())
    return ImageSummary(str(path), *frame.size, frame.mpp[0], area, mitoses, mitoses / area, len(found))
