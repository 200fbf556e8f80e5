"""Runs the stages of a plan, each as soon as those that it depends on have ended."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait

from mitobench.pipeline.executors.base import Executor, ProgressListener, StageResult, Work
from mitobench.pipeline.graph import Plan


def run(plan: Plan, work: Work, listener: ProgressListener, executor: Executor) -> Iterator[tuple[str, StageResult]]:
    """Run every stage of the plan; yields (key, result) of each stage when it ends.

    Args:
        plan: the stages to run.
        work: store, frames and threads.
        listener: receives the progress events.
        executor: where the stages run. Stages whose output is in the store are not run again.

    Raises StoreError when the store cannot be written.
    """
    graph = _Graph(plan)
    running: dict[Future[StageResult], str] = {}
    with executor.running(plan, work, listener) as submit:
        while graph.ready or running:
            while graph.ready and len(running) < executor.capacity:
                key = graph.next()
                running[submit(plan.stages[key])] = key
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                for key, result in graph.end(running.pop(future), future.result()):
                    listener.finished(result)
                    yield key, result


class _Graph:
    """Which stages are ready: those whose inputs have ended. They are taken in the order of the plan.

    Attributes:
        ready: numbers of the ready stages, as a heap.
    """

    def __init__(self, plan: Plan) -> None:
        self._stages = plan.stages
        self._keys = list(plan.stages)
        self._number = {key: number for number, key in enumerate(self._keys)}
        self._missing = {key: {needed.key for needed in s.upstream.values()} for key, s in plan.stages.items()}
        self._dependents: dict[str, list[str]] = defaultdict(list)
        for key, missing in self._missing.items():
            for needed in missing:
                self._dependents[needed].append(key)
        self.ready = [number for number, key in enumerate(self._keys) if not self._missing[key]]

    def next(self) -> str:
        """Takes the first of the stages that are ready; returns its key."""
        return self._keys[heapq.heappop(self.ready)]

    def end(self, key: str, result: StageResult) -> Iterator[tuple[str, StageResult]]:
        """Yields how a stage ended, then those that cannot run because it failed."""
        yield key, result
        for dependent in self._dependents.pop(key, ()):
            missing = self._missing.get(dependent)
            if missing is None:  # left out already, because of another failure
                continue
            missing.discard(key)
            if result.output is None:
                del self._missing[dependent]
                left_out = StageResult(self._stages[dependent], reason=result.reason, left_out=True)
                yield from self.end(dependent, left_out)
            elif not missing:
                heapq.heappush(self.ready, self._number[dependent])
