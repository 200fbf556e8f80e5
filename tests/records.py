"""Builds records for tests. Only what a leaderboard shows can be set; everything else is fixed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mitobench.datasets import Dataset
from mitobench.datasets.splits import assign, load_split
from mitobench.evaluate import FrameCounts, FrameEntry, FramePrediction, Interval, Metrics, OperatingPoint
from mitobench.evaluate.stored import COLUMNS, of_frames, to_csv
from mitobench.pipeline.workspace import Workspace
from mitobench.results.command import command_of
from mitobench.results.local_datasets import split_digest
from mitobench.results.recompute import Recomputation
from mitobench.results.record import write as write_record
from mitobench.results.schema import (
    ROLES,
    DataEntry,
    EarlierVersion,
    Frames,
    PluginEntry,
    Record,
    Run,
    SplitEntry,
    ValidationChoices,
)

FRAME = FrameEntry(frame="A00_00", group="00", mitoses=3)


# A detection: frame, x and y (px), score (None: not above the candidate threshold), and the index of a mitosis 1 um
# away (None: there is none).
DetectionRow = tuple[str, float, float, float | None, int | None]


def detections(*rows: DetectionRow) -> str:
    """Returns detections as CSV, as a record stores them."""
    lines = [",".join(COLUMNS)]
    for frame, x, y, score, mitosis in rows:
        cells: dict[str, Any] = {"frame": frame, "x": f"{x:.2f}", "y": f"{y:.2f}", "detector_score": 0.7}
        cells |= {"x1": x - 8, "y1": y - 8, "x2": x + 8, "y2": y + 8}
        cells |= {} if score is None else {"verifier_score": 0.2, "score": score}
        cells |= {} if mitosis is None else {"mitosis": mitosis, "distance_um": 1.0}
        lines.append(",".join(str(cells.get(column, "")) for column in COLUMNS))
    return "\n".join([*lines, ""])


DETECTIONS = detections(("A00_00", 10, 20, 0.9, 0), ("A00_00", 30, 40, 0.5, None))  # what `metrics` scores


def metrics(f1: float | None = 0.5, **changes: Any) -> Metrics:
    """Returns scores on `FRAME`: three mitoses, one of them found, and one false positive."""
    values: dict[str, Any] = {
        "matcher": "mitos",
        "radius_um": 5.0,
        "threshold": 0.5,
        "unlabelled": False,
        "n_frames": 1,
        "n_unlabelled": 0,
        "n_groups": 1,
        "n_mitoses": 3,
        "n_detections": 2,
        "tp": 1,
        "fp": 1,
        "fn": 2,
        "precision": 0.5,
        "recall": 1 / 3,
        "f1": f1,
        "f1_interval": Interval(low=0.1, high=0.9, unit="frame", n_units=2, method="jackknife-wilson", version=1),
        "oracle_f1": 0.75,
        "oracle_threshold": 0.25,
        "average_precision": 0.625,
        "frames": [FrameCounts(frame="A00_00", group="00", tp=1, fp=1, fn=2)],
    }
    return Metrics(**values | changes)


def ok(*, f1: float | None = 0.5, seed: int = 0, notes: list[str] | None = None, **changes: Any) -> Record:
    """Returns a successful record; `changes` are names of its combination, its data digest or its matcher."""
    point = OperatingPoint(threshold=0.5, f1=0.6, precision=0.6, recall=0.6, lower=0.4, upper=0.6)
    scores: dict[str, Any] = {
        "chosen": ValidationChoices(
            candidate_threshold=0.1, fuser={"w": 0.5, "curve": []}, point=point, detector_alone=point
        ),
        "frames": Frames(val=[FRAME], test=[FRAME]),
        "validation": metrics(0.6),
        "test": metrics(f1),
        "detector_alone": metrics(0.25),
    }
    return with_command(Record(status="ok", **scores, **_common(seed, notes, changes)))


def failed(*, reason: str = "detector 'frcnn' raised ValueError", seed: int = 0, **changes: Any) -> Record:
    """Returns a failed record."""
    return with_command(Record(status="failed", reason=reason, **_common(seed, None, changes)))


def with_command(record: Record) -> Record:
    """Returns the record with the command that reproduces it."""
    return record.model_copy(update={"run": record.run.model_copy(update={"command": command_of(record)})})


def with_frames_of(record: Record, dataset: Dataset) -> Record:
    """Returns the record with the frames of a data set, divided by the registry's split."""
    split = load_split(dataset.name, record.combination["protocol"])
    parts, workspace = assign(split, dataset, []).parts, Workspace({dataset.name: dataset}, {})
    entry = DataEntry(
        digest={part: workspace.digest([f"{dataset.name}/{id}" for id in ids]) for part, ids in parts.items()},
        frames={part: len(ids) for part, ids in parts.items()},
        coverage=dataset.coverage,
        scanners=list(dataset.scanners),
        split=SplitEntry(name=split.name, protocol=split.protocol, digest=split_digest(split), note=""),
    )
    items = [dataset.items[id] for id in parts["test"]]
    tested = [
        FrameEntry(
            frame=item.frame.id,
            group=item.frame.group,
            mitoses=len(item.mitoses) if item.mitoses.labelled else None,
        )
        for item in items
    ]
    return record.model_copy(update={"data": {dataset.name: entry}, "frames": Frames(val=[FRAME], test=tested)})


