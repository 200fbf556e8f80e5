"""Scores the detections of any tool as a run scores its own: what `mitobench score` does, for use from Python too."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from mitobench import datasets, foreign
from mitobench.api import Detections, Frame
from mitobench.atomic import write_text_whole
from mitobench.datasets import Dataset
from mitobench.datasets.points import OUTSIDE_PX
from mitobench.datasets.splits import PARTS, Split, SplitFile, assign, load_split
from mitobench.errors import MitobenchError, nearest
from mitobench.evaluate import (
    FramePrediction,
    Metrics,
    OperatingPoint,
    choose_threshold,
    count_frames,
    evaluate,
    over_split,
    read_detections,
    total,
)
from mitobench.foreign.limits import MAX_DETECTIONS_BYTES
from mitobench.results import record
from mitobench.results.copies import split_of

NO_THRESHOLD = "no threshold is given, and no detections on validation frames to choose one from"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Strict):
    """A file of detections: its name, the SHA-256 of its bytes, and its detections."""

    file: str
    sha256: str
    n_detections: int


class Oracle(_Strict):
    """The best F1 over thresholds on the very frames that are scored: for comparison with published numbers only.

    Attributes:
        threshold: where it is.
        f1, precision, recall, tp, fp, fn: there.
    """

    threshold: float
    f1: float
    precision: float
    recall: float
    tp: int
    fp: int
    fn: int


class Score(_Strict):
    """What `--json` writes.

    Attributes:
        detections: the file scored.
        validation_detections: the file that the threshold was chosen on; None where none was given.
        dataset, protocol, split, scanners: the frames scored.
        coverage: what part of the data set is here; None: all of it.
        note: what the split says about itself.
        data_digest: SHA-256 over images and annotation of the frames scored.
        n_outside: detections of the file on frames outside the part; they are not scored.
        threshold_from: `given`, `validation`, or None where there is no threshold; `reason` then says why.
        validation: the choice of the threshold, and its scores on validation.
        metrics: the scores; tp, fp, fn, precision, recall and f1 are at the threshold, null where there is none.
        oracle: counts at the threshold that is best on the scored frames themselves.
    """

    schema_version: Literal[1] = 1
    detections: Source
    validation_detections: Source | None
    dataset: str
    protocol: str
    split: str
    scanners: tuple[str, ...]
    coverage: str | None
    note: str
    data_digest: str
    n_outside: int
    threshold_from: Literal["given", "validation"] | None
    reason: str | None
    validation: OperatingPoint | None
    metrics: Metrics
    oracle: Oracle | None

    def write(self, path: Path) -> None:
        """Write canonical JSON, whole or not at all. Raises MitobenchError where it cannot be written."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, indent=1, allow_nan=False)
        write_text_whole(path, f"{text}\n")


def score_detections(
    detections: Path,
    dataset: str,
    data: Path,
    *,
    part: str = "test",
    protocol: str | SplitFile | None = None,
    scanners: Sequence[str] | None = None,
    matcher: str = "mitos",
    radius_um: float | None = None,
    threshold: float | None = None,
    validation: Path | None = None,
) -> Score:
    """Score a CSV of detections over the frames of a split's part, those without a detection too.

    Args:
        detections: columns frame,x,y,score or frame,x1,y1,x2,y2,score; px.
        dataset: the data set that the frames belong to.
        data: folder that holds it, at any depth.
        part: `train`, `val` or `test`.
        protocol: the split, by name, a `.json` file or as read; None: the card's first.
        scanners: to score; None: all that are here.
        matcher: `mitos`, `greedy`, `hungarian` or `midog`.
        radius_um: a hit is closer; None: the card's.
        threshold: a detection counts where its score is >= this.
        validation: the same tool's detections on the val part; the threshold is chosen there. Without it and without
            `threshold` there is none, and precision, recall and F1 are undefined.

    Raises MitobenchError for arguments that do not fit together, data that is not there, and a broken CSV.
    """
    _check_arguments(part, threshold, validation, radius_um)
    whole = datasets.load(dataset, data)
    here = whole.select(scanners) if scanners else whole
    named = protocol or here.card.default_protocol
    split = assign(named if isinstance(named, SplitFile) else load_split(dataset, named), here)
    rule = matcher, radius_um if radius_um is not None else here.card.radius_um
    found, source = _read(detections, whole)
    point, validated = None, None
    if validation is not None:
        on_validation, validated = _read(validation, whole)
        point = choose_threshold(_frames(here, split, "val", on_validation), *rule)
        threshold = point.threshold
    frames = _frames(here, split, part, found)
    metrics = evaluate(frames, threshold, *rule)
    return Score(
        detections=source,
        validation_detections=validated,
        dataset=dataset,
        protocol=split.protocol,
        split=part,
        scanners=here.scanners,
        coverage=here.coverage,
        note=split.note,
        data_digest=here.digest(split.parts[part]),
        n_outside=source.n_detections - sum(len(frame.xy) for frame in frames),
        threshold_from=None if threshold is None else "given" if validation is None else "validation",
        reason=None if threshold is not None else f"on validation {point.reason}" if point else NO_THRESHOLD,
        validation=point,
        metrics=metrics,
        oracle=_oracle(frames, metrics),
    )


