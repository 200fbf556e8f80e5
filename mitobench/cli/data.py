"""`mitobench data`: look a data folder over, write a synthetic data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mitobench.cli.terminal import Console, echo

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mitobench.datasets.check import Protocol, Report, Row

app = typer.Typer(help="Look a data folder over, or write a synthetic data set.", no_args_is_help=True)


@app.command()
def check(
    folder: Annotated[Path, typer.Argument(help="Holds data sets at any depth.", show_default=False)],
    dataset: Annotated[str | None, typer.Option(help="Look for this data set only.", show_default=False)] = None,
) -> None:
    """Tell what is there, what is missing and what is odd, against the data set's card.

    Exit code 0: usable; 2: something cannot be trusted, or nothing is there.

    Example: mitobench data check ~/data --dataset mitos2014
    """
    from mitobench import discovery
    from mitobench.datasets import available
    from mitobench.datasets import check as checks
    from mitobench.errors import DataError, MitobenchError

    if not folder.is_dir():
        raise DataError(f"{folder}: is no folder. Give the folder that holds the data sets.")
    names = [dataset] if dataset else available(folder)
    if not names:
        known = ", ".join(discovery.names("dataset"))
        raise DataError(f"{folder}: holds no data set at any depth. Looked for {known}.")
    errors = []
    for name in names:
        try:
            _show(checks.check(name, folder))
        except MitobenchError as reason:
            errors.append(str(reason))
    if errors:
        raise DataError("\n".join(errors))


@app.command()
def synth(
    folder: Annotated[Path, typer.Argument(help="Where to write; made if need be.", show_default=False)],
    seed: Annotated[int, typer.Option(help="Another seed draws other slides.")] = 0,
) -> None:
    """Write a synthetic data set in both real layouts: with masks, and with centroids and imposters.

    Example: mitobench data synth ~/synthetic --seed 1
    """
    from rich.progress import Progress

    from mitobench.datasets import synthetic

    with Progress(transient=True) as bar:
        task = bar.add_task("frames")
        synthetic.write(folder, seed=seed, progress=lambda done, total: bar.update(task, completed=done, total=total))
    echo(f"Written to {folder}. Look it over with: mitobench data check {folder}")


def _show(report: Report) -> None:
    """Plain lines and narrow tables, so that a file or a small terminal holds them as well."""
    dataset = report.dataset
    _say(f"{dataset.name}: {dataset.card.title}")
    _say(f"in {dataset.root}: {dataset.coverage or 'complete'}")
    _table("part", report.rows)
    for size in report.sizes:
        _say(f"  {size}")
    for protocol in report.protocols:
        _show_protocol(protocol)
    for note in dataset.card.notes:
        _say(f"note: {note}")
    _say(f"odd: {len(report.odd) or 'nothing'}")
    for line in report.odd:
        _say(f"  {line}")
    _say(f"digest: {dataset.digest()}\n")


def _show_protocol(protocol: Protocol) -> None:
    _say(f"protocol {protocol.name}: {protocol.note}")
    if protocol.missing:
        _say(f"  not here: {protocol.missing}")
    if protocol.problem:
        _say(f"  cannot be used: {protocol.problem}")
    else:
        _table("split", protocol.rows)


def _table(what: str, rows: Iterable[Row]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("", what, "frames", "positive", "mitoses", "imposters", "unlabelled"):
        table.add_column(column, justify="left" if column in ("", what) else "right")
    for row in rows:
        counts = (row.frames, row.with_mitosis, row.mitoses, row.imposters, row.unlabelled)
        table.add_row(f"  {row.scanner}", row.part, *map(str, counts))
    _say(table)


def _say(what: object) -> None:
    Console(markup=False).print(what, soft_wrap=isinstance(what, str))
