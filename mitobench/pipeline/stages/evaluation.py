"""Evaluation: scores the test frames with the choices made on validation. Nothing is chosen here."""

from __future__ import annotations

import json

from mitobench.pipeline.stages import scored_candidates
from mitobench.pipeline.stages.job import Job, write_json
from mitobench.pipeline.stages.scored_candidates import fused_scores, metrics_of, write_detections_csv


def evaluate_test(job: Job) -> None:
    """Write the test metrics of the fused score and of the detector's own score, each at its validation threshold."""
    assert job.stage.plugin is not None
    chosen = json.loads((job.inputs["fusion"] / "operating_point.json").read_text(encoding="utf-8"))
    fuser = job.stage.plugin.create("cpu", job.inputs["fusion"] / "fuser")
    split = scored_candidates.read(job, "test")
    keep = split.above(chosen["candidate_threshold"])
    fused = fused_scores(job, fuser, split, keep)
    write_json(
        job.folder / "metrics.json",
        {
            "test": metrics_of(
                job, split.with_scores(keep, fused), chosen["point"]["threshold"], job.stage.settings["cut_offs"]
            ),
            "detector_alone": metrics_of(job, split.frames, chosen["detector_alone"]["threshold"]),
        },
    )
    write_detections_csv(job, split, keep, fused)
    job.progress(1, 1)
