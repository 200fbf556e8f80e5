"""The harness's own two stages: what validation chooses, and what the test set then says.

Gate, fuser and threshold see validation frames only; the test stage applies them and chooses nothing.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mitobench.api import Detections, Fuser, Validation
from mitobench.evaluate import FramePrediction, OperatingPoint, Sweep, choose_threshold, evaluate, score_boxes
from mitobench.evaluate.matching import near
from mitobench.evaluate.operating_point import best_point
from mitobench.foreign import guard_cell
from mitobench.pipeline import arrays, canonical, checks

if TYPE_CHECKING:
    from mitobench.pipeline.stages import Job

Floats = NDArray[np.float64]

# Shares of the validation mitoses among the candidates that a gate chosen on validation may give up.
GIVEN_UP = (0.02, 0.05, 0.1, 0.2)
DETECTIONS = "detections.csv"
COLUMNS = (
    "frame",
    "x",
    "y",
    "x1",
    "y1",
    "x2",
    "y2",
    "score_detector",
    "score_verifier",
    "score",
    "above_gate",
    "hit",
    "distance_um",
)


@dataclass(frozen=True)
class _Split:
    """All candidates of a split's frames, one after the other, with both scores."""

    keys: tuple[str, ...]
    frames: list[FramePrediction]
    detector: Floats
    verifier: Floats | None
    found: Mapping[str, Detections]

    def at_gate(self, gate: float | None) -> NDArray[np.bool_]:
        """Which candidates take part, bool [N]: without a verifier there is no gate."""
        return above(self.detector, None if self.verifier is None else gate)

    def scored(self, keep: NDArray[np.bool_], score: Floats) -> list[FramePrediction]:
        """The frames with the kept candidates at their new scores ([kept])."""
        spread = np.full(len(keep), np.nan)
        spread[keep] = score
        predictions, first = [], 0
        for frame in self.frames:
            part = slice(first, first + len(frame.xy))
            kept = keep[part]
            predictions.append(replace(frame, xy=frame.xy[kept], score=spread[part][kept]))
            first += len(frame.xy)
        return predictions


def above(score: Floats, gate: float | None) -> NDArray[np.bool_]:
    """Which detections pass a gate, bool [N]: those above it; without one, all."""
    return np.ones(len(score), dtype=bool) if gate is None else score > gate


def _split(job: Job, part: str) -> _Split:
    found = arrays.read_detections(job.inputs["detections"].folder)
    scores = arrays.read_scores(job.inputs["verdicts"].folder) if "verdicts" in job.inputs else None
    keys = job.stage.frames[part]
    frames = []
    for key in keys:
        item = job.workspace.item(key)
        group = job.workspace.tissue(key, slide=True)
        frames.append(
            FramePrediction(
                key if part == "val" else item.frame.id,
                group if part == "val" else item.frame.group,
                item.frame.mpp,
                item.mitoses.xy,
                found[key].xy,
                found[key].score,
                item.mitoses.labelled,
            )
        )
    detector = np.concatenate([np.zeros(0), *(found[key].score for key in keys)])
    verifier = None if scores is None else np.concatenate([np.zeros(0), *(scores[key] for key in keys)])
    return _Split(keys, frames, detector, verifier, found)


def _fused(fuser: Fuser, split: _Split, keep: NDArray[np.bool_]) -> Floats:
    detector = split.detector[keep]
    verifier = detector if split.verifier is None else split.verifier[keep]
    return checks.scores(fuser, None, fuser.fuse(detector, verifier), len(detector))


# ---------------------------------------------------------------------------------------------- on validation


def fuse(job: Job) -> None:
    """Choose gate, fuser and threshold: the gate whose fitted fuser has the best F1, the lowest of equals."""
    split = _split(job, "val")
    hits = _near_mitosis(split, float(job.stage.settings["radius_um"]))
    tried = [(*_at(job, split, hits, gate), gate) for gate in _gates(job, split, hits)]
    _, fuser, point, gate = max(tried, key=lambda t: (t[0], np.inf if t[3] is None else -t[3]))
    keep = split.at_gate(gate)
    metrics = _evaluate(job, split.scored(keep, _fused(fuser, split, keep)), point.threshold)
    alone = choose_threshold(split.frames, *_rule(job))  # what the verifier has to beat
    (job.folder / "fuser").mkdir()
    fuser.save(job.folder / "fuser")
    _write_json(
        job.folder / "operating_point.json",
        {
            "gate": None if split.verifier is None else gate,
            "gates": [[g, f1] for f1, _, _, g in tried],
            "fuser": fuser.chosen(),
            "point": point.model_dump(),
            "validation": metrics,
            "detector_alone": alone.model_dump(),
        },
    )
    job.progress(1, 1)


def _at(job: Job, split: _Split, hits: NDArray[np.bool_], gate: float | None) -> tuple[float, Fuser, OperatingPoint]:
    """The fuser fitted on what passes a gate: its best validation F1, itself, and the threshold."""
    assert job.stage.plugin is not None
    keep = split.at_gate(gate)
    sweep = Sweep(split.scored(keep, split.detector[keep]), *_rule(job))
    fuser = job.stage.plugin.create("cpu")
    verifier = split.detector if split.verifier is None else split.verifier
    fuser.fit(Validation(split.detector[keep], verifier[keep], hits[keep], sweep.best_f1))
    point = best_point(sweep.curve(_fused(fuser, split, keep)))
    return point.f1 or 0.0, fuser, point


