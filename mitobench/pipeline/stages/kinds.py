"""Maps each kind of stage to the function that runs it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mitobench.pipeline.stages.job import Job

_STAGES = "mitobench.pipeline.stages"

# `module:function`, imported when a stage of the kind runs.
KINDS = {
    "fit-estimator": f"{_STAGES}.fitting:fit",
    "fit-detector": f"{_STAGES}.fitting:fit",
    "fit-verifier": f"{_STAGES}.fitting:fit",
    "boxes": f"{_STAGES}.boxes:boxes",
    "box-scores": f"{_STAGES}.box_scores:box_scores",
    "encoder": f"{_STAGES}.embedding:encoder",
    "embeddings": f"{_STAGES}.embedding:embeddings",
    "detections": f"{_STAGES}.detection:detections",
    "verifier-scores": f"{_STAGES}.verification:verifier_scores",
    "fusion": f"{_STAGES}.selection:select",
    "evaluation": f"{_STAGES}.evaluation:evaluate_test",
}


def module(kind: str) -> str:
    """Returns the module with the function for a kind of stage."""
    return KINDS[kind].partition(":")[0]


def run_job(job: Job) -> None:
    """Run the function of the job's stage."""
    name, _, attribute = KINDS[job.stage.kind].partition(":")
    function: Callable[[Job], None] = getattr(importlib.import_module(name), attribute)
    function(job)
