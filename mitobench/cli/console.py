"""The terminal of all commands: lines, lists that are cut, and what any run says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.markup import escape

from mitobench.cli.options import check_writable
from mitobench.cli.terminal import Console, echo
from mitobench.report import build
from mitobench.results import record

if TYPE_CHECKING:
    from mitobench.benchmark import Benchmark

console = Console()
MAX_LINES = 100  # of a list that grows with the number of combinations


def notify(text: str) -> None:
    """Prints one line without wrapping it, so that a path in it can be copied."""
    console.print(escape(text), soft_wrap=True)


def check_out(out: Path) -> None:
    """Checks that records can be written and that existing ones can be read, before any data is read.

    Raises MitobenchError for a folder that cannot be written, and RecordError for a record that cannot be read.
    """
    check_writable(out, build.RECORDS)
    for _ in record.read_all(out / build.RECORDS):
        pass


@contextmanager
def resumable() -> Iterator[None]:
    """On an interrupt, says that the same command resumes the work, and exits with code 130."""
    try:
        yield
    except KeyboardInterrupt:
        echo("Interrupted. Finished stages are kept. Run the same command again to resume.", err=True)
        raise typer.Exit(130) from None


def show_problems(benchmarks: Sequence[Benchmark], every: bool = False) -> None:
    """Prints what cannot run and why; what cannot run in several folds, once."""
    found = ((row.combination.title, *(row.problem or ("", ""))) for one in benchmarks for row in one.problems)
    problems = list(dict.fromkeys(found))
    for title, status, reason in problems if every else problems[:MAX_LINES]:
        console.print(f"[yellow]{status.upper()}[/yellow] {escape(title)}: {escape(reason)}", soft_wrap=True)
    show_rest(problems, every, "combinations that cannot run")


def show_unrecorded(benchmarks: Sequence[Benchmark]) -> None:
    """Says that no record was written of the combinations that cannot run, if there are any."""
    if not any(benchmark.records for benchmark in benchmarks):
        console.print("No combination could run, and no record was written.")
    elif any(benchmark.problems for benchmark in benchmarks):
        console.print("No record was written of combinations that cannot run.")


def show_rest(shown: Sequence[object], every: bool, what: str) -> None:
    """Says how many lines of a list were left out, if any."""
    if not every and len(shown) > MAX_LINES:
        console.print(f"... and {len(shown) - MAX_LINES:,} more {what}; --list-all shows them.")
