"""Runs stages on a Ray cluster (`--executor ray`): many at once, on this machine or on many.

Ray places each stage where its CPUs, GPU and memory are free, runs it again where a node or a worker was lost, and
brings its result back. The store's lease sees to it that a stage runs once, also if several runs share the cluster.
"""

from __future__ import annotations

import functools
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mitobench.errors import MitobenchError, StoreError
from mitobench.pipeline.executors import ray_nodes
from mitobench.pipeline.executors.base import Executor, ProgressListener, StageResult, Submit, Work
from mitobench.pipeline.executors.ray_cluster import Cluster
from mitobench.pipeline.executors.stage_run import died, run_unchanged_stage
from mitobench.pipeline.graph import Plan
from mitobench.pipeline.stages.stage import Stage

MAX_SUBMITTED = 1_000  # stages that wait or run on the cluster at once
MAX_RETRIES = 2  # of a stage whose node or worker was lost
PROGRESS_SECONDS = 0.5  # between two reports of a stage, and between two looks at them
HEAD_SECONDS = 20.0  # without an answer of the head, after which the cluster counts as lost


class OnRay(Executor):
    """A Ray cluster.

    Args:
        address: `HOST:PORT` of the cluster's head, or `auto`; None: a cluster is started on this machine.
        jobs: how many stages may be submitted at once; None: a thousand.

    Raises MitobenchError if Ray is not installed, or nothing answers at the address.
    """

    def __init__(self, address: str | None = None, jobs: int | None = None) -> None:
        self.capacity = jobs or MAX_SUBMITTED
        self._cluster = Cluster(address)

    def close(self) -> None:
        """Leave the cluster; stop it if it was started here."""
        self._cluster.close()

    @contextmanager
    def running(self, plan: Plan, work: Work, listener: ProgressListener) -> Iterator[Submit]:
        """Gives a function that submits a stage to the cluster, after a check of all of its nodes.

        Raises MitobenchError if the cluster cannot be reached, if its nodes differ from this one or do not share the
        store, or if a stage needs more than any of them has.
        """
        ray = self._cluster.connect()
        ray_nodes.check_run(ray, plan, work)
        session = _Session(ray, self._cluster, work, listener, ray_nodes.Resources.of(ray, plan, work))
        try:
            yield session.submit
        finally:
            session.close()

    def spread(
        self, out: Path, files: Sequence[Path], device: str, function: Callable[[Any], Any], arguments: Sequence[Any]
    ) -> Iterator[tuple[int, Any]]:
        """Calls a function with each argument, as a task with one CPU, and one GPU on `cuda`.

        Args:
            out: a folder that all nodes share.
            files: files and folders that all nodes must see.
            device: `cpu` or `cuda`.
            function: what to call; of a module of mitobench.
            arguments: what to call it with.

        Yields (number of the argument, result) as the tasks end. Raises MitobenchError as `running` does.
        """
        ray = self._cluster.connect()
        ray_nodes.check(ray, out, "--out", (), files)
        task = ray.remote(num_cpus=1, num_gpus=int(device == "cuda"), max_retries=MAX_RETRIES)(function)
        waiting, running = deque(enumerate(arguments)), dict[Any, int]()
        while waiting or running:
            while waiting and len(running) < self.capacity:
                number, argument = waiting.popleft()
                running[task.remote(argument)] = number
            done, _ = ray.wait(list(running), timeout=1.0)
            if not done and self._cluster.silent_for() > HEAD_SECONDS:
                self._cluster.is_lost = True
                raise self._cluster.lost()
            for ref in done:
                yield running.pop(ref), self._result(ray, ref)

    def _result(self, ray: Any, ref: Any) -> Any:
        try:
            return ray.get(ref)
        except ray.exceptions.RayTaskError:
            raise
        except ray.exceptions.RayError as reason:
            return MitobenchError(
                f"A process of the cluster died {1 + MAX_RETRIES} times on one image ({type(reason).__name__}), "
                "possibly because it ran out of memory. Finished images are kept: run the same command again on larger "
                "nodes, or with fewer --jobs."
            )


