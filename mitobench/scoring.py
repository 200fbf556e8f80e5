"""Scores the detections of any tool with the metrics of a run: the Python interface behind `mitobench score`."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from mitobench import datasets, foreign
from mitobench.api import Detections, Frame
from mitobench.atomic import write_text_atomic
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
from mitobench.foreign.strict import Strict
from mitobench.results import record
from mitobench.results.local_datasets import split_of

NO_THRESHOLD = "no threshold is given, and no detections on validation frames to choose one from"


class Source(Strict):
    """A file of detections: its name, the SHA-256 of its bytes, and the number of its detections."""

    file: str
    sha256: str
    n_detections: int


class Oracle(Strict):
    """The best F1 over all thresholds, chosen on the scored frames themselves. Only to compare with published numbers.

    Attributes:
        threshold: the threshold with the best F1.
        f1, precision, recall, tp, fp, fn: the scores at that threshold.
    """

    threshold: float
    f1: float
    precision: float
    recall: float
    tp: int
    fp: int
    fn: int


class ToolScore(Strict):
    """The scores of a file of detections: what `mitobench score --json` writes.

    Attributes:
        schema_version: version of this format.
        detections: the scored file.
        validation_detections: the file that the threshold was chosen on; None if none was given.
        dataset, protocol, split, scanners: which frames were scored; `split` is the part, for example `test`.
        coverage: how much of the data set is here; None: all of it.
        note: the split's own note.
        data_digest: SHA-256 over images and annotation of the scored frames.
        n_outside: number of detections on frames outside the part; they are not scored.
        threshold_from: `given`, `validation`, or None if there is no threshold.
        reason: why there is no threshold; None if there is one.
        validation: the chosen threshold and its scores on validation.
        metrics: the scores. tp, fp, fn, precision, recall and f1 are at the threshold, and null without one.
        oracle: the scores at the threshold that is best on the scored frames; None if there is none.
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
        """Write JSON atomically. Raises MitobenchError if the file cannot be written."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, indent=1, allow_nan=False)
        write_text_atomic(path, f"{text}\n")


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
) -> ToolScore:
    """Score a CSV of detections over all frames of one part of a split, including frames without a detection.

    Args:
        detections: a file with the columns frame,x,y,score or frame,x1,y1,x2,y2,score; px.
        dataset: the data set that the frames belong to.
        data: folder that contains it, at any depth.
        part: `train`, `val` or `test`.
        protocol: the split, as a name, a `.json` file or a SplitFile; None: the default on the data set's card.
        scanners: to score; None: all that are here.
        matcher: `mitos`, `greedy`, `hungarian` or `midog`.
        radius_um: a detection matches a mitosis that is closer than this, um; None: the radius on the card.
        threshold: a detection counts if its score is >= this.
        validation: the same tool's detections on the `val` part, on which the threshold is chosen. Without this and
            without `threshold` there is no threshold, and precision, recall and F1 are undefined.

    Raises MitobenchError for arguments that cannot be combined, missing data, and a CSV that cannot be read.
    """
    _check_arguments(part, threshold, validation, radius_um)
    everything = datasets.load(dataset, data)
    selected = everything.select(scanners) if scanners else everything
    split_name = protocol or selected.card.default_protocol
    split = assign(split_name if isinstance(split_name, SplitFile) else load_split(dataset, split_name), selected)
    rule = matcher, radius_um if radius_um is not None else selected.card.radius_um
    on_part, source = _read(detections, everything)
    point, validation_source = None, None
    if validation is not None:
        on_validation, validation_source = _read(validation, everything)
        point = choose_threshold(_frames(selected, split, "val", on_validation), *rule)
        threshold = point.threshold
    frames = _frames(selected, split, part, on_part)
    metrics = evaluate(frames, threshold, *rule)
    return ToolScore(
        detections=source,
        validation_detections=validation_source,
        dataset=dataset,
        protocol=split.protocol,
        split=part,
        scanners=selected.scanners,
        coverage=selected.coverage,
        note=split.note,
        data_digest=selected.digest(split.parts[part]),
        n_outside=source.n_detections - sum(len(frame.xy) for frame in frames),
        threshold_from=None if threshold is None else "given" if validation is None else "validation",
        reason=None if threshold is not None else f"on validation {point.reason}" if point else NO_THRESHOLD,
        validation=point,
        metrics=metrics,
        oracle=_oracle(frames, metrics),
    )


def score_record(path: Path, data: Path) -> ToolScore:
    """Score the stored detections of a record again, with the record's own threshold, protocol, matcher and radius.

    Args:
        path: the record's `.json` file, with the file of its detections in the same folder.
        data: folder that contains its data set, at any depth.

    Raises MitobenchError for a failed record, if the test frames in `data` are not those of the record, and as
    `score_detections` does.
    """
    stored = record.read(path)
    if stored.chosen is None or stored.test is None or stored.detections is None:
        raise MitobenchError(f"{path}: this run failed ({stored.reason}) and has no detections to score.")
    dataset = stored.combination["dataset"]
    score = score_detections(
        path.with_name(stored.detections.file),
        dataset,
        data,
        protocol=split_of(stored, dataset),
        scanners=stored.data[dataset].scanners,
        matcher=stored.test.matcher,
        radius_um=stored.test.radius_um,
        threshold=stored.chosen.point.threshold,
    )
    then, now = ({f.frame: f.tp + f.fn for f in metrics.frames} for metrics in (stored.test, score.metrics))
    if then != now:
        raise MitobenchError(
            f"{path}: the record was made with other test frames than those in {data}. Give the data it was made with."
        )
    return score


def _check_arguments(part: str, threshold: float | None, validation: Path | None, radius_um: float | None) -> None:
    if part not in PARTS:
        raise MitobenchError(f"--split {part}: unknown part. {nearest(part, PARTS)}")
    if threshold is not None and validation is not None:
        raise MitobenchError("--threshold and --validation both set the threshold. Give only one of them.")
    if validation is not None and part == "val":
        raise MitobenchError(
            "--split val with --validation: the threshold would be chosen on the frames that are scored. "
            "Give --threshold instead, or score another part."
        )
    if threshold is not None and not math.isfinite(threshold):
        raise MitobenchError(f"--threshold {threshold}: must be a finite number.")
    if radius_um is not None and not (math.isfinite(radius_um) and radius_um > 0):
        raise MitobenchError(f"--radius-um {radius_um:g}: must be a finite number greater than 0.")


def _read(path: Path, dataset: Dataset) -> tuple[dict[str, Detections], Source]:
    """Returns the detections of a CSV by frame id, and what identifies the file."""
    detections = read_detections(path, dataset.items)
    for id, on_frame in detections.items():
        _check_inside(path, dataset.items[id].frame, on_frame)
    digest = hashlib.sha256(foreign.read_bytes(path, MAX_DETECTIONS_BYTES, "CSV of detections")).hexdigest()
    return detections, Source(file=path.name, sha256=digest, n_detections=sum(map(len, detections.values())))


def _check_inside(path: Path, frame: Frame, detections: Detections) -> None:
    """Raises MitobenchError for a detection far outside its frame.

    It is not a false positive: the file was made for other frames, or at another resolution.
    """
    beyond = np.maximum(-detections.xy, detections.xy - np.array(frame.size)).max(axis=1, initial=0)
    if (beyond >= OUTSIDE_PX).any():
        x, y = detections.xy[beyond.argmax()]
        raise MitobenchError(
            f"{path}: ({x:g}, {y:g}) lies outside frame {frame.id} of {frame.size[0]} x {frame.size[1]} px. Check "
            "whether x and y are swapped, or whether the frames had another resolution."
        )


def _frames(dataset: Dataset, split: Split, part: str, detections: Mapping[str, Detections]) -> list[FramePrediction]:
    if not split.parts[part]:
        raise MitobenchError(
            f"{dataset.name}: the {part} part of the split {split.protocol!r} has no frames. "
            "Choose another part or split."
        )
    items = (dataset.items[id] for id in split.parts[part])
    return over_split(((item.frame, item.mitoses) for item in items), detections)


def _oracle(frames: Sequence[FramePrediction], metrics: Metrics) -> Oracle | None:
    if metrics.oracle_threshold is None:
        return None
    counts = total(count_frames(frames, metrics.oracle_threshold, metrics.matcher, metrics.radius_um))
    ratios = {name: counts.ratio(name) for name in ("precision", "recall", "f1")}
    return Oracle.model_validate({"threshold": metrics.oracle_threshold, **ratios, **counts.model_dump()})
