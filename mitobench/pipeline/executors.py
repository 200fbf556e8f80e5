"""Runs the stages of a plan, in this process or in several. Stages whose output is in the store are not run again.

If a stage fails, only the combinations that depend on it fail. A full disk or an interrupt ends the whole run.
"""

from __future__ import annotations

import functools
import os
import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from mitobench import compute
from mitobench.errors import MitobenchError, StoreError
from mitobench.pipeline.code_digests import plugin_code, stage_code
from mitobench.pipeline.graph import Plan
from mitobench.pipeline.stages import kinds
from mitobench.pipeline.stages.job import Job, silent
from mitobench.pipeline.stages.stage import Stage
from mitobench.pipeline.starting import start_method
from mitobench.pipeline.store import Output, Store
from mitobench.pipeline.workspace import Workspace

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class StageResult:
    """How a stage ended.

    Attributes:
        stage: the stage.
        output: its verified output; None if it failed.
        cached: whether the output was already in the store.
        reason: why the stage failed, in one line; None if it did not.
        left_out: whether the stage was not run because a stage that it depends on failed; `reason` is that failure.
        trace: file with the traceback; it is removed when the stage succeeds in a later run.
    """

    stage: Stage
    output: Output | None = None
    cached: bool = False
    reason: str | None = None
    left_out: bool = False
    trace: Path | None = None


class ProgressListener:
    """Receives progress events of a run; this class ignores them. The CLI's progress display is a subclass."""

    def started(self, stage: Stage) -> None:
        """Called when a stage starts."""

    def advanced(self, stage: Stage, done: int, total: int) -> None:
        """Called when a stage has completed `done` of `total` steps; a total of 0 means unknown."""

    def finished(self, result: StageResult) -> None:
        """Called when a stage ends, whether it succeeded, failed or was left out."""


def run(
    plan: Plan, store: Store, workspace: Workspace, listener: ProgressListener, jobs: int = 1
) -> Iterator[tuple[str, StageResult]]:
    """Run every stage of the plan; yields (key, result) of each stage when it ends.

    Args:
        plan: the stages to run.
        store: where outputs are read and written.
        workspace: the frames.
        listener: receives the progress events.
        jobs: how many stages may run at once, each in a process of its own; 1: all run in this process.

    Raises StoreError when the store cannot be written.
    """
    results: dict[str, StageResult] = {}
    waiting = dict(plan.stages)
    running: dict[Future[StageResult], str] = {}
    device = next(
        (str(stage.settings["device"]) for stage in plan.stages.values() if "device" in stage.settings), "cpu"
    )
    with _executor(store, workspace, listener, jobs, device) as submit:
        while waiting or running:
            ended: dict[str, StageResult] = {}
            for key, stage in list(waiting.items()):
                needed = [results.get(upstream.key) for upstream in stage.upstream.values()]
                failed = next((result for result in needed if result and not result.output), None)
                if failed:
                    ended[key] = StageResult(stage, reason=failed.reason, left_out=True)
                elif all(needed) and len(running) < jobs:
                    listener.started(stage)
                    running[submit(stage)] = key
                else:
                    continue
                del waiting[key]
            if not ended:
                done = wait(running, return_when=FIRST_COMPLETED).done
                ended = {running.pop(future): future.result() for future in done}
            results |= ended
            for key, result in ended.items():
                listener.finished(result)
                yield key, result


@contextmanager
def _executor(
    store: Store, workspace: Workspace, listener: ProgressListener, jobs: int, device: str
) -> Iterator[Callable[[Stage], Future[StageResult]]]:
    """Gives a function that starts a stage. With one job the stage runs in this process, before the call returns."""
    if jobs == 1:

        def submit_here(stage: Stage) -> Future[StageResult]:
            future: Future[StageResult] = Future()
            progress: Progress = functools.partial(listener.advanced, stage)
            future.set_result(run_stage(stage, store, workspace, progress))
            return future

        yield submit_here
        return
    with suppress(ImportError):
        import_module("yapf")  # required by mmengine; two processes that first import it at once corrupt its cache
    workers = [_Worker(store, workspace, jobs, device) for _ in range(jobs)]
    idle: SimpleQueue[_Worker] = SimpleQueue()
    for worker in workers:
        idle.put(worker)

    def run_in_worker(stage: Stage) -> StageResult:
        worker = idle.get()
        try:
            return worker.run(stage)
        finally:
            idle.put(worker)

    with ThreadPoolExecutor(jobs) as threads:
        try:
            yield lambda stage: threads.submit(run_in_worker, stage)
        finally:
            for worker in workers:
                worker.stop()


