"""A record's test frames, found again on this disk: the very same ones, or none."""

from __future__ import annotations

from pathlib import Path

from mitobench.datasets import Card, Item
from mitobench.results.copies import Copies
from mitobench.results.schema import Record


def test_frames(record: Record, data: Path | None) -> tuple[Card, list[Item]]:
    """The data set's card and the test frames of a record, with their annotation.

    Args:
        record: one with scores.
        data: folder that holds the data set at any depth; None, for synthetic frames: they are made.

    Raises MitobenchError where the folder is not given, DataError where a frame is missing, or where files or
    annotation are not those that the record was made with.
    """
    workspace = Copies(data).workspace(record)
    (dataset,) = workspace.datasets.values()
    return dataset.card, [workspace.item(key) for key in workspace.part(workspace.datasets, "test")]
