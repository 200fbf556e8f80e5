"""Runs several stages at once, each in a process of this machine (`--jobs N`)."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from importlib import import_module
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from queue import SimpleQueue
from typing import Any

from mitobench.errors import StoreError
from mitobench.pipeline.executors.base import Executor, ProgressListener, StageResult, Submit, Work
from mitobench.pipeline.executors.stage_run import died, run_unchanged_stage
from mitobench.pipeline.graph import Plan
from mitobench.pipeline.stages.stage import Stage
from mitobench.pipeline.starting import start_method

log = logging.getLogger("mitobench")


class Processes(Executor):
    """Up to `capacity` processes of this machine. They start when they are needed and end with the run."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity

    @contextmanager
    def running(self, plan: Plan, work: Work, listener: ProgressListener) -> Iterator[Submit]:
        """Gives a function that runs a stage in an idle process."""
        with suppress(ImportError):
            import_module("yapf")  # required by mmengine; two processes that first import it at once corrupt its cache
        self._note_crowd(work.threads)
        workers = [_Worker(work) for _ in range(self.capacity)]
        idle: SimpleQueue[_Worker] = SimpleQueue()
        for worker in workers:
            idle.put(worker)

        def run_in_worker(stage: Stage) -> StageResult:
            worker = idle.get()
            try:
                listener.started(stage)
                return worker.run(stage)
            finally:
                idle.put(worker)

        with ThreadPoolExecutor(self.capacity) as threads:
            try:
                yield lambda stage: threads.submit(run_in_worker, stage)
            finally:
                for worker in workers:
                    worker.stop()

    def _note_crowd(self, threads: int) -> None:
        cores = os.cpu_count() or 1
        if self.capacity * threads > cores:
            log.warning(
                "%d stages at once with %d threads each share %d cores, which makes all of them slower. For speed give "
                "--threads %d; fits with another number of threads are other fits.",
                self.capacity,
                threads,
                cores,
                max(1, cores // self.capacity),
            )


class _Worker:
    """A process that runs one stage after another: what a stage imports is imported once. A dead one is replaced."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._process: BaseProcess | None = None
        self._pipe: Any = None

    def run(self, stage: Stage) -> StageResult:
        """Run a stage and wait for it. If the process dies, only this stage fails."""
        if self._process is None:
            self._start()
        assert self._process is not None
        try:
            self._pipe.send(stage)
            received: StageResult | StoreError = self._pipe.recv()
        except (EOFError, OSError):
            self._process.join()
            code, self._process = self._process.exitcode, None
            return died(stage, self._work, f"exit code {code}", "Try fewer --jobs.")
        if isinstance(received, StoreError):
            raise received
        return received

    def _start(self) -> None:
        context: Any = get_context(start_method(self._work.device))
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_run_stages, args=(theirs, dict(os.environ), self._work))
        assert self._process is not None
        self._process.start()
        theirs.close()  # or the death of the process would not end the pipe

    def stop(self) -> None:
        """End the process, in the middle of a stage if need be."""
        process = self._process
        if process is not None:
            process.terminate()


def _run_stages(pipe: Any, environment: Mapping[str, str], work: Work) -> None:
    os.environ.clear()  # of the process that it was forked from
    os.environ.update(environment)
    with suppress(EOFError, BrokenPipeError, KeyboardInterrupt):  # the run has ended
        while True:
            stage: Stage = pipe.recv()
            try:
                pipe.send(run_unchanged_stage(stage, work))
            except StoreError as reason:
                pipe.send(reason)
