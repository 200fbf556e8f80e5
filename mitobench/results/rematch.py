"""Matches a record's stored detections afresh, against the annotation.

The stored coordinates are rounded to .01 px, so a detection that lies on the rim of the radius may have fallen on
either side of it: a number is right that lies between those at a slightly smaller and a slightly greater radius.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from mitobench import datasets
from mitobench.datasets import Dataset
from mitobench.datasets.splits import assign, load_split
from mitobench.errors import DataError
from mitobench.evaluate import FramePrediction, Metrics, evaluate
from mitobench.pipeline.workspace import Workspace
from mitobench.results import recount
from mitobench.results.record import Record

ROUNDED_PX = 0.005
ROUNDED_UM = 0.01  # more than a distance changes by it, at any um/px of these microscopes

NOT_BY_MATCHING = {"precision_interval", "recall_interval", "f1_interval"}  # they follow from the counts


@dataclass(frozen=True)
class Copies:
    """The data sets below one folder, each read once."""

    root: Path
    _read: dict[str, Dataset] = field(default_factory=dict, repr=False, compare=False)

    def dataset(self, name: str) -> Dataset:
        """A data set. Raises MitobenchError where it is unknown or not there."""
        if name not in self._read:
            self._read[name] = datasets.load(name, self.root)
        return self._read[name]

    def workspace(self, record: Record, protocol: str | None = None) -> Workspace:
        """The very frames that a record was tested on: which scanners took part is told by their digest.

        `protocol` names the split instead of the record, where it is a file of the user's own.

        Raises MitobenchError where the data set is not there, or DataError where its test frames are others.
        """
        name, protocol = record.combination["dataset"], protocol or record.combination["protocol"]
        whole, split = self.dataset(name), load_split(name, protocol)
        reason = ""
        for dataset in scanner_subsets(whole):
            try:
                workspace = Workspace({name: dataset}, {name: assign(split, dataset)})
            except DataError as empty:
                reason = f" {empty}"
                continue
            if workspace.digest(workspace.part([name], "test")) == record.data[name].digest["test"]:
                return workspace
        raise DataError(
            f"{self.root}: the test frames of {name}, protocol {protocol}, are not those that the record was measured "
            f"on, by their digest.{reason} Give the data that it was measured on."
        )


def scanner_subsets(dataset: Dataset) -> Iterator[Dataset]:
    """The data set with all of its scanners, then with fewer."""
    for number in range(len(dataset.scanners), 0, -1):
        for scanners in combinations(dataset.scanners, number):
            yield dataset.select(scanners)


def wrong_matching(record: Record, rows: recount.Rows, workspace: Workspace) -> recount.Wrong:
    """Where the scores of a record are not those of matching its detections with the annotation of `workspace`."""
    assert record.test is not None
    assert record.detector_alone is not None
    name = record.combination["dataset"]
    keys = workspace.part([name], "test")
    stray = sorted(set(rows.frame.tolist()) - {workspace.item(key).frame.id for key in keys})
    if stray:
        yield "the frames of the detections", stray[0], "not among the test frames"
        return
    yield from _wrong_part("test", record.test, _frames(workspace, keys, rows, rows.score, rows.above_gate))
    everything = np.ones(len(rows.frame), dtype=bool)
    yield from _wrong_part(
        "detector_alone", record.detector_alone, _frames(workspace, keys, rows, rows.detector, everything)
    )
    yield from _wrong_distances(_frames(workspace, keys, rows, rows.distance_um, rows.above_gate))


def _frames(
    workspace: Workspace, keys: tuple[str, ...], rows: recount.Rows, score: recount.Floats, keep: recount.Bools
) -> list[FramePrediction]:
    """The test frames with the kept detections at a score [N]."""
    frames = []
    for key in keys:
        item = workspace.item(key)
        here = keep & (rows.frame == item.frame.id)
        frame = FramePrediction.of(item.frame, item.mitoses, None)
        frames.append(replace(frame, xy=rows.xy[here], score=score[here]))
    return frames


def _wrong_part(part: str, metrics: Metrics, frames: list[FramePrediction]) -> recount.Wrong:
    rim = 2 * ROUNDED_PX * max(max(frame.mpp) for frame in frames)
    radii = metrics.radius_um - rim, metrics.radius_um, metrics.radius_um + rim
    fresh = [_flat(evaluate(frames, metrics.threshold, metrics.matcher, radius)) for radius in radii]
    recorded = _flat(metrics)
    for name in sorted(recorded.keys() | fresh[1].keys()):
        values = [scores.get(name) for scores in fresh]
        tolerance = ROUNDED_UM if name == "localisation_um" else 1e-9
        if not _between(recorded.get(name), values, tolerance):
            yield f"{part}.{name}", recorded.get(name), values[1]


def _flat(metrics: Metrics) -> dict[str, Any]:
    """All numbers by name, those of each frame too."""
    values = metrics.model_dump(exclude={"radius_um", "oracle_threshold", "frames", "froc", *NOT_BY_MATCHING})
    values |= {f"froc at {rate}": value for rate, value in metrics.froc.items()}
    values |= {f"{name} of frame {f.frame}": getattr(f, name) for f in metrics.frames for name in ("tp", "fp", "fn")}
    return values | {f"group of frame {f.frame}": f.group for f in metrics.frames}


def _between(recorded: Any, fresh: list[Any], tolerance: float) -> bool:
    if isinstance(recorded, (int, float)) and all(isinstance(value, (int, float)) for value in fresh):
        return bool(min(fresh) - tolerance <= recorded <= max(fresh) + tolerance)
    return bool(any(recorded == value for value in fresh))


def _wrong_distances(frames: list[FramePrediction]) -> recount.Wrong:
    """The stored distances, here in the place of scores, against those to the annotation."""
    for frame in frames:
        fresh = frame.match("mitos", 1.0).distance_um  # to the nearest mitosis, whatever the radius
        wrong = ~np.isclose(fresh, frame.score, rtol=0, atol=ROUNDED_UM, equal_nan=True)
        if wrong.any():
            yield f"distance_um of a detection on {frame.frame}", frame.score[wrong][0], fresh[wrong][0]
