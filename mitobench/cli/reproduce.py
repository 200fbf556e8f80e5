"""`mitobench reproduce`: runs a record again and compares the results."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mitobench.cli.options import AllowDownload, AllowExternal, Executor, Jobs, allow, check_writable, hide_gpus
from mitobench.cli.terminal import echo

if TYPE_CHECKING:
    from mitobench.results.record import Record
    from mitobench.results.reproducibility import Reproducibility


def reproduce(
    path: Annotated[Path, typer.Argument(metavar="RECORD", help="A record (.json or .json.gz).")],
    data: Annotated[
        Path | None,
        typer.Option(
            envvar="MITOBENCH_DATA",
            help="Folder that holds the record's data sets, at any depth. Not needed for synthetic frames.",
        ),
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option(
            help="Folder in which outputs of stages are kept and reused. Default: an empty one, so all stages run."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the new record to records/ in this folder.")] = None,
    yes: Annotated[
        bool,
        typer.Option("--yes", "-y", help="Do not ask for confirmation if the record needs more than this machine has."),
    ] = False,
    jobs: Jobs = None,
    executor: Executor = None,
    allow_external: AllowExternal = False,
    allow_download: AllowDownload = False,
) -> None:
    """Run a record again with its own options, data and seed, and compare the results.

    The verdict is one of: equal (all results are identical to the last bit); within seed noise (the 95 % interval of
    the difference in F1 contains 0, or the difference is not larger than between the seeds of the record's series in
    the same folder); different (anything else, or the record contradicts itself). Also lists what has changed since
    the record was made.

    A record can name programs (`external:`) and hubs. They are shown first, and used only with --allow-external and
    --allow-download.

    Exit code 0: equal or within seed noise; 1: different; 2: it cannot run here, or the record or its detections were
    edited, renamed or damaged.

    Example: mitobench reproduce leaderboard/records/RECORD.json --data ~/mitos
    """
    from mitobench.report import build
    from mitobench.results import record

    if out is not None:
        check_writable(out, build.RECORDS)
    recorded = record.read(path)
    if not yes:
        _ask(path, recorded)
    hide_gpus(recorded.device)
    from mitobench.cli import console, progress
    from mitobench.pipeline.executors import executor_of
    from mitobench.reproduce import reproduce as again

    try:
        with executor_of(executor, jobs) as where:
            found = again(
                path,
                data=data,
                store=store,
                out=out,
                executor=where,
                allow=allow(allow_external, allow_download),
                show_progress=progress.Display,
                notify=console.notify,
            )
    except KeyboardInterrupt:
        echo("Interrupted. Finished stages are kept only with --store.", err=True)
        raise typer.Exit(130) from None
    for line in _report(found):
        echo(line)
    if found.verdict == "different":
        raise typer.Exit(1)


def _ask(path: Path, recorded: Record) -> None:
    """Prints what the record needs, and asks for confirmation if that is more than this machine has.

    Raises MitobenchError if confirmation is needed and there is no terminal to ask on.
    """
    from mitobench.errors import MitobenchError
    from mitobench.foreign import printable
    from mitobench.results.resource_estimate import excessive, resource_lines

    for line in resource_lines(recorded):
        echo(line)
    too_much = list(excessive(recorded))
    if not too_much:
        return
    if not sys.stdin.isatty():
        raise MitobenchError(f"{path}: needs {' '.join(too_much)} Give --yes to run it anyway.")
    for line in too_much:
        echo(f"warning: {line}", err=True)
    typer.confirm(printable(f"{path} needs more than this machine has. Run it anyway?"), abort=True)


def _report(found: Reproducibility) -> Iterator[str]:
    yield from found.reasons
    if found.again is None:
        yield "Nothing was run."
    else:
        yield from _numbers(found)
        yield from (f"changed: {line}" for line in found.changed)
        if found.differing and not found.changed:
            yield "Nothing that the record names has changed. On the original machine the results would be equal."
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
        yield f"Difference in F1: {found.difference.delta:+.4f}, paired 95 % interval [{low:+.4f}, {high:+.4f}]."
    if found.differing and found.spread is not None:
        yield f"Spread of F1 between the seeds of its series: {found.spread:.4f}."
    for record, when in ((found.recorded, "recorded"), (found.again, "now")):
        if record.status != "ok":
            yield f"FAILED {when}: {record.reason}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
