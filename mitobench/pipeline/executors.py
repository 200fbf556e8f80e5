"""Does the stages of a plan: those in the store are read, the rest done, in this process or in several.

A stage that fails spoils the rows behind it and nothing else; a full disk or an interrupt ends the run.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context

from mitobench.errors import MitobenchError, StoreError
from mitobench.pipeline.plan import Plan, Stage
from mitobench.pipeline.processes import silent
from mitobench.pipeline.store import Output, Store
from mitobench.pipeline.workspace import Workspace

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Outcome:
    """What became of a stage.

    Attributes:
        stage: which one.
        output: its verified output; None where it failed.
        cached: it was in the store already.
        reason: why it failed, one line.
        trace: the traceback, for the failure record.
    """

    stage: Stage
    output: Output | None = None
    cached: bool = False
    reason: str | None = None
    trace: str | None = None


class Watcher:
    """Hears what happens during a run; the command line's progress display is one."""

    def started(self, stage: Stage) -> None:
        """A stage is being done."""

    def advanced(self, stage: Stage, done: int, total: int) -> None:
        """It has got so far; total 0 means unknown."""

    def finished(self, outcome: Outcome) -> None:
        """A stage ended, one way or another."""


def run(plan: Plan, store: Store, workspace: Workspace, watcher: Watcher, jobs: int = 1) -> dict[str, Outcome]:
    """Do every stage of the plan. Outcomes by key.

    Args:
        plan: what to do.
        store: where outputs are and go.
        workspace: the frames.
        watcher: hears of every start, advance and end.
        jobs: how many stages may be done at once, each in a process of its own; 1: in this process.

    Raises StoreError when the store cannot be written.
    """
    outcomes: dict[str, Outcome] = {}
    with _executor(store, workspace, watcher, jobs) as submit:
        waiting = dict(plan.stages)
        running: dict[Future[Outcome], str] = {}
        while waiting or running:
            for key, stage in list(waiting.items()):
                failed = next((outcomes[s.key] for s in stage.upstream.values() if _failed(outcomes.get(s.key))), None)
                ready = all(s.key in outcomes for s in stage.upstream.values())
                if failed:
                    outcomes[key] = Outcome(stage, reason=failed.reason, trace=failed.trace)
                    watcher.finished(outcomes[key])
                elif ready and len(running) < jobs:
                    watcher.started(stage)
                    running[submit(stage)] = key
                else:
                    continue
                del waiting[key]
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                key = running.pop(future)
                outcomes[key] = future.result()
                watcher.finished(outcomes[key])
    return outcomes


def _failed(outcome: Outcome | None) -> bool:
    return outcome is not None and outcome.output is None


@contextmanager
def _executor(
    store: Store, workspace: Workspace, watcher: Watcher, jobs: int
) -> Iterator[Callable[[Stage], Future[Outcome]]]:
    if jobs == 1:

        def here(stage: Stage) -> Future[Outcome]:
            future: Future[Outcome] = Future()
            future.set_result(do(stage, store, workspace, lambda done, total: watcher.advanced(stage, done, total)))
            return future

        yield here
        return
    spawn = get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=spawn, initializer=_share_cores, initargs=(jobs,)) as pool:
        try:
            yield lambda stage: pool.submit(do, stage, store, workspace)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _share_cores(jobs: int) -> None:
    import torch

    torch.set_num_threads(max(1, torch.get_num_threads() // jobs))


def do(stage: Stage, store: Store, workspace: Workspace, progress: Progress = silent) -> Outcome:
    """One stage: read from the store, or done under its lock. Two processes never do it twice."""
    from mitobench.pipeline import stages

    with store.lock(stage.key):
        output = store.get(stage.kind, stage.key)
        if output:
            return Outcome(stage, output, cached=True)
        try:
            inputs = {role: _input(store, needed) for role, needed in stage.upstream.items()}
            with store.write(stage.kind, stage.key, stage.spec) as folder:
                stages.do(stages.Job(stage, inputs, folder, store.work(stage.key), workspace, progress))
        except StoreError:
            raise
        except Exception as reason:
            return Outcome(stage, reason=_one_line(stage, reason), trace=traceback.format_exc())
        output = store.get(stage.kind, stage.key)
        assert output is not None, "an output that was just written is there"
        return Outcome(stage, output)


def _input(store: Store, stage: Stage) -> Output:
    output = store.get(stage.kind, stage.key)
    if output is None:
        raise MitobenchError(f"The output of {stage.label} was corrupt; run the same command again.")
    return output


def _one_line(stage: Stage, reason: Exception) -> str:
    said = str(reason).strip() or "no message"
    kind = "" if isinstance(reason, MitobenchError) else f"{type(reason).__name__}: "
    return f"{stage.label}: {kind}{said}"