# --------------------------------------------------------------------------------- records that `check` accepts


def complete_record(record: Record, frames: Sequence[FramePrediction]) -> tuple[Record, str]:
    """Returns a record with the detections of `frames`, the same on validation and test, and the detections as CSV.

    All numbers of the record follow from these detections.
    """
    score = np.concatenate([frame.score for frame in frames])
    boxes = [np.concatenate([frame.xy - 8, frame.xy + 8], axis=1) for frame in frames]
    rule = str(record.pipeline["matcher"]), float(record.pipeline["radius_um"])
    stored = of_frames(frames, boxes, np.full(len(score), np.nan), score, *rule)
    entries, tested = [FrameEntry.of(frame) for frame in frames], record.combination["dataset"]
    counts = {"train": 26, "val": len(frames), "test": len(frames)}
    assert record.chosen is not None
    record = record.model_copy(
        update={
            "frames": Frames(val=entries, test=entries),
            "data": {tested: record.data[tested].model_copy(update={"frames": counts})},
            "chosen": record.chosen.model_copy(update={"candidate_threshold": None}),
            "migrated": [EarlierVersion(schema_version=1, digest="0" * 64)],  # a migrated record needs no stages
        }
    )
    numbers = Recomputation(record, stored, stored).numbers
    content = record.model_dump()
    return Record.model_validate({**content, **numbers, "chosen": content["chosen"] | numbers["chosen"]}), to_csv(
        stored
    )


def write_complete_record(folder: Path, record: Record, frames: Sequence[FramePrediction]) -> Path:
    """Write a record that `complete_record` builds; returns its path."""
    record, text = complete_record(record, frames)
    return write_record(folder, record, text, text)


def frame(name: str, tp: int, fp: int, fn: int) -> FramePrediction:
    """Returns the only frame of its slide, with these counts. All detections have the same score, 0.7."""
    truth = np.stack([np.arange(tp + fn) * 100.0, np.zeros(tp + fn)], axis=1)
    false = np.stack([np.arange(fp) * 100.0, np.full(fp, 500.0)], axis=1)
    xy = np.concatenate([truth[:tp], false])
    return FramePrediction(name, name, (0.25, 0.25), truth, xy, np.full(len(xy), 0.7))


def _common(seed: int, notes: list[str] | None, changes: dict[str, Any]) -> dict[str, Any]:
    digest, matcher = changes.pop("data_digest", "d" * 64), changes.pop("matcher", "mitos")
    names = {"estimator": "fixed", "detector": "frcnn", "verifier": "resnet50", "fuser": "linear"}
    placed = {"dataset": "mitos2012", "protocol": "official", "train_on": ["mitos2012"], "seed": seed}
    combination = {**names, **placed, **changes}
    return {
        "combination": combination,
        "profile": "cpu",
        "plugins": {
            role: PluginEntry(
                name=combination[role],
                version="1",
                source="s" * 64,
                options={"step": 0.05} if role == "fuser" else {"lr": 1e-05},
            )
            for role in ROLES
        },
        "pipeline": {"candidate_threshold": "validation", "matcher": matcher, "radius_um": 5.0},
        "data": {
            combination["dataset"]: DataEntry(
                digest={"train": "a" * 64, "val": "b" * 64, "test": digest},
                frames={"train": 26, "val": 1, "test": 1},
                coverage=None,
                scanners=["aperio"],
                split=SplitEntry(
                    name="mitos2012-official", protocol="official", digest="5" * 64, note="the official test frames"
                ),
            )
        },
        "notes": notes or [],
        "versions": {"python": "3.11.0", "torch": "2.6.0"},
        "device": "cpu",
        "run": Run(
            command="mitobench run",
            started="2025-01-01T00:00:00+00:00",
            seconds={"detector": 12.5},
            cached=[],
            seconds_a_frame=0.25,
            host={"system": "Linux"},
            git=None,
        ),
    }