def score_record(path: Path, data: Path) -> Score:
    """Score the detections of a record anew, at its own threshold, by its own protocol, matcher and radius.

    Args:
        path: the record's `.json` file; its detections lie beside it.
        data: folder that holds its data set, at any depth.

    Raises MitobenchError for a record that failed, for other test frames than the record's, and as `score_detections`.
    """
    made = record.read(path)
    if made.chosen is None or made.test is None or made.detections is None:
        raise MitobenchError(f"{path}: this run failed ({made.reason}): it has no detections to score.")
    dataset = made.combination["dataset"]
    scored = score_detections(
        path.with_name(made.detections.file),
        dataset,
        data,
        protocol=split_of(made, dataset),
        scanners=made.data[dataset].scanners,
        matcher=made.test.matcher,
        radius_um=made.test.radius_um,
        threshold=made.chosen.point.threshold,
    )
    then, now = ({f.frame: f.tp + f.fn for f in metrics.frames} for metrics in (made.test, scored.metrics))
    if then != now:
        raise MitobenchError(f"{path}: was made on other test frames than those of {data}. Give the same data.")
    return scored


def _check_arguments(part: str, threshold: float | None, validation: Path | None, radius_um: float | None) -> None:
    if part not in PARTS:
        raise MitobenchError(f"--split {part}: no such part. {nearest(part, PARTS)}")
    if threshold is not None and validation is not None:
        raise MitobenchError("--threshold and --validation both say what the threshold is; give one of them.")
    if validation is not None and part == "val":
        raise MitobenchError(
            "--split val with --validation: the threshold would be chosen on the frames that it is scored on. "
            "Give --threshold, or score another part."
        )
    if threshold is not None and not math.isfinite(threshold):
        raise MitobenchError(f"--threshold {threshold}: must be a finite number.")
    if radius_um is not None and not (math.isfinite(radius_um) and radius_um > 0):
        raise MitobenchError(f"--radius-um {radius_um:g}: must be above 0.")


def _read(path: Path, dataset: Dataset) -> tuple[dict[str, Detections], Source]:
    found = read_detections(path, dataset.items)
    for id, detections in found.items():
        _refuse_outside(path, dataset.items[id].frame, detections)
    digest = hashlib.sha256(foreign.read_bytes(path, MAX_DETECTIONS_BYTES, "CSV of detections")).hexdigest()
    return found, Source(file=path.name, sha256=digest, n_detections=sum(map(len, found.values())))


def _refuse_outside(path: Path, frame: Frame, detections: Detections) -> None:
    """A detection far outside its frame is no false positive: the file is of other frames or another resolution."""
    beyond = np.maximum(-detections.xy, detections.xy - np.array(frame.size)).max(axis=1, initial=0)
    if (beyond >= OUTSIDE_PX).any():
        x, y = detections.xy[beyond.argmax()]
        raise MitobenchError(
            f"{path}: ({x:g}, {y:g}) lies outside frame {frame.id} of {frame.size[0]} x {frame.size[1]} px. Are x and "
            "y swapped, or the frames at another resolution?"
        )


def _frames(dataset: Dataset, split: Split, part: str, found: Mapping[str, Detections]) -> list[FramePrediction]:
    items = (dataset.items[id] for id in split.parts[part])
    return over_split(((item.frame, item.mitoses) for item in items), found)


def _oracle(frames: Sequence[FramePrediction], metrics: Metrics) -> Oracle | None:
    if metrics.oracle_threshold is None:
        return None
    counts = total(count_frames(frames, metrics.oracle_threshold, metrics.matcher, metrics.radius_um))
    ratios = {name: counts.ratio(name) for name in ("precision", "recall", "f1")}
    return Oracle.model_validate({"threshold": metrics.oracle_threshold, **ratios, **counts.model_dump()})
