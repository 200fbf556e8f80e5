"""Reads what the stages of a combination left in the store, as far as a record holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mitobench.errors import StoreError
from mitobench.evaluate import BoxScores, Metrics
from mitobench.foreign import read_json
from mitobench.foreign.limits import MAX_RECORD_BYTES
from mitobench.pipeline import arrays
from mitobench.pipeline.executors import StageResult
from mitobench.pipeline.graph import PlannedRun
from mitobench.pipeline.saved_files import TRAINING_INFO
from mitobench.pipeline.stages.scored_candidates import DETECTIONS
from mitobench.pipeline.stages.stage import Stage
from mitobench.results.schema import ValidationChoices

Results = Mapping[str, StageResult]
TIMED = ("detections-test", "embeddings-test", "verifier-scores-test")  # stages that look at every test frame


@dataclass(frozen=True)
class Scores:
    """The results of a combination whose stages have all ended well.

    Attributes:
        chosen: on validation frames.
        validation, test, detector_alone: at the thresholds chosen.
        boxes: of the estimator, against the masks; None without masks, or if its stage failed.
        texts: the detections on `test` and `val` frames, as CSV.
    """

    chosen: ValidationChoices
    validation: Metrics
    test: Metrics
    detector_alone: Metrics
    boxes: BoxScores | None
    texts: Mapping[str, str]


@dataclass(frozen=True)
class Outputs:
    """What the stages left.

    Attributes:
        scores: None if a stage failed.
        training_info: what each fit reported, if anything, by role.
        seconds_a_frame: of detector and verifier on test frames; None if one of them failed.
        seconds_a_candidate: of the verifier on test frames; None without candidates.
    """

    scores: Scores | None
    training_info: dict[str, dict[str, Any]]
    seconds_a_frame: float | None
    seconds_a_candidate: float | None

    @classmethod
    def read(cls, row: PlannedRun, fits: Mapping[str, Stage], results: Results) -> Outputs:
        """Reads the outputs of a combination; `fits` are those that its record reports.

        Raises StoreError if an output is not one that this version of mitobench writes.
        """
        try:
            return cls(
                _scores(row, results) if results[row.stages["evaluation"].key].output else None,
                _training_info(fits, results),
                _seconds_a_frame(row, results),
                _seconds_a_candidate(row, results),
            )
        except (LookupError, TypeError, ValueError, AttributeError) as reason:
            raise StoreError(
                f"The store contains an output of {row.combination.title} that this version of mitobench did not write "
                f"({type(reason).__name__}: {reason}). Choose another folder with --store."
            ) from reason


def _scores(row: PlannedRun, results: Results) -> Scores:
    fusion = _json(results, row.stages["fusion"], "operating_point.json")
    metrics = _json(results, row.stages["evaluation"], "metrics.json")
    boxes = row.stages.get("box-scores")
    has_boxes = boxes is not None and results[boxes.key].output is not None
    return Scores(
        ValidationChoices(**{key: fusion[key] for key in ("candidate_threshold", "fuser", "point", "detector_alone")}),
        validation=Metrics(**fusion["validation"]),
        test=Metrics(**metrics["test"]),
        detector_alone=Metrics(**metrics["detector_alone"]),
        boxes=BoxScores(**_json(results, boxes, "box_scores.json")) if boxes and has_boxes else None,
        texts={"test": _text(results, row.stages["evaluation"]), "val": _text(results, row.stages["fusion"])},
    )


def _training_info(fits: Mapping[str, Stage], results: Results) -> dict[str, dict[str, Any]]:
    finished = {name: stage for name, stage in fits.items() if results[stage.key].output}
    found = {name: _json(results, stage, TRAINING_INFO) for name, stage in finished.items()}
    return {name: info for name, info in found.items() if info}


def _seconds_a_frame(row: PlannedRun, results: Results) -> float | None:
    stages = [row.stages[role] for role in TIMED if role in row.stages]
    if any(results[stage.key].output is None for stage in stages):
        return None
    means = [float(np.mean(_seconds(results, stage))) for stage in stages]
    return round(sum(means), 4) if means else None


def _seconds_a_candidate(row: PlannedRun, results: Results) -> float | None:
    stage = row.stages.get("verifier-scores-test")
    output = results[stage.key].output if stage else None
    if stage is None or output is None:
        return None
    scores = np.concatenate([np.zeros(0), *arrays.read_scores(output.folder).values()])
    looked_at = int(np.isfinite(scores).sum())
    if not looked_at:
        return None
    embeddings = row.stages.get("embeddings-test")
    embedding = sum(_seconds(results, embeddings)) if embeddings else 0.0
    return round(float(sum(_seconds(results, stage)) / looked_at + embedding / len(scores)), 5)


def _seconds(results: Results, stage: Stage) -> list[float]:
    return list(_json(results, stage, "seconds.json").values())


def _json(results: Results, stage: Stage, name: str) -> Any:
    return read_json(_folder(results, stage) / name, MAX_RECORD_BYTES, "stage's output", StoreError)


def _text(results: Results, stage: Stage) -> str:
    return (_folder(results, stage) / DETECTIONS).read_text(encoding="utf-8")


def _folder(results: Results, stage: Stage) -> Path:
    output = results[stage.key].output
    assert output is not None, "only outputs of stages that ended well are read"
    return Path(output.folder)
