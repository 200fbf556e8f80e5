"""A record's test frames, found again on this disk: the very same ones, or none."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mitobench import datasets
from mitobench.datasets import Card, Dataset, Item, splits, synthetic
from mitobench.errors import DataError, MitobenchError
from mitobench.pipeline.workspace import Workspace
from mitobench.results.record import Record

SYNTHETIC = "synthetic"


def test_frames(record: Record, named: Iterable[str], data: Path | None) -> tuple[Card, list[Item]]:
    """The data set's card and the test frames of a record, with their annotation.

    Args:
        record: one with scores.
        named: ids of the frames that the record's detections are on.
        data: folder that holds the data set at any depth; None, for synthetic frames: they are made.

    Raises MitobenchError where it is not told where the data are, DataError where a frame is missing, or where files
    or annotation are not those that the record was made with.
    """
    name = str(record.combination["dataset"])
    dataset = datasets.load(name, _root(name, data))
    ids = _test_ids(record, set(named), dataset)
    missing = [id for id in ids if id not in dataset.items]
    if missing:
        raise DataError(
            f"{dataset.root}: lacks {len(missing)} of the record's {len(ids)} test frames: {', '.join(missing[:5])}"
            f"{' ...' if len(missing) > 5 else ''}. Put them there, or give another folder with --data."
        )
    here = Workspace({name: dataset}, {}).digest([f"{name}/{id}" for id in ids])
    claimed = record.data[name].digest["test"]
    if here != claimed:
        raise DataError(
            f"{dataset.root}: these are not the test frames that the record was made with: their digest is "
            f"{here[:12]}, the record's {claimed[:12]}. An image, an annotation or the data set's card differs; give "
            "the folder that the record was made with, or make the record again on this one."
        )
    return dataset.card, [dataset.items[id] for id in ids]


def _root(name: str, data: Path | None) -> Path:
    """Where to look. Synthetic frames that are not in the folder given (a setting, often) are made."""
    if name.startswith(SYNTHETIC) and (data is None or name not in datasets.available(data)):
        return synthetic.ensure()
    if data is None:
        raise MitobenchError(
            f"The record is of {name}: say where its frames are, with --data FOLDER or MITOBENCH_DATA."
        )
    return data


def _test_ids(record: Record, named: set[str], dataset: Dataset) -> list[str]:
    """Ids of the test frames: as the record names them, or by its split where some are named nowhere."""
    name = dataset.name
    assert record.test is not None
    named |= {frame.frame for frame in record.test.frames}
    if len(named) == record.data[name].frames["test"]:
        return sorted(named)
    scanners = {dataset.items[id].frame.scanner for id in named if id in dataset.items}
    of_scanners = dataset.select(scanners) if scanners else dataset
    return list(splits.assign(splits.load_split(name, record.combination["protocol"]), of_scanners).parts["test"])