def _gates(job: Job, split: _Split, hits: NDArray[np.bool_]) -> list[float | None]:
    """The gate as it is given; or, to be chosen, none and those that give up certain shares of the mitoses found."""
    given: float | str | None = job.stage.settings["gate"]
    if not isinstance(given, str):
        return [given]
    if split.verifier is None or not hits.any():
        return [None]
    quantiles = np.quantile(split.detector[hits], GIVEN_UP, method="lower")
    return [None, *sorted({float(np.nextafter(q, -np.inf)) for q in quantiles})]


def _near_mitosis(split: _Split, radius_um: float) -> NDArray[np.bool_]:
    """Which candidates show a mitosis, bool [N]."""
    frames = (near(frame.truth_xy, frame.xy, frame.mpp, radius_um) for frame in split.frames)
    return np.concatenate([np.zeros(0, dtype=bool), *frames])


# ---------------------------------------------------------------------------------------------- on the test set


def evaluate_test(job: Job) -> None:
    """Score the test frames, by the fused score and by the detector alone, at the thresholds from validation."""
    assert job.stage.plugin is not None
    chosen = json.loads((job.inputs["fusion"].folder / "operating_point.json").read_text(encoding="utf-8"))
    fuser = job.stage.plugin.create("cpu", job.inputs["fusion"].folder / "fuser")
    split = _split(job, "test")
    keep = split.at_gate(chosen["gate"])
    fused = _fused(fuser, split, keep)
    frames = split.scored(keep, fused)
    _write_json(
        job.folder / "metrics.json",
        {
            "test": _evaluate(job, frames, chosen["point"]["threshold"]),
            "detector_alone": _evaluate(job, split.frames, chosen["detector_alone"]["threshold"]),
        },
    )
    _write_detections(job, split, keep, fused, chosen["point"]["threshold"])
    job.progress(1, 1)


def _write_detections(job: Job, split: _Split, keep: NDArray[np.bool_], fused: Floats, threshold: float | None) -> None:
    """Every candidate of the test frames, with its scores before and after verification, and what became of it.

    `hit` is said of the detections that count, those at or above the threshold; `distance_um` of all above the gate.
    """
    verifier = np.full(len(keep), np.nan) if split.verifier is None else split.verifier
    score, hit, distance = np.full(len(keep), np.nan), np.full(len(keep), np.nan), np.full(len(keep), np.nan)
    matched = [frame.match(*_rule(job)) for frame in split.scored(keep, fused)]
    score[keep] = fused
    distance[keep] = np.concatenate([np.zeros(0), *(m.distance_um for m in matched)])
    counted = keep & (score >= (np.inf if threshold is None else threshold))
    matched = [frame.match(*_rule(job)) for frame in split.scored(counted, score[counted])]
    hit[counted] = np.concatenate([np.zeros(0), *(m.hit for m in matched)])
    frames = [frame for frame in split.frames for _ in frame.xy]
    boxes = np.concatenate([np.zeros((0, 4)), *(split.found[key].boxes for key in split.keys)])
    xy = np.concatenate([np.zeros((0, 2)), *(frame.xy for frame in split.frames)])
    with (job.folder / DETECTIONS).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for i, frame in enumerate(frames):
            place = [f"{n:.2f}" for n in (*xy[i], *boxes[i])]
            scores = [_spell(s) for s in (split.detector[i], verifier[i], score[i])]
            became = _spell(hit[i], 0) if frame.labelled else ""
            writer.writerow([guard_cell(frame.frame), *place, *scores, int(keep[i]), became, _spell(distance[i], 4)])


def box_scores(folder: Path, estimated: Floats, truth: Floats, covered: NDArray[np.bool_] | None) -> None:
    """Write the estimator's scores; an estimator that finds no blobs has no share of them."""
    scores = score_boxes(estimated, truth, ~covered if covered is not None else np.zeros(len(truth), dtype=bool))
    result = scores.model_dump()
    if covered is None:
        result |= {"covered": None, "fallback": None}
    _write_json(folder / "box_scores.json", result)


def _evaluate(job: Job, frames: list[FramePrediction], threshold: float | None) -> dict[str, Any]:
    return evaluate(frames, threshold, *_rule(job)).model_dump()


def _rule(job: Job) -> tuple[str, float]:
    return str(job.stage.settings["matcher"]), float(job.stage.settings["radius_um"])


def _spell(value: float | None, digits: int | None = None) -> str:
    """A number for a CSV: all of its digits unless told otherwise, nothing where there is none."""
    if value is None or np.isnan(value):
        return ""
    return repr(float(value)) if digits is None else f"{value:.{digits}f}"


def _write_json(path: Path, value: Any) -> None:
    path.write_text(canonical.dumps(value), encoding="utf-8")