class _Worker:
    """A process that runs one stage after another: what a stage imports is imported once. A dead one is replaced."""

    def __init__(self, store: Store, workspace: Workspace, jobs: int, device: str) -> None:
        self._arguments = store, workspace, jobs
        self._device = device
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
            return StageResult(
                stage,
                reason=f"{stage.label}: its process died (exit code {code}), possibly because it ran out of memory. "
                "Try fewer --jobs.",
            )
        if isinstance(received, StoreError):
            raise received
        return received

    def _start(self) -> None:
        context: Any = get_context(start_method(self._device))
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, dict(os.environ), *self._arguments))
        assert self._process is not None
        self._process.start()
        theirs.close()  # or the death of the process would not end the pipe

    def stop(self) -> None:
        """End the process, in the middle of a stage if need be."""
        process = self._process
        if process is not None:
            process.terminate()


def _work(pipe: Any, environment: Mapping[str, str], store: Store, workspace: Workspace, jobs: int) -> None:
    os.environ.clear()  # of the process that it was forked from
    os.environ.update(environment)
    compute.set_threads(max(1, compute.threads() // jobs))
    with suppress(EOFError, BrokenPipeError, KeyboardInterrupt):  # the run has ended
        while True:
            stage: Stage = pipe.recv()
            try:
                pipe.send(_code_changed(stage) or run_stage(stage, store, workspace))
            except StoreError as reason:
                pipe.send(reason)


def _code_changed(stage: Stage) -> StageResult | None:
    """Returns a failure if the code of the stage or its plugin changed since the plan was made; otherwise None.

    The plan's key would not describe an output of the changed code.
    """
    plugins = [plugin for plugin in (stage.plugin, *stage.members.values()) if plugin]
    same = stage_code(stage.kind).digest == stage.settings["harness"]
    if same and all(plugin_code(plugin.role, plugin.cls()).digest == plugin.source for plugin in plugins):
        return None
    return StageResult(stage, reason=f"{stage.label}: its code was changed during the run. Run the same command again.")


def run_stage(stage: Stage, store: Store, workspace: Workspace, progress: Progress = silent) -> StageResult:
    """Read a stage's output from the store, or run the stage and store its output.

    The stage's lock is held meanwhile, so that no other process runs the same stage. Raises StoreError when the store
    cannot be written; every other error is returned as the result's reason.
    """
    with store.lock(stage.key):
        output = store.get(stage.kind, stage.key)
        if output:
            return StageResult(stage, output, cached=True)
        try:
            inputs = {role: _input(store, needed).folder for role, needed in stage.upstream.items()}
            for file in stage.plugin.files.values() if stage.plugin else ():
                store.keep(file)
            with store.write(stage.kind, stage.key, stage.spec) as folder:
                kinds.run_job(Job(stage, inputs, folder, store.work(stage.key), workspace, progress))
                # the key describes the files as they were before: an output of changed files must not be stored
                workspace.check_files(key for keys in stage.frames.values() for key in keys)
                stage.check_files()
        except StoreError:
            raise
        except (Exception, SystemExit) as reason:
            trace = store.work(stage.key) / "failure.txt"
            trace.write_text(traceback.format_exc(), encoding="utf-8", errors="backslashreplace")
            return StageResult(stage, reason=_one_line(stage, reason), trace=trace)
        output = store.get(stage.kind, stage.key)
        assert output is not None, "the output was just written"
        return StageResult(stage, output)


def _input(store: Store, stage: Stage) -> Output:
    output = store.get(stage.kind, stage.key)
    if output is None:
        raise MitobenchError(f"The stored output of {stage.label} is missing or corrupt. Run the same command again.")
    return output


def _one_line(stage: Stage, reason: BaseException) -> str:
    message = str(reason).strip() or "no message"
    kind = "" if isinstance(reason, MitobenchError) else f"{type(reason).__name__}: "
    return f"{stage.label}: {kind}{message}"
