"""What a run prints: the plan, the progress display, the results, and the paths of the files."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn

import typer
from rich.logging import RichHandler
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from mitobench import validation
from mitobench.atomic import write_atomic
from mitobench.cli.terminal import Console, echo, time_left
from mitobench.errors import counted, listed
from mitobench.foreign import read_json
from mitobench.foreign.limits import MAX_STATE_BYTES
from mitobench.pipeline import estimate
from mitobench.pipeline.executors import ProgressListener, StageResult
from mitobench.pipeline.stages.job import TRAINING_INFO
from mitobench.report import build, case_counts, markdown
from mitobench.report.row import ROLES, UNUSED
from mitobench.report.table import unused_score
from mitobench.results import record
from mitobench.results.current_names import current_overrides

if TYPE_CHECKING:
    from mitobench.benchmark import Benchmark
    from mitobench.pipeline.estimate import StageTime
    from mitobench.pipeline.stages.stage import Stage
    from mitobench.report.matrix import Matrix
    from mitobench.report.table import LeaderboardRow, Section
    from mitobench.validation import ValidationRow

DAY_SECONDS = 86_400.0

console = Console()

MAX_LINES = 100  # of a list that grows with the number of combinations
MAX_ROWS, BEST_ROWS = 12, 3  # of a section with more rows, a run prints its own and the best ones
MAX_NAMES = 5  # of plugins that have never run


def notify(text: str) -> None:
    """Prints one line without wrapping it, so that a path in it can be copied."""
    console.print(escape(text), soft_wrap=True)


def check_out(out: Path) -> None:
    """Checks that records can be written and that existing ones can be read, before any work is done."""
    probe = out / build.RECORDS / ".writable"
    write_atomic(probe, b"")
    probe.unlink()
    for _ in record.read_all(out / build.RECORDS):
        pass


def show_plan(benchmarks: Sequence[Benchmark], name: str = "", *, dry_run: bool = False, every: bool = False) -> None:
    """Prints which stages will run, which are cached, and what cannot run and why.

    Args:
        benchmarks: the plan, or those of the folds of a protocol, whose stages are listed once.
        name: added to the title.
        dry_run: also print how long the missing stages will take.
        every: print every line of a long list.
    """
    table = Table(title=escape(": ".join(filter(None, ["Plan", name]))), title_justify="left", box=None, pad_edge=False)
    of_folds = ["fold"] if len(benchmarks) > 1 else []
    for column in ("", "stage", *of_folds, "key"):
        table.add_column(column, overflow="fold")
    benchmark = benchmarks[0]
    folds: defaultdict[str, list[int]] = defaultdict(list)
    for number, one in enumerate(benchmarks, 1):
        for key in one.plan.stages:
            folds[key].append(number)
    stages = list({key: stage for one in benchmarks for key, stage in one.plan.stages.items()}.values())
    missing = [stage for stage in stages if not benchmark.store.has(stage.kind, stage.key)]
    to_run = {stage.key for stage in missing}
    for stage in stages if every else stages[:MAX_LINES]:
        fold = [" ".join(map(str, folds[stage.key])) for _ in of_folds]
        table.add_row("to run" if stage.key in to_run else "cached", escape(stage.label), *fold, stage.key[:10])
    console.print(table)
    _show_rest(stages, every, "stages")
    rows = max(sum(row.problem is None for row in one.plan.rows) for one in benchmarks)
    console.print(
        f"{counted(rows, 'combination')}{f' in {len(benchmarks)} folds' if of_folds else ''}, "
        f"{counted(len(stages), 'distinct stage')}: {len(missing)} to run, "
        f"{len(stages) - len(missing)} cached. Profile {escape(benchmark.settings[0].profile)}, "
        f"device {benchmark.request.device}{_processes(benchmark)}, store {escape(str(benchmark.store.root))}."
    )
    if dry_run and missing:
        _show_times(estimate.estimate(missing, benchmark.store), every)
    _show_problems(benchmarks, every)


def _show_rest(shown: Sequence[object], every: bool, what: str) -> None:
    if not every and len(shown) > MAX_LINES:
        console.print(f"... and {len(shown) - MAX_LINES:,} more {what}; --list-all shows them.")


def _show_times(times: Sequence[StageTime], every: bool) -> None:
    """Prints how long the missing stages will take, from earlier ones; first of all, which have never run here."""
    console.print(escape(_time_of_all(times)), soft_wrap=True)
    if all(time.n_unknown for time in times):
        return
    for time in times if every else times[:MAX_LINES]:
        console.print(escape(f"  {_time_line(time)}"), soft_wrap=True)
    _show_rest(times, every, "plugins")


def _time_of_all(times: Sequence[StageTime]) -> str:
    """One sentence on the time of all missing stages; it is unknown if any of them has never run here."""
    known = [time for time in times if not time.n_unknown]
    total, low, high = (sum(getattr(time, of) for time in known) for of in ("seconds", "low", "high"))
    about = (
        f"about {duration(total)}, from {duration(low)} to {duration(high)} by the fastest and the slowest earlier "
        "stages in this store"
    )
    unknown = sorted((time for time in times if time.n_unknown), key=lambda time: not time.kind.startswith("fit-"))
    if not unknown:
        return f"Time of one stage after another: {about}."
    names = listed([f"{time.kind} {time.plugin}".strip() for time in unknown], MAX_NAMES)
    n_unknown = sum(time.n_unknown for time in unknown)
    of = counted(sum(time.n_stages for time in times), "stage")
    others = f"; the others one after another: {about}" if known else ""
    return (
        f"Time: unknown; {n_unknown:,} of {of} {'has' if n_unknown == 1 else 'have'} never run here ({names}){others}."
    )


def _time_line(time: StageTime) -> str:
    what = f"{time.kind} {time.plugin}: {time.n_stages:,} to run"
    if not time.n_earlier:
        return f"{what}, time unknown: has never run here"
    scaled = f", scaled by {time.scaled_by}" if time.scaled_by else ", not scaled"
    return f"{what}, {duration(time.seconds)}, from {time.n_earlier:,} earlier of this plugin{scaled}"


def duration(seconds: float) -> str:
    """Returns seconds in the unit that reads best: `40 s`, `12 min`, `3.2 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"


def exit_of_plan(benchmarks: Sequence[Benchmark]) -> NoReturn:
    """Ends a dry run with the run's exit code: 1 if a plugin is broken or every planned combination is impossible."""
    rows = [row for benchmark in benchmarks for row in benchmark.plan.rows]
    broken = any(row.problem and row.problem[0] == "broken" for row in rows)
    if not rows:
        console.print("Nothing is measured here.")
    raise typer.Exit(1 if broken or (rows and all(row.problem for row in rows)) else 0)


def _processes(benchmark: Benchmark) -> str:
    return f" in {benchmark.request.processes} processes" if benchmark.request.processes > 1 else ""


def _show_problems(benchmarks: Sequence[Benchmark], every: bool = False) -> None:
    """Prints what cannot run and why; what cannot run in several folds, once."""
    found = ((row.combination.title, *(row.problem or ("", ""))) for one in benchmarks for row in one.problems)
    problems = list(dict.fromkeys(found))
    for title, status, reason in problems if every else problems[:MAX_LINES]:
        console.print(f"[yellow]{status.upper()}[/yellow] {escape(title)}: {escape(reason)}")
    _show_rest(problems, every, "combinations that cannot run")


@contextmanager
def resumable() -> Iterator[None]:
    """On an interrupt, says that the same command resumes the work, and exits with code 130."""
    try:
        yield
    except KeyboardInterrupt:
        echo("Interrupted. Finished stages are kept. Run the same command again to resume.", err=True)
        raise typer.Exit(130) from None


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
            self.progress.console.print(
                f"[red]skipped[/red] {escape(result.stage.label)}, which depends on a failed stage"
            )
        elif result.output is None:
            self.progress.console.print(f"[red]FAILED[/red] {escape(result.reason or '')}")
            if result.trace:
                self.progress.console.print(f"       log: {escape(str(result.trace))}")
        elif not result.cached:
            self.progress.console.print(
                f"[green]done[/green]   {escape(result.stage.label)}  {result.output.seconds:.1f} s"
            )
            for line in training_info(result.output.folder):
                self.progress.console.print(f"       {escape(line)}")


def training_info(folder: Path) -> list[str]:
    """Reads the training information that a fit saved; returns one line per value."""
    path = folder / TRAINING_INFO
    info = read_json(path, MAX_STATE_BYTES, "training information") if path.is_file() else {}
    return [f"{name}: {markdown.fact(value)}" for name, value in info.items()]


def show_results(benchmarks: Sequence[Benchmark], out: Path) -> None:
    """Prints what could not run, the sections of the leaderboard in `out` with rows of this run, and where all are."""
    _show_problems(benchmarks)
    if not any(benchmark.records for benchmark in benchmarks):
        console.print("No combination could run, and no record was written.")
        return
    page, sections = build.build(out)
    files = {
        path.relative_to(out / build.RECORDS).as_posix() for benchmark in benchmarks for path, _ in benchmark.records
    }
    others = 0
    for section in sections:
        rows = [row for row in section.rows if any(files & {*section.files_of(one)} for one in row.records)]
        if rows:
            show_section(section, rows)
        others += not rows
    show_legend()
    if others:
        notify(f"{counted(others, 'other section')} of this leaderboard: mitobench leaderboard show {out}")
    notify(f"Records      {out / build.RECORDS}")
    notify(f"Leaderboard  {page}")


def show_matrix(matrix: Matrix) -> None:
    """Prints the F1 of each pair of what was trained on (lines) and tested on (columns)."""
    table = Table(
        title=escape(f"{matrix.title}: F1, trained on one {matrix.kind} (lines), tested on each (columns)"),
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    table.add_column("trained on", overflow="fold")
    for name in (*matrix.names, "loss"):
        table.add_column(escape(name), justify="right", overflow="fold")
    for trained in matrix.names:
        scores = [markdown.number(matrix.f1.get((trained, tested))) for tested in matrix.names]
        table.add_row(escape(trained), *scores, markdown.number(matrix.loss(trained)))
    console.print(table)
    for (trained, _), reason in matrix.failed.items():
        console.print(f"[red]FAILED[/red] {escape(trained)}: {escape(reason)}")


def show_validation(benchmarks: Sequence[Benchmark], rows: Sequence[ValidationRow]) -> None:
    """Prints validation scores, best first, and for each data set the best setting as `run` takes it."""
    _show_problems(benchmarks)
    for dataset in dict.fromkeys(row.dataset for row in rows):
        shown = [row for row in rows if row.dataset == dataset]
        table = Table(
            title=escape(f"Validation, {dataset} (thresholds chosen on the same frames)"),
            title_justify="left",
            box=None,
            pad_edge=False,
        )
        for column in ("#", "F1", "lowest to highest", "AP", "P", "R", "threshold", "seeds"):
            table.add_column(column, justify="right", no_wrap=True)
        names = []
        for number, row in enumerate(shown, 1):
            table.add_row(str(number), *map(escape, _validation_cells(row)))
            names.append(f"{number:>4}  {'; '.join(filter(None, [row.title, ', '.join(row.sets)]))}")
        console.print(table)
        for name in names:
            notify(name)
    for reason in dict.fromkeys(reason for row in rows for reason in row.reasons):
        console.print(f"[red]FAILED[/red] {escape(reason)}")
    for row in validation.best(rows):
        if sum(other.dataset == row.dataset for other in rows) > 1:
            notify(f"Best on validation of {row.dataset}:")
            notify(f"  {validation.arguments(row)}")
    console.print(escape(validation.NOTE))


def _validation_cells(row: ValidationRow) -> list[str]:
    """F1, its spread over seeds, average precision, precision, recall, threshold and seeds of a row."""
    spread = f"{markdown.number(row.spread[0])} to {markdown.number(row.spread[1])}" if row.spread else ""
    threshold = row.mean("threshold") if len(row.seeds) == 1 else None
    return [
        "FAILED" if row.reasons else markdown.number(row.mean("f1")),
        spread,
        markdown.number(row.mean("average_precision")),
        markdown.number(row.mean("precision")),
        markdown.number(row.mean("recall")),
        "" if len(row.seeds) > 1 else markdown.number(threshold, 4),
        " ".join(dict.fromkeys(str(seed.seed) for seed in row.seeds)) + _in_folds(row),
    ]


def _in_folds(row: ValidationRow) -> str:
    folds = {seed.fold for seed in row.seeds}
    return f" ({len(folds)} folds)" if len(folds) > 1 else ""


def show_sections(sections: Sequence[Section]) -> None:
    """Prints all sections of a leaderboard."""
    for section in sections:
        show_section(section)
    if sections:
        show_legend()


def show_section(section: Section, of_run: Collection[LeaderboardRow] | None = None) -> None:
    """Prints one section of the leaderboard: a table of numbers, and below it the names of the rows.

    `of_run`: rows of a run; of a section with many rows these and the best ones are printed. None: all.
    """
    table = Table(
        title=escape(section.title),
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    for column in ("#", "P", "R", "F1 [95 %]", "alone", "oracle", "AP", "s/frame", "seeds"):
        table.add_column(escape(column), justify="right", no_wrap=True)
    names = []
    shown = _rows(section, of_run)
    for number, rank, row in shown:
        label = str(rank) if rank else f"({number})"
        names.append(f"{label:>4}  {_name(row)}{_ranks(section, row)}")
        table.add_row(label, *(escape(cell) for cell in _numbers(row)))
    console.print(table)
    for name in names:
        console.print(escape(name))
    if len(section.rows) > len(shown):
        rest = counted(len(section.rows) - len(shown), "more row")
        console.print(escape(f"... and {rest}, in the page {section.name}.md."))
    console.print(escape(markdown.measured(section)))
    best_count = case_counts.of_best(section)
    if best_count is not None:
        console.print(escape(f"The count of rank {best_count[0]}: {case_counts.sentence(best_count[1])}."))
    for note in section.notes:
        console.print(f"- {escape(note)}")


def show_legend() -> None:
    """Prints what the columns of `show_section` mean."""
    console.print(
        "rank range: ranks that the row may have on other slides, by paired comparisons corrected for their number. "
        "≈: inside the noise of the best. alone: F1 of the detector without verification. oracle: F1 at the best "
        "threshold on the test set itself, never used to rank. –: not defined, as AP and oracle are for a sum over "
        "folds. seeds: the numbers of the seeds."
    )


def _rows(section: Section, of_run: Collection[LeaderboardRow] | None) -> list[tuple[int, int | None, LeaderboardRow]]:
    """The rows to print with their place and rank: all of a short section, otherwise the best and those of a run."""
    rows = [(number, rank, row) for number, (rank, row) in enumerate(section.ranked(), 1)]
    if of_run is not None and len(rows) > MAX_ROWS:
        rows = [entry for entry in rows if entry[0] <= BEST_ROWS or entry[2] in of_run]
    return rows[:MAX_LINES]


def _name(row: LeaderboardRow) -> str:
    """The row's combination, training data sets, profile and overrides, and whether one of two scores is unused."""
    record = row.first
    parts = [markdown.plugin(record, role) for role in ROLES if record.combination[role] != UNUSED]
    options = ", ".join([record.profile, *current_overrides(record)])
    trained = f"trained on {', '.join(record.combination['train_on'])}"
    return "; ".join(filter(None, [" + ".join(parts), trained, options, unused_score(row)]))


def _ranks(section: Section, row: LeaderboardRow) -> str:
    """The row's rank range, marked if it is inside the noise of the best; empty if the row has no rank."""
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
