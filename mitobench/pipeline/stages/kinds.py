"""The kinds of stages, and the function that does each."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mitobench.pipeline.stages.job import Job

_STAGES = "mitobench.pipeline.stages"

# `module:function`, imported when a stage of the kind is done.
KINDS = {
    "fit-estimator": f"{_STAGES}.fitting:fit",
    "fit-detector": f"{_STAGES}.fitting:fit",
    "fit-verifier": f"{_STAGES}.fitting:fit",
    "boxes": f"{_STAGES}.boxes:boxes",
    "box-scores": f"{_STAGES}.box_scores:box_scores",
    "detections": f"{_STAGES}.detection:detections",
    "verifier-scores": f"{_STAGES}.verification:verifier_scores",
    "fusion": f"{_STAGES}.selection:fuse",
    "evaluation": f"{_STAGES}.evaluation:evaluate_test",
}


def module(kind: str) -> str:
    """The module whose function does a kind of stage."""
    return KINDS[kind].partition(":")[0]


def do(job: Job) -> None:
    """Do the stage."""
    name, _, function = KINDS[job.stage.kind].partition(":")
    work: Callable[[Job], None] = getattr(importlib.import_module(name), function)
    work(job)
