"""Finds the test frames of a record on disk, and checks that they are the same frames."""

from __future__ import annotations

from pathlib import Path

from mitobench.datasets import Card, Item
from mitobench.results.local_datasets import LocalDatasets
from mitobench.results.schema import Record


def test_frames(record: Record, data: Path | None) -> tuple[Card, list[Item]]:
    """Returns the data set's card and the test frames of a record, with their annotation.

    Args:
        record: a record with scores.
        data: folder that holds the data set at any depth; None only for synthetic frames, which are then generated.

    Raises MitobenchError if the folder is needed but not given, DataError if a frame is missing, or if files or
    annotation differ from those that the record was made with.
    """
    workspace = LocalDatasets(data).workspace(record)
    (dataset,) = workspace.datasets.values()
    return dataset.card, [workspace.item(key) for key in workspace.part(workspace.datasets, "test")]
