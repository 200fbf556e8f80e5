"""Does the stages of a plan: those in the store are read, the rest done, in this process or in several.

A stage that fails spoils the rows behind it and nothing else; a full disk or an interrupt ends the run.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from mitobench import compute
from mitobench.errors import MitobenchError, StoreError
from mitobench.pipeline.graph import Plan
from mitobench.pipeline.sources import plugin_code, stage_code
from mitobench.pipeline.stages import kinds
from mitobench.pipeline.stages.job import Job, silent
from mitobench.pipeline.stages.stage import Stage
from mitobench.pipeline.store import Output, Store
from mitobench.pipeline.workspace import Workspace

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class StageResult:
    """What became of a stage.

    Attributes:
        stage: which one.
        output: its verified output; None where it failed.
        cached: it was in the store already.
        reason: why it failed, one line.
        left_out: it was not tried, since a stage that it builds on failed for that reason.
        trace: file with the traceback, kept until the stage is done.
    """

    stage: Stage
    output: Output | None = None
    cached: bool = False
    reason: str | None = None
    left_out: bool = False
    trace: Path | None = None


class ProgressListener:
    """Hears what happens during a run; the command line's progress display is one."""

    def started(self, stage: Stage) -> None:
        """A stage is being done."""

    def advanced(self, stage: Stage, done: int, total: int) -> None:
        """It has got so far; total 0 means unknown."""

    def finished(self, result: StageResult) -> None:
        """A stage ended, one way or another."""


def run(
    plan: Plan, store: Store, workspace: Workspace, listener: ProgressListener, jobs: int = 1
) -> Iterator[tuple[str, StageResult]]:
    """Do every stage of the plan; gives (key, outcome) of each as it ends.

    Args:
        plan: what to do.
        store: where outputs are and go.
        workspace: the frames.
        listener: hears of every start, advance and end.
        jobs: how many stages may be done at once, each in a process of its own; 1: in this process.

    Raises StoreError when the store cannot be written.
    """
    results: dict[str, StageResult] = {}
    waiting = dict(plan.stages)
    running: dict[Future[StageResult], str] = {}
    with _executor(store, workspace, listener, jobs) as submit:
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
    store: Store, workspace: Workspace, listener: ProgressListener, jobs: int
) -> Iterator[Callable[[Stage], Future[StageResult]]]:
    """Gives a function that starts a stage: at once in this process, or in a process of its own."""
    if jobs == 1:

        def here(stage: Stage) -> Future[StageResult]:
            future: Future[StageResult] = Future()
            future.set_result(do(stage, store, workspace, lambda done, total: listener.advanced(stage, done, total)))
            return future

        yield here
        return
    with suppress(ImportError):
        import_module("yapf")  # mmengine brings it; first imported by two processes at once, it tears its cache
    children: list[BaseProcess] = []
    with ThreadPoolExecutor(jobs) as threads:
        try:
            yield lambda stage: threads.submit(_elsewhere, stage, store, workspace, jobs, children)
        except BaseException:
            for child in children:
                child.terminate()
            raise


def _elsewhere(stage: Stage, store: Store, workspace: Workspace, jobs: int, children: list[BaseProcess]) -> StageResult:
    """Do a stage in a new process, and wait for it; one that dies fails its stage only."""
    spawn = get_context("spawn")
    receiver, sender = spawn.Pipe(duplex=False)
    child = spawn.Process(target=_child, args=(sender, stage, store, workspace, jobs))
    child.start()
    children.append(child)
    sender.close()
    try:
        said: StageResult | StoreError = receiver.recv()
    except EOFError:
        child.join()
        return StageResult(
            stage, reason=f"{stage.label}: its process died (exit code {child.exitcode}); out of memory?"
        )
    child.join()
    if isinstance(said, StoreError):
        raise said
    return said


def _child(sender: Any, stage: Stage, store: Store, workspace: Workspace, jobs: int) -> None:
    compute.set_threads(max(1, compute.threads() // jobs))
    try:
        sender.send(_changed(stage) or do(stage, store, workspace))
    except StoreError as reason:
        sender.send(reason)


def _changed(stage: Stage) -> StageResult | None:
    """A failure where this process imports other code than the plan was made with: its output has no key."""
    plugin = stage.plugin
    same = stage_code(stage.kind).digest == stage.settings["harness"]
    if same and (plugin is None or plugin_code(plugin.role, plugin.cls()).digest == plugin.source):
        return None
    return StageResult(stage, reason=f"{stage.label}: its code was changed during the run. Run the same command again.")


def do(stage: Stage, store: Store, workspace: Workspace, progress: Progress = silent) -> StageResult:
    """One stage: read from the store, or done under its lock. Two processes never do it twice."""
    with store.lock(stage.key):
        output = store.get(stage.kind, stage.key)
        if output:
            return StageResult(stage, output, cached=True)
        try:
            inputs = {role: _input(store, needed).folder for role, needed in stage.upstream.items()}
            for file in stage.plugin.files.values() if stage.plugin else ():
                store.keep(file)
            with store.write(stage.kind, stage.key, stage.spec) as folder:
                kinds.do(Job(stage, inputs, folder, store.work(stage.key), workspace, progress))
                workspace.check_files(key for keys in stage.frames.values() for key in keys)
                stage.check_files()  # what was made of changed files must not be kept under this key
        except StoreError:
            raise
        except (Exception, SystemExit) as reason:
            trace = store.work(stage.key) / "failure.txt"
            trace.write_text(traceback.format_exc(), encoding="utf-8", errors="backslashreplace")
            return StageResult(stage, reason=_one_line(stage, reason), trace=trace)
        output = store.get(stage.kind, stage.key)
        assert output is not None, "an output that was just written is there"
        return StageResult(stage, output)


def _input(store: Store, stage: Stage) -> Output:
    output = store.get(stage.kind, stage.key)
    if output is None:
        raise MitobenchError(f"The output of {stage.label} was corrupt; run the same command again.")
    return output


def _one_line(stage: Stage, reason: BaseException) -> str:
    said = str(reason).strip() or "no message"
    kind = "" if isinstance(reason, MitobenchError) else f"{type(reason).__name__}: "
    return f"{stage.label}: {kind}{said}"
