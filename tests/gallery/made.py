"""A record of the small synthetic set, whose detections are made of its annotation."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from records import metrics, ok

from mitobench import datasets
from mitobench.datasets import Item, splits
from mitobench.pipeline.stages.evaluation import COLUMNS
from mitobench.pipeline.workspace import Workspace
from mitobench.results import record

NAME = "synthetic"


def items_of(data: Path) -> list[Item]:
    """The test frames."""
    dataset = datasets.load(NAME, data)
    split = splits.assign(splits.load_split(NAME, "by-slide"), dataset)
    return [dataset.items[id] for id in split.parts["test"]]


def line(
    frame: str, xy: Iterable[float], score: float | None, hit: bool | None, distance_um: float | None = 0.0
) -> str:
    """A detection as a run stores it; without a score the gate dropped it."""
    x, y = xy
    cells = {"frame": frame, "x": f"{x:.2f}", "y": f"{y:.2f}", "score_detector": "0.7", "score_verifier": "0.2"}
    if score is not None:
        cells |= {"score": str(score), "distance_um": "" if distance_um is None else f"{distance_um:.4f}"}
    cells |= {"above_gate": str(int(score is not None)), "hit": "" if hit is None else str(int(hit))}
    return ",".join(cells.get(column, "") for column in COLUMNS)


def write(folder: Path, data: Path, lines: Iterable[str], **changes: Any) -> Path:
    """The record's path; `changes` of its scores. The threshold is .5, the radius 5 um."""
    items = items_of(data)
    dataset = datasets.load(NAME, data)
    keys = [f"{NAME}/{item.frame.id}" for item in items]
    made = ok(
        dataset=NAME, train_on=[NAME], protocol="by-slide", data_digest=Workspace({NAME: dataset}, {}).digest(keys)
    )
    entry = made.data[NAME].model_copy(update={"frames": {"train": 1, "val": 1, "test": len(items)}})
    made = made.model_copy(update={"data": {NAME: entry}, "test": metrics(**{"frames": [], **changes})})
    return record.write(folder, made, "\n".join([",".join(COLUMNS), *lines, ""]))
