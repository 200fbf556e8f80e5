"""What the executors have in common: the interface, the result of a stage, and who hears of its progress."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from mitobench.pipeline.graph import Plan
from mitobench.pipeline.stages.stage import Stage
from mitobench.pipeline.store import Output, Store
from mitobench.pipeline.workspace import Workspace


@dataclass(frozen=True)
class StageResult:
    """How a stage ended.

    Attributes:
        stage: the stage.
        output: its verified output; None if it failed.
        cached: whether the output was already in the store.
        reason: why the stage failed, in one line; None if it did not.
        left_out: whether the stage was not run because a stage that it depends on failed; `reason` is that failure.
        trace: file with the traceback, or the stage's work folder if its process died; removed when the stage succeeds
            in a later run.
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


@dataclass(frozen=True)
class Work:
    """What every stage of a run needs. Can be pickled.

    Attributes:
        store: where outputs are read and written.
        workspace: the frames.
        threads: CPU threads of a stage that calls a plugin's network; the others use one.
        device: `cpu` or `cuda`.
    """

    store: Store
    workspace: Workspace
    threads: int = 1
    device: str = "cpu"

    def threads_of(self, stage: Stage) -> int:
        """Returns the number of CPU threads of a stage: one if it has no device, as it only counts and chooses."""
        return self.threads if "device" in stage.settings else 1


Submit = Callable[[Stage], "Future[StageResult]"]


class Executor(ABC):
    """Where stages run. Use it in a `with` statement: whatever it started is stopped at the end.

    Attributes:
        capacity: how many stages may be submitted at once.
    """

    capacity: int

    def __enter__(self) -> Executor:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop whatever was started; by default, nothing was."""
        return

    @abstractmethod
    def running(self, plan: Plan, work: Work, listener: ProgressListener) -> AbstractContextManager[Submit]:
        """Gives a function that starts a stage of the plan and reports its progress. Stages must end within the block.

        Raises MitobenchError, before any work, if the stages cannot run there.
        """
