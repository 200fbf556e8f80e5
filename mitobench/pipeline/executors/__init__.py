"""Runs the stages of a plan: in this process, in several, or on a cluster. Each place is an `Executor`.

If a stage fails, only the combinations that depend on it fail. A full disk or an interrupt ends the whole run.
"""

from mitobench.pipeline.executors.base import Executor, ProgressListener, StageResult, Work
from mitobench.pipeline.executors.choice import EXECUTORS, executor_of
from mitobench.pipeline.executors.local import Local
from mitobench.pipeline.executors.scheduling import run

__all__ = ["EXECUTORS", "Executor", "Local", "ProgressListener", "StageResult", "Work", "executor_of", "run"]
