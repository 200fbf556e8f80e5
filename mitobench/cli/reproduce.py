"""`mitobench reproduce`: does again what a record says was done."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mitobench.cli.terminal import echo

if TYPE_CHECKING:
    from mitobench.results.record import Record
    from mitobench.results.reproducibility import Reproducibility


def reproduce(
    path: Annotated[Path, typer.Argument(metavar="RECORD", help="A record's .json file.")],
    data: Annotated[
        Path | None,
        typer.Option(envvar="MITOBENCH_DATA", help="Folder that holds its data sets. Synthetic frames need none."),
    ] = None,
    store: Annotated[
        Path | None, typer.Option(help="Where stages' outputs are kept. Default: a new one, so that all is done again.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Keep the new record in records/ of this folder.")] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask, even where it needs more than this machine has.")
    ] = False,
) -> None:
    """Run a record's command again, with its options, data and seed, and compare.

    equal: everything computed is equal to the last bit. within seed noise: the difference of F1 is inside its paired
    interval (95 %), or no greater than the spread over the seeds of the record's series beside it. different:
    it is not, or the record contradicts itself. What changed since is listed.

    Exit code 0: equal or within seed noise; 1: different; 2: it cannot be done here, or the record was edited.

    Example: mitobench reproduce leaderboard/records/RECORD.json --data ~/mitos
    """
    from mitobench.results import record

    recorded = record.read(path)
    if not yes:
        _ask(path, recorded)
    if recorded.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    from mitobench.cli import console
    from mitobench.reproduce import reproduce as again

    try:
        found = again(path, data=data, store=store, out=out, show_progress=console.Display, notify=console.notify)
    except KeyboardInterrupt:
        echo("Interrupted. With --store, what is finished is kept.", err=True)
        raise typer.Exit(130) from None
    for line in _told(found):
        echo(line)
    if found.verdict == "different":
        raise typer.Exit(1)


def _ask(path: Path, recorded: Record) -> None:
    """Show what it will use. Where that is more than this machine has, ask; raises MitobenchError where nobody can."""
    from mitobench.errors import MitobenchError
    from mitobench.foreign import printable
    from mitobench.results.demands import demands, excessive

    for line in demands(recorded):
        echo(line)
    too_much = list(excessive(recorded))
    if not too_much:
        return
    if not sys.stdin.isatty():
        raise MitobenchError(f"{path}: needs {' '.join(too_much)} Give --yes to do it all the same.")
    for line in too_much:
        echo(f"warning: {line}", err=True)
    typer.confirm(printable(f"{path} needs more than this machine has. Do it all the same?"), abort=True)


def _told(found: Reproducibility) -> Iterator[str]:
    yield from found.reasons
    if found.again is None:
        yield "Nothing was run."
    else:
        yield from _numbers(found)
        yield from (f"changed: {line}" for line in found.changed)
        if found.differing and not found.changed:
            yield "Nothing that a record names has changed: on the machine it was made on, it would be equal."
    yield f"Verdict: {found.verdict}"


def _numbers(found: Reproducibility) -> Iterator[str]:
    assert found.again is not None
    for name in ("f1", "precision", "recall"):
        then, now = (getattr(record.test, name, None) for record in (found.recorded, found.again))
        yield f"{name:10} {_number(then)} recorded, {_number(now)} now"
    if found.differing:
        yield f"Not equal: {', '.join(found.differing)}."
    if found.differing and found.difference:
        low, high = found.difference.low, found.difference.high
        yield f"F1 differs by {found.difference.delta:+.4f}, paired 95 % interval [{low:+.4f}, {high:+.4f}]."
    if found.differing and found.spread is not None:
        yield f"Over the seeds of its series F1 spreads by {found.spread:.4f}."
    for record, when in ((found.recorded, "recorded"), (found.again, "now")):
        if record.status != "ok":
            yield f"FAILED {when}: {record.reason}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
