"""What the test set says: validation's choices are applied, and nothing is chosen."""

from __future__ import annotations

import json

from mitobench.pipeline.stages import candidates
from mitobench.pipeline.stages.candidates import evaluated, fused_scores, write_detections
from mitobench.pipeline.stages.job import Job, write_json


def evaluate_test(job: Job) -> None:
    """Score the test frames, by the fused score and by the detector alone, at the thresholds from validation."""
    assert job.stage.plugin is not None
    chosen = json.loads((job.inputs["fusion"] / "operating_point.json").read_text(encoding="utf-8"))
    fuser = job.stage.plugin.create("cpu", job.inputs["fusion"] / "fuser")
    split = candidates.read(job, "test")
    keep = split.above(chosen["candidate_threshold"])
    fused = fused_scores(fuser, split, keep)
    write_json(
        job.folder / "metrics.json",
        {
            "test": evaluated(job, split.scored(keep, fused), chosen["point"]["threshold"]),
            "detector_alone": evaluated(job, split.frames, chosen["detector_alone"]["threshold"]),
        },
    )
    write_detections(job, split, keep, fused)
    job.progress(1, 1)