class _Session:
    """The stages of one run on the cluster."""

    def __init__(
        self, ray: Any, cluster: Cluster, work: Work, listener: ProgressListener, resources: ray_nodes.Resources
    ) -> None:
        self._ray, self._cluster, self._work, self._listener = ray, cluster, work, listener
        self._resources = resources
        self._shared_work = ray.put(work)
        self._board = ray.remote(num_cpus=0, max_restarts=-1)(_Board).remote()
        self._task = ray.remote(max_retries=MAX_RETRIES, retry_exceptions=False)(_run_on_node)
        self._running: dict[str, tuple[Stage, Any, Future[StageResult]]] = {}
        self._started: set[str] = set()
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def submit(self, stage: Stage) -> Future[StageResult]:
        """Submits a stage to the cluster."""
        task = self._task.options(name=stage.label, **self._resources.of_stage(stage))
        ref = task.remote(stage, self._shared_work, self._board, os.getcwd())
        future: Future[StageResult] = Future()
        with self._lock:
            self._running[stage.key] = stage, ref, future
        ref.future().add_done_callback(functools.partial(self._deliver, stage))
        return future

    def close(self) -> None:
        """Cancels what still runs."""
        self._ended.set()
        self._watcher.join()
        if self._cluster.is_lost:
            return
        for _, ref, _ in list(self._running.values()):
            with suppress(Exception):  # it may have ended meanwhile
                self._ray.cancel(ref, force=True)

    def _deliver(self, stage: Stage, done: Future[Any]) -> None:
        """Passes the result of a stage on. Called by Ray, in a thread of its own."""
        with self._lock:
            entry = self._running.pop(stage.key, None)
        if entry is None:  # the head was lost, which ended the stage already
            return
        _, _, future = entry
        self._start(stage)
        try:
            received = done.result()
        except self._ray.exceptions.RayTaskError as reason:
            # an error of mitobench itself: a failing stage returns a result
            future.set_exception(reason.cause if isinstance(reason.cause, MitobenchError) else reason)
        except self._ray.exceptions.RayError as reason:
            how = f"{type(reason).__name__}, after {MAX_RETRIES} retries"
            future.set_result(
                died(stage, self._work, how, "Give its node more memory, or let fewer stages run at once.")
            )
        except BaseException as reason:
            future.set_exception(reason)
        else:
            if isinstance(received, StoreError):
                future.set_exception(received)
            else:
                future.set_result(received)

    def _start(self, stage: Stage) -> None:
        with self._lock:
            new = stage.key not in self._started
            self._started.add(stage.key)
        if new:
            self._listener.started(stage)

    def _watch(self) -> None:
        """Passes progress on, and notices when the head is lost."""
        while not self._ended.wait(PROGRESS_SECONDS):
            if self._cluster.silent_for() > HEAD_SECONDS:
                self._lose()
                return
            with suppress(Exception):  # the board is starting again on another node
                for key, (done, total) in self._ray.get(self._board.take.remote(), timeout=5).items():
                    self._show(key, done, total)

    def _show(self, key: str, done: int, total: int) -> None:
        with self._lock:
            entry = self._running.get(key)
        if entry is not None:
            self._start(entry[0])
            if done:
                self._listener.advanced(entry[0], done, total)

    def _lose(self) -> None:
        self._cluster.is_lost = True
        with self._lock:
            running, self._running = self._running, {}
        for _, _, future in running.values():
            future.set_exception(self._cluster.lost())


class _Board:
    """An actor: the progress of all stages that run on the cluster."""

    def __init__(self) -> None:
        self._steps: dict[str, tuple[int, int]] = {}

    def note(self, key: str, done: int, total: int) -> None:
        """Keeps how far a stage is."""
        self._steps[key] = done, total

    def take(self) -> Mapping[str, tuple[int, int]]:
        """Returns what was noted since the last call."""
        steps, self._steps = self._steps, {}
        return steps


def _run_on_node(stage: Stage, work: Work, board: Any, folder: str) -> StageResult | StoreError:
    """Run a stage on the node that Ray chose."""
    ray_nodes.go_to(folder)
    last = 0.0

    def progress(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last > PROGRESS_SECONDS:
            last = time.monotonic()
            board.note.remote(stage.key, done, total)

    board.note.remote(stage.key, 0, 0)
    try:
        return run_unchanged_stage(stage, work, progress)
    except StoreError as reason:
        return StoreError(f"{reason} (On node {os.uname().nodename}.)")
