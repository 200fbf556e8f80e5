"""Scores the detections of any tool with the metrics of a run: the Python interface behind `mitobench score`."""

from __future__ import annotations

import hashlib
import json
import math
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mitobench import datasets, foreign
from mitobench.api import Detections
from mitobench.atomic import write_text_atomic
from mitobench.datasets import Dataset
from mitobench.datasets.folds import find_split
from mitobench.datasets.looks import looked_at
from mitobench.datasets.points import OUTSIDE_PX
from mitobench.datasets.splits import PARTS, Split, SplitFile, assign
from mitobench.errors import DataError, MitobenchError, nearest
from mitobench.evaluate import (
    FramePrediction,
    Metrics,
    OperatingPoint,
    choose_threshold,
    count_frames,
    evaluate,
    over_split,
    sweep,
    total,
)
from mitobench.evaluate.annotated_twice import DUPLICATE_UM, duplicates
from mitobench.evaluate.files import UM, FoundFile, FrameInfo, alternatives, read
from mitobench.evaluate.matching import radius_um_for, requested_matcher
from mitobench.foreign.limits import MAX_DATABASE_BYTES, MAX_DETECTIONS_BYTES
from mitobench.foreign.strict import Strict
from mitobench.results import record
from mitobench.results.local_datasets import split_of

DETECTION_SUFFIXES = (".csv", ".tsv", ".txt", ".gz", ".json", ".geojson")
ALL_FRAMES = "all"  # in place of a part of a split
ALL_FRAMES_NOTE = (
    "all labelled frames are scored, whatever their part: if the tool was trained, or its threshold chosen, on some of "
    "them, expect less on others"
)
NO_THRESHOLD = "no threshold is given, and no detections on validation frames to choose one from"


NEAR_ZERO = 0.5  # below this best F1, other readings of the file are tried
GOOD, MUCH_BETTER = (
    0.5,
    0.3,
)  # best F1 of another reading, and its distance from that of the file, that are worth a hint


class Source(Strict):
    """A file or folder of detections.

    Attributes:
        file: its name.
        sha256: SHA-256 of its bytes; of a folder, over the relative paths and bytes of its files.
        n_detections: number of its detections.
        reading: how it was read: format, columns, unit.
    """

    file: str
    sha256: str
    n_detections: int
    reading: str = ""


