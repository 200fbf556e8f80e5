"""A model over many images: what can be done is done, and each image's files are written as soon as it is."""

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
    """Predict on images and write `NAME.csv`, `.geojson` and `.png` of each, and `summary.csv` of all so far.

    Args:
        model: the model.
        paths: files, as `inputs.images_of` lists them; `inputs.names` gives each its NAME.
        out: folder, made where it is missing.
        mpp: um/px of the images.
        threshold: None: the model's.

    Yields the line of each image when it is done, one that failed too. Raises MitobenchError where `out` cannot be
    written, or holds an image that could be overwritten.
    """
    inputs.check_out(out, paths)
    rows: list[ImageSummary] = []
    outputs.write_summary(out / f"{inputs.SUMMARY}.csv", rows)  # told now if it cannot be written
    threshold = model.card.threshold if threshold is None else threshold
    for path, name in zip(paths, inputs.names(paths), strict=True):
        started = time.perf_counter()
        note = "" if name == path.stem else f"its files are named {name}"
        try:
            frame = inputs.frame(path, mpp)
            found = model.predict(frame, threshold)
        except MitobenchError as reason:
            row = ImageSummary(str(path), note=str(reason))
        except Exception as reason:  # whatever a plugin raises, or too little memory: the next image may be smaller
            row = ImageSummary(str(path), note=f"{type(reason).__name__}: {reason}")
        else:
            _write(out / name, str(path), frame, found, threshold)
            row = replace(_summarise(path, frame, found), seconds=round(time.perf_counter() - started, 2), note=note)
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
