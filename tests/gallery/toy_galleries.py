"""Makes a record of the small synthetic data set, with given detections."""

from __future__ import annotations

from pathlib import Path

from records import DetectionRow, detections, metrics, ok, with_frames_of

from mitobench import datasets
from mitobench.datasets import Item, splits
from mitobench.results import record

NAME = "synthetic"


def items_of(data: Path) -> list[Item]:
    """The test frames."""
    dataset = datasets.load(NAME, data)
    split = splits.assign(splits.load_split(NAME, "by-slide"), dataset)
    return [dataset.items[id] for id in split.parts["test"]]


def write(folder: Path, data: Path, *rows: DetectionRow) -> Path:
    """Writes a record with these detections; returns its path. The threshold is .5, the radius 5 um."""
    gallery_record = with_frames_of(ok(dataset=NAME, train_on=[NAME], protocol="by-slide"), datasets.load(NAME, data))
    return record.write(folder, gallery_record.model_copy(update={"test": metrics(frames=[])}), detections(*rows))
