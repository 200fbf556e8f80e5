"""What a run shows: the plan, one progress display, the table, and where the files are."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn

import typer
from rich.logging import RichHandler
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from mitobench.atomic import write_whole
from mitobench.cli.terminal import Console, echo
from mitobench.foreign import read_json
from mitobench.foreign.limits import MAX_STATE_BYTES
from mitobench.pipeline.executors import ProgressListener, StageResult
from mitobench.pipeline.stages.job import TRAINING_INFO
from mitobench.report import build, markdown
from mitobench.results import record

if TYPE_CHECKING:
    from mitobench.benchmark import Benchmark
    from mitobench.pipeline.stages.stage import Stage
    from mitobench.report.table import LeaderboardRow, Section

console = Console()


def notify(text: str) -> None:
    """One line to the user, whole however narrow the terminal is: it may hold a path to copy."""
    console.print(escape(text), soft_wrap=True)


def check_out(out: Path) -> None:
    """Whether records can be written, and those that are there be read: better told now than after an hour."""
    probe = out / build.RECORDS / ".writable"
    write_whole(probe, b"")
    probe.unlink()
    for _ in record.read_all(out / build.RECORDS):
        pass


def show_plan(benchmark: Benchmark, name: str = "") -> None:
    """What will be done, what is in the store already, and what cannot be done and why; `name` tells it from others."""
    table = Table(title=escape(": ".join(filter(None, ["Plan", name]))), title_justify="left", box=None, pad_edge=False)
    for column in ("", "stage", "key"):
        table.add_column(column, overflow="fold")
    for stage in benchmark.plan.stages.values():
        there = benchmark.store.has(stage.kind, stage.key)
        table.add_row("cached" if there else "to do", escape(stage.label), stage.key[:10])
    console.print(table)
    todo = sum(not benchmark.store.has(s.kind, s.key) for s in benchmark.plan.stages.values())
    rows = sum(row.problem is None for row in benchmark.plan.rows)
    console.print(
        f"{rows} combination{'s' if rows != 1 else ''}, {len(benchmark.plan.stages)} distinct stages: {todo} to do, "
        f"{len(benchmark.plan.stages) - todo} cached. Profile {escape(benchmark.settings[0].profile)}, "
        f"device {benchmark.request.device}{_processes(benchmark)}, store {escape(str(benchmark.store.root))}."
    )
    _show_problems(benchmark)


def exit_of_plan(benchmarks: Sequence[Benchmark]) -> NoReturn:
    """End a dry run as the run would: exit code 1 where a plugin is broken or no combination can be done."""
    rows = [row for benchmark in benchmarks for row in benchmark.plan.rows]
    broken = any(row.problem and row.problem[0] == "broken" for row in rows)
    raise typer.Exit(1 if broken or all(row.problem for row in rows) else 0)


def _processes(benchmark: Benchmark) -> str:
    return f" in {benchmark.request.processes} processes" if benchmark.request.processes > 1 else ""


def _show_problems(benchmark: Benchmark) -> None:
    for row in benchmark.problems:
        status, reason = row.problem or ("", "")
        console.print(f"[yellow]{status.upper()}[/yellow] {escape(row.combination.title)}: {escape(reason)}")


@contextmanager
def going_on() -> Iterator[None]:
    """What is interrupted in here goes on when it is asked for again: said so, exit code 130."""
    try:
        yield
    except KeyboardInterrupt:
        echo("Interrupted. What is finished is kept: the same command goes on from there.", err=True)
        raise typer.Exit(130) from None


class Display(ProgressListener):
    """One progress display over all stages of a run."""

    def __init__(self, benchmark: Benchmark) -> None:
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[state]}"),
            TimeElapsedColumn(),
            console=console,
        )
        self.total = len(benchmark.plan.stages)
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
        """Show its bar."""
        self.tasks[stage.key] = self.progress.add_task(escape(stage.label), total=None, state="")

    def advanced(self, stage: Stage, done: int, total: int) -> None:
        """Move its bar."""
        state = f"{done}/{total}" if total else f"{done}"
        self.progress.update(self.tasks[stage.key], completed=done, total=total or None, state=state)

    def finished(self, result: StageResult) -> None:
        """Take its bar away and say how it ended; what was cached is not worth a line."""
        task = self.tasks.pop(result.stage.key, None)
        if task is not None:
            self.progress.remove_task(task)
        self.done += 1
        self.progress.update(self.all, completed=self.done, state=f"{self.done}/{self.total}")
        if result.left_out:
            self.progress.console.print(f"[red]left out[/red] {escape(result.stage.label)}, which builds on it")
        elif result.output is None:
            self.progress.console.print(f"[red]FAILED[/red] {escape(result.reason or '')}")
            if result.trace:
                self.progress.console.print(f"       traceback in {escape(str(result.trace))}")
        elif not result.cached:
            self.progress.console.print(
                f"[green]done[/green]   {escape(result.stage.label)}  {result.output.seconds:.1f} s"
            )
            for line in training_info(result.output.folder):
                self.progress.console.print(f"       {escape(line)}")


def training_info(folder: Path) -> list[str]:
    """What a fit said of itself, a line a fact."""
    path = folder / TRAINING_INFO
    told = read_json(path, MAX_STATE_BYTES, "fit's report") if path.is_file() else {}
    return [f"{name}: {markdown.fact(value)}" for name, value in told.items()]


def show_results(benchmarks: Sequence[Benchmark], out: Path) -> None:
    """The leaderboard of everything in `out`, what could not be done, and where the files are."""
    for benchmark in benchmarks:
        _show_problems(benchmark)
    if not any(benchmark.records for benchmark in benchmarks):
        console.print("Nothing could be done, and no record was written.")
        return
    page, sections = build.build(out)
    for section in sections:
        show_section(section)
    notify(f"Records      {out / build.RECORDS}")
    notify(f"Leaderboard  {page}")


def show_section(section: Section) -> None:
    """One section of the leaderboard: a line that names the row, and its numbers below, whole on a narrow terminal."""
    table = Table(
        title=escape(section.title),
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    for column in ("#", "P", "R", "F1 [95 %]", "alone", "oracle", "AP", "s/frame", "seeds"):
        table.add_column(escape(column), justify="right", no_wrap=True)
    names = []
    for number, (rank, row) in enumerate(section.ranked(), 1):
        label = str(rank) if rank else f"({number})"
        names.append(f"{label:>4}  {_name(row)}{_ranks(section, row)}")
        table.add_row(label, *(escape(cell) for cell in _numbers(row)))
    console.print(table)
    for name in names:
        console.print(escape(name))
    console.print(escape(markdown.measured(section)))
    console.print(
        "rank range: what ranks the row may have on other slides, by paired comparisons corrected for their number; ≈: "
        "inside the noise of the best. alone: the detector's F1, unverified; oracle: at the test set's own best "
        "threshold, which ranks nothing."
    )
    for note in section.notes:
        console.print(f"- {escape(note)}")


def _name(row: LeaderboardRow) -> str:
    """The combination, what it was trained on, and where its options came from."""
    record = row.first
    parts = " + ".join(markdown.plugin(record, role) for role in ("estimator", "detector", "verifier", "fuser"))
    options = ", ".join([record.profile, *record.overrides])
    return f"{parts}; trained on {', '.join(record.combination['train_on'])}; {options}"


def _ranks(section: Section, row: LeaderboardRow) -> str:
    """The row's rank range, with the mark of what is inside the noise of the best; nothing where it has no rank."""
    found = section.rank_range(row)
    mark = f" {markdown.MARK}" if row in section.marked else ""
    return f"; rank range {markdown.rank_range(found)}{mark}" if found else ""


def _numbers(row: LeaderboardRow) -> list[str]:
    return [
        markdown.number(row.mean("precision")),
        markdown.number(row.mean("recall")),
        markdown.f1(row) if row.good else "FAILED",
        markdown.number(row.mean("f1", "detector_alone")),
        markdown.number(row.mean("oracle_f1")),
        markdown.number(row.mean("average_precision")),
        markdown.number(row.seconds_a_frame, 2),
        markdown.seeds(row),
    ]
