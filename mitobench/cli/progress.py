"""Shows the progress of the stages of a run."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from rich.logging import RichHandler
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeElapsedColumn

from mitobench.cli.console import console
from mitobench.cli.terminal import time_left
from mitobench.foreign import read_json
from mitobench.foreign.limits import MAX_STATE_BYTES
from mitobench.pipeline.executors import ProgressListener, StageResult
from mitobench.pipeline.saved_files import TRAINING_INFO
from mitobench.report import markdown

if TYPE_CHECKING:
    from mitobench.benchmark import Benchmark
    from mitobench.pipeline.stages.stage import Stage

DAY_SECONDS = 86_400.0


class _TimeLeft(ProgressColumn):
    """Time left, if the stages that are missing take as long as those that ended: the same on a cluster as here."""

    def render(self, task: Task) -> str:
        """Returns the text of a bar; empty when it is full."""
        return "" if task.finished else time_left(task.time_remaining)


class Display(ProgressListener):
    """Shows the progress of all stages of a run."""

    def __init__(self, benchmarks: Sequence[Benchmark]) -> None:
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[state]}"),
            TimeElapsedColumn(),
            _TimeLeft(),
            console=console,
            speed_estimate_period=DAY_SECONDS,  # stages may take hours
        )
        self.total = len({key for benchmark in benchmarks for key in benchmark.plan.stages})
        self.all = self.progress.add_task("All stages", total=self.total, state="")
        self.tasks: dict[str, TaskID] = {}
        self.done = 0

    def __enter__(self) -> Display:
        self.handler = RichHandler(console=console, show_path=False, show_time=False, markup=False)
        logging.getLogger("mitobench").addHandler(self.handler)
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()
        logging.getLogger("mitobench").removeHandler(self.handler)

    def started(self, stage: Stage) -> None:
        """Adds a progress bar for the stage."""
        self.tasks[stage.key] = self.progress.add_task(escape(stage.label), total=None, state="")

    def advanced(self, stage: Stage, done: int, total: int) -> None:
        """Updates the stage's progress bar."""
        state = f"{done}/{total}" if total else f"{done}"
        self.progress.update(self.tasks[stage.key], completed=done, total=total or None, state=state)

    def finished(self, result: StageResult) -> None:
        """Removes the stage's progress bar and prints how the stage ended, unless it was cached."""
        task = self.tasks.pop(result.stage.key, None)
        if task is not None:
            self.progress.remove_task(task)
        self.done += 1
        self.progress.update(self.all, completed=self.done, state=f"{self.done}/{self.total}")
        if result.left_out:
            self._print(f"[red]skipped[/red] {escape(result.stage.label)}, which depends on a failed stage")
        elif result.output is None:
            self._print(f"[red]FAILED[/red] {escape(result.reason or '')}")
            if result.trace:
                self._print(f"       log: {escape(str(result.trace))}")
        elif not result.cached:
            self._print(f"[green]done[/green]   {escape(result.stage.label)}  {result.output.seconds:.1f} s")
            for line in training_info(result.output.folder):
                self._print(f"       {escape(line)}")

    def _print(self, line: str) -> None:
        """Prints one line without wrapping it, so that a path in it can be copied."""
        self.progress.console.print(line, soft_wrap=True)


def training_info(folder: Path) -> list[str]:
    """Reads the training information that a fit saved; returns one line per value."""
    path = folder / TRAINING_INFO
    info = read_json(path, MAX_STATE_BYTES, "training information") if path.is_file() else {}
    return [f"{name}: {markdown.fact(value)}" for name, value in info.items()]