class Hint(Strict):
    """A change of how the file is read that makes a bad score good.

    Attributes:
        change: what to change, in words.
        oracle_f1: the best F1 over all thresholds with this change.
    """

    change: str
    oracle_f1: float


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
        dataset, protocol, split, scanners: which frames were scored; `split` is the part, for example `test`, or `all`:
            every labelled frame, without a protocol.
        coverage: how much of the data set is here; None: all of it.
        note: the split's own note.
        data_digest: SHA-256 over images and annotation of the scored frames.
        n_outside: number of detections on frames outside the part; they are not scored.
        threshold_from: `given`, `validation`, or None if there is no threshold.
        reason: why there is no threshold; None if there is one.
        validation: the chosen threshold and its scores on validation.
        metrics: the scores. tp, fp, fn, precision, recall and f1 are at the threshold, and null without one.
        oracle: the scores at the threshold that is best on the scored frames; None if there is none.
        notes: what is odd in the files or in the annotation, and what was left out.
        hint: another reading of the file that makes a bad score good; None if none was found.
    """

    schema_version: Literal[1] = 1
    detections: Source
    validation_detections: Source | None
    dataset: str
    protocol: str | None
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
    notes: tuple[str, ...] = ()
    hint: Hint | None = None

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
    format: str | None = None,
    classes: Sequence[str] = (),
    class_column: str | None = None,
    images: Path | None = None,
) -> ToolScore:
    """Score the detections of any tool over all frames of a part of a split, including frames without a detection.

    Args:
        detections: a file or folder in one of the formats of `mitobench.evaluate.files`.
        dataset: the data set that the frames belong to.
        data: folder that contains it, at any depth.
        part: `train`, `val` or `test`; `all`: every labelled frame, whatever its part.
        protocol: the split, as a name, a `.json` file or a SplitFile; None: the default on the data set's card.
        scanners: to score; None: all that are here.
        matcher: a name in `evaluate.MATCHERS`; the deprecated `midog` is `evalutils`.
        radius_um: a detection matches a mitosis within this radius, um; None: the radius on the card, or that of the
            matcher if its published numbers use one in px.
        threshold: a detection counts if its score is >= this.
        validation: the same tool's detections on the `val` part, on which the threshold is chosen. Without this and
            without `threshold` there is no threshold, and precision, recall and F1 are undefined.
        format: one of `files.FORMATS`; None: by name and content.
        classes: the classes of mitoses, if the file has classes that are not clear.
        class_column: the column, property or key that holds the classes; `none`: none does; None: found by its name.
        images: for COCO results, a COCO file that says which file an `image_id` means.

    Raises MitobenchError for arguments that cannot be combined, missing data, and a file that cannot be read.
    """
    matcher, notice = requested_matcher(matcher)
    score = _score(
        detections,
        dataset,
        data,
        part=part,
        protocol=protocol,
        scanners=scanners,
        matcher=matcher,
        radius_um=radius_um,
        threshold=threshold,
        validation=validation,
        format=format,
        classes=classes,
        class_column=class_column,
        images=images,
    )
    return score.model_copy(update={"notes": (notice, *score.notes)}) if notice else score


def _score(
    detections: Path,
    dataset: str,
    data: Path,
    *,
    part: str = "test",
    protocol: str | SplitFile | None,
    scanners: Sequence[str] | None,
    matcher: str,
    radius_um: float | None,
    threshold: float | None,
    validation: Path | None = None,
    format: str | None = None,
    classes: Sequence[str] = (),
    class_column: str | None = None,
    images: Path | None = None,
) -> ToolScore:
    _check_arguments(part, protocol, threshold, validation, radius_um)
    _check_there(path for path in (detections, validation) if path is not None)
    everything = datasets.load(dataset, data)
    selected = looked_at(everything.select(scanners) if scanners else everything)
    split = None if part == ALL_FRAMES else _split(selected, protocol, [part] if validation is None else [part, "val"])
    scored = split.parts[part] if split else _labelled(selected)
    infos = {
        id: FrameInfo(item.frame.size, item.frame.mpp, item.files[0].stem if item.files else "")
        for id, item in everything.items.items()
    }
    if radius_um is None:
        mpp = [selected.items[id].frame.mpp for id in scored]
        radius_um = radius_um_for(matcher, selected.card.radius_um, mpp)
    rule = matcher, radius_um

    def best_f1(detections: Mapping[str, Detections]) -> float:
        return sweep(_frames(selected, scored, detections), *rule).best_f1() or 0.0

    reading: dict[str, Any] = {"format": format, "classes": classes, "class_column": class_column, "images": images}
    found = read(detections, infos, **reading)
    hint = _hint(found, infos, best_f1)
    source = _source(detections, found, infos, hint)
    point, validation_source, notes = None, None, list(found.notes)
    if validation is not None and split is not None:
        on_validation = read(validation, infos, **reading)
        validation_source = _source(validation, on_validation, infos, None)
        notes += on_validation.notes
        point = choose_threshold(_frames(selected, split.parts["val"], on_validation.detections), *rule)
        threshold = point.threshold
    frames = _frames(selected, scored, found.detections)
    metrics = evaluate(frames, threshold, *rule, cut_offs=selected.card.cut_offs_by_tumour)
    notes += [] if split else [ALL_FRAMES_NOTE]
    notes += [*selected.notes, *(f"{dataset}: {remark}" for remark in selected.remarks)]
    notes += [*_unusual_scores(frames, threshold), *_duplicated_truth(frames)]
    return ToolScore(
        detections=source,
        validation_detections=validation_source,
        dataset=dataset,
        protocol=split.protocol if split else None,
        split=part,
        scanners=selected.scanners,
        coverage="; ".join(filter(None, (selected.coverage, split.missing if split else None))) or None,
        note=split.note if split else ALL_FRAMES_NOTE,
        data_digest=selected.digest(scored),
        n_outside=source.n_detections - sum(len(frame.xy) for frame in frames),
        threshold_from=None if threshold is None else "given" if validation is None else "validation",
        reason=None if threshold is not None else f"on validation {point.reason}" if point else NO_THRESHOLD,
        validation=point,
        metrics=metrics,
        oracle=_oracle(frames, metrics),
        notes=tuple(notes),
        hint=hint,
    )


def write_contest_metrics(path: Path, metrics: Mapping[str, Any]) -> None:
    """Writes the metrics.json of a contest (`midog25.score_files`). Raises MitobenchError if it cannot be written."""
    write_text_atomic(path, json.dumps(metrics, indent=4, allow_nan=False) + "\n")


def score_record(path: Path, data: Path) -> ToolScore:
    """Score the stored detections of a record again, with the record's own threshold, protocol, matcher and radius.

    Args:
        path: the record, with its detections in the same folder.
        data: folder that contains its data set, at any depth.

    Raises MitobenchError for a failed record, if the test frames in `data` are not those of the record, and as
    `score_detections` does.
    """
    stored = record.read(path)
    if stored.chosen is None or stored.test is None or stored.detections is None:
        raise MitobenchError(f"{path}: this run failed ({stored.reason}) and has no detections to score.")
    dataset = stored.combination["dataset"]
    with tempfile.TemporaryDirectory(prefix="mitobench-") as folder:  # they may be in an archive
        file = Path(folder, Path(stored.detections.file).stem)
        file.write_text(record.text_of(path, stored.detections), encoding="utf-8")
        score = _score(
            file,
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


def _split(dataset: Dataset, protocol: str | SplitFile | None, needed: Sequence[str]) -> Split:
    """Returns the split of this copy, whose `needed` parts have frames; errors about a name suggest `--split all`."""
    if isinstance(protocol, SplitFile):  # of a record
        return assign(protocol, dataset, needed)
    try:
        return assign(find_split(dataset, protocol or dataset.card.default_protocol), dataset, needed)
    except DataError as reason:
        raise DataError(f"{reason} Or score every labelled frame: --split {ALL_FRAMES}.") from reason


def _labelled(dataset: Dataset) -> tuple[str, ...]:
    """Returns the ids of the frames with labels, sorted. Raises DataError if there are none."""
    found = tuple(sorted(id for id, item in dataset.items.items() if item.mitoses.labelled))
    if not found:
        raise DataError(f"{dataset.name}: none of its {len(dataset.items)} frames has labels. Add their annotation.")
    return found


def _check_arguments(
    part: str,
    protocol: str | SplitFile | None,
    threshold: float | None,
    validation: Path | None,
    radius_um: float | None,
) -> None:
    parts = (*PARTS, ALL_FRAMES)
    if part not in parts:
        raise MitobenchError(f"--split {part}: unknown part. {nearest(part, parts)}")
    if part == ALL_FRAMES and protocol is not None:
        raise MitobenchError(f"--split {ALL_FRAMES} scores every labelled frame. Leave out --protocol.")
    if threshold is not None and validation is not None:
        raise MitobenchError("--threshold and --validation both set the threshold. Give only one of them.")
    if validation is not None and part in ("val", ALL_FRAMES):
        raise MitobenchError(
            f"--split {part} with --validation: the threshold would be chosen on the frames that are scored. "
            "Give --threshold instead, or score another part."
        )
    if threshold is not None and not math.isfinite(threshold):
        raise MitobenchError(f"--threshold {threshold}: must be a finite number.")
    if radius_um is not None and not (math.isfinite(radius_um) and radius_um > 0):
        raise MitobenchError(f"--radius-um {radius_um:g}: must be a finite number greater than 0.")


def _check_there(paths: Iterable[Path]) -> None:
    """Raises MitobenchError for a file that does not exist or is too large, before the data is read."""
    for path in paths:
        if not path.is_dir():
            foreign.check_regular(path, MAX_DATABASE_BYTES, "file of detections")


def _source(path: Path, found: FoundFile, infos: Mapping[str, FrameInfo], hint: Hint | None) -> Source:
    """Returns what identifies a file; raises MitobenchError for a detection far outside its frame."""
    for id in found.detections:
        if infos[id].size is not None:
            _check_inside(id, infos[id], found, hint)
    n_detections = sum(map(len, found.detections.values()))
    return Source(file=path.name, sha256=_digest(path), n_detections=n_detections, reading=found.reading)


def _digest(path: Path) -> str:
    if not path.is_dir():
        return hashlib.sha256(foreign.read_bytes(path, MAX_DATABASE_BYTES, "file of detections")).hexdigest()
    digest = hashlib.sha256()
    for file in sorted(
        file for file in path.rglob("*") if file.suffix.lower() in DETECTION_SUFFIXES and file.is_file()
    ):
        content = foreign.read_bytes(file, MAX_DETECTIONS_BYTES, "file of detections")
        digest.update(f"{file.relative_to(path).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _check_inside(id: str, info: FrameInfo, found: FoundFile, hint: Hint | None) -> None:
    """Raises MitobenchError for a detection far outside its frame.

    It is not a false positive: the file was made for other frames, at another resolution or in another unit.
    """
    detections, size = found.detections[id], info.size
    beyond = _beyond(detections, size)
    if size is None or not (beyond >= OUTSIDE_PX).any():
        return
    farthest = int(beyond.argmax())
    x, y = detections.xy[farthest]
    advice = (
        f"Read in another way, the best F1 would be {hint.oracle_f1:.3f}: {hint.change}."
        if hint
        else _unit_advice(found, id, info)
        or "Check whether x and y are px of this frame: not swapped, not shifted, not of another resolution."
    )
    notes = "".join(f" Note: {note}." for note in found.notes[:3])
    where = found.places[id][farthest]
    raise MitobenchError(
        f"{where}: ({x:g}, {y:g}) lies outside frame {id} of {size[0]} x {size[1]} px. {advice}{notes}"
    )


def _unit_advice(found: FoundFile, id: str, info: FrameInfo) -> str:
    """Asks whether a file in mm or um is in px, if its numbers would then lie in the frame; empty if not."""
    if found.unit == "px" or info.mpp is None:
        return ""
    xy = found.detections[id].xy * np.array(info.mpp) / UM[found.unit]
    if info.size is None or (np.maximum(-xy, xy - np.array(info.size)) >= OUTSIDE_PX).any():
        return ""
    x, y = xy[0]
    return (
        f"The file is read in {found.unit}: are its numbers, such as ({x:g}, {y:g}), px? Then multiply them by the "
        f"um/px{' / 1000' if found.unit == 'mm' else ''}, or give a CSV with frame,x,y,score in px."
    )


def _beyond(detections: Detections, size: tuple[int, int] | None) -> NDArray[np.float64]:
    """By how many px each detection lies outside its frame, [M]; 0 inside, or if the size is unknown."""
    if size is None:
        return np.zeros(len(detections))
    beyond: NDArray[np.float64] = np.maximum(-detections.xy, detections.xy - np.array(size)).max(axis=1, initial=0)
    return beyond


def _hint(
    found: FoundFile, infos: Mapping[str, FrameInfo], best_f1: Callable[[Mapping[str, Detections]], float]
) -> Hint | None:
    """Returns the reading of the file that makes a bad score good; None if the score is not bad, or none does.

    A file with detections far outside their frames is not scored at all, which is as bad as can be.
    """
    if not found.detections:
        return None
    outside = any(_beyond(on, infos[id].size).max(initial=0) >= OUTSIDE_PX for id, on in found.detections.items())
    now = 0.0 if outside else best_f1(found.detections)
    if now >= NEAR_ZERO:
        return None
    tried = [Hint(change=other.change, oracle_f1=best_f1(other.detections)) for other in alternatives(found, infos)]
    best = max(tried, key=lambda hint: hint.oracle_f1, default=None)  # of equals the first, which is the simplest
    if best is None or best.oracle_f1 < max(GOOD, now + MUCH_BETTER):
        return None
    return best


def _unusual_scores(frames: Sequence[FramePrediction], threshold: float | None) -> list[str]:
    score = np.concatenate([np.zeros(0), *(frame.score for frame in frames)])
    if threshold is None or not len(score) or (score >= threshold).any():
        return []
    unit = " The scores are not probabilities: are they logits?" if score.min() < 0 else ""
    return [
        f"no detection has a score at or above the threshold {threshold:g}; the scores are from {score.min():g} to "
        f"{score.max():g}.{unit}"
    ]


def _duplicated_truth(frames: Sequence[FramePrediction]) -> list[str]:
    """Says which frames have a mitosis that was annotated twice: nothing can find both."""
    pairs = {frame.frame: duplicates(frame.truth_xy, frame.mpp) for frame in frames if frame.labelled}
    named = [
        f"{id} ({', '.join(f'{a + 1} and {b + 1}' for a, b in found[:3])})" for id, found in pairs.items() if found
    ]
    if not named:
        return []
    return [
        f"{sum(map(len, pairs.values()))} pairs of annotated mitoses are within {DUPLICATE_UM:g} um of each other, "
        f"probably one mitosis annotated twice: {'; '.join(named[:5])}"
        + (f" and {len(named) - 5} more frames" if len(named) > 5 else "")
    ]


def _frames(dataset: Dataset, ids: Sequence[str], detections: Mapping[str, Detections]) -> list[FramePrediction]:
    items = (dataset.items[id] for id in ids)
    return over_split(((item.frame, item.mitoses) for item in items), detections)


def _oracle(frames: Sequence[FramePrediction], metrics: Metrics) -> Oracle | None:
    if metrics.oracle_threshold is None:
        return None
    counts = total(count_frames(frames, metrics.oracle_threshold, metrics.matcher, metrics.radius_um))
    ratios = {name: counts.ratio(name) for name in ("precision", "recall", "f1")}
    return Oracle.model_validate({"threshold": metrics.oracle_threshold, **ratios, **counts.model_dump()})
