"""Runs stages in this process, one after the other."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager

from mitobench.pipeline.executors.base import Executor, ProgressListener, StageResult, Submit, Work
from mitobench.pipeline.executors.stage_run import run_stage
from mitobench.pipeline.graph import Plan
from mitobench.pipeline.stages.stage import Stage


class Local(Executor):
    """This process. A stage has ended when it was submitted."""

    capacity = 1

    @contextmanager
    def running(self, plan: Plan, work: Work, listener: ProgressListener) -> Iterator[Submit]:
        """Gives a function that runs a stage before it returns."""

        def submit(stage: Stage) -> Future[StageResult]:
            listener.started(stage)
            future: Future[StageResult] = Future()
            future.set_result(run_stage(stage, work, functools.partial(listener.advanced, stage)))
            return future

        yield submit
