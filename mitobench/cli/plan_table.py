"""Prints a plan: its stages, how long those that are missing will take, and what cannot run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

import typer
from rich.markup import escape
from rich.table import Table

from mitobench.cli.console import MAX_LINES, console, show_problems, show_rest
from mitobench.errors import counted, listed
from mitobench.pipeline import estimate

if TYPE_CHECKING:
    from mitobench.benchmark import Benchmark
    from mitobench.pipeline.estimate import StageTime

MAX_NAMES = 5  # of plugins that have never run


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
    show_rest(stages, every, "stages")
    rows = max(sum(row.problem is None for row in one.plan.rows) for one in benchmarks)
    console.print(
        f"{counted(rows, 'combination')}{f' in {len(benchmarks)} folds' if of_folds else ''}, "
        f"{counted(len(stages), 'distinct stage')}: {len(missing)} to run, "
        f"{len(stages) - len(missing)} cached. Profile {escape(benchmark.settings[0].profile)}, "
        f"device {benchmark.request.device}{_processes(benchmark)}, store {escape(str(benchmark.store.root))}."
    )
    if dry_run and missing:
        _show_times(estimate.estimate(missing, benchmark.store), every)
    show_problems(benchmarks, every)


def _show_times(times: Sequence[StageTime], every: bool) -> None:
    """Prints how long the missing stages will take, from earlier ones; first of all, which have never run here."""
    console.print(escape(_time_of_all(times)), soft_wrap=True)
    if all(time.n_unknown for time in times):
        return
    for time in times if every else times[:MAX_LINES]:
        console.print(escape(f"  {_time_line(time)}"), soft_wrap=True)
    show_rest(times, every, "plugins")


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
    broken = any(benchmark.plan.has_broken for benchmark in benchmarks)
    if not rows:
        console.print("Nothing is measured here.")
    raise typer.Exit(1 if broken or (rows and all(row.problem for row in rows)) else 0)


def _processes(benchmark: Benchmark) -> str:
    return f" in {benchmark.request.processes} processes" if benchmark.request.processes > 1 else ""
