"""`mitobench data`: checks a data folder, and writes the synthetic data sets."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mitobench.cli.terminal import Console, echo

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mitobench.datasets.check import DatasetReport, PartCounts, ProtocolCheck

app = typer.Typer(help="Check a data folder, or write the synthetic data sets.", no_args_is_help=True)


@app.command()
def check(
    folder: Annotated[Path, typer.Argument(help="Folder that holds data sets, at any depth.", show_default=False)],
    dataset: Annotated[
        str | None, typer.Option(help="Check only this data set. Default: all that are found.", show_default=False)
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Compute the digests of all files anew, also of unchanged ones.")
    ] = False,
) -> None:
    """Check copies of data sets against their cards: show what they hold, what is missing and what looks wrong.

    Digests of files are remembered while their inode, size and times stay the same. --verify computes them again.

    Exit code 0: usable, even if incomplete; 2: a file is broken, or no data set was found.

    Example: mitobench data check ~/data --dataset mitos2014
    """
    from mitobench import discovery
    from mitobench.datasets import available
    from mitobench.datasets import check as checks
    from mitobench.errors import DataError, MitobenchError
    from mitobench.file_cache import computing_anew

    if not folder.is_dir():
        raise DataError(f"{folder}: is not a directory. Give the folder that holds the data sets.")
    names = [dataset] if dataset else available(folder)
    if not names:
        known = ", ".join(discovery.names("dataset"))
        raise DataError(
            f"{folder}: holds no data set at any depth. Looked for: {known}. "
            "Give another folder, or run `mitobench data synth`."
        )
    errors = []
    with computing_anew() if verify else nullcontext():
        for name in names:
            try:
                _show(checks.check(name, folder))
            except MitobenchError as reason:
                errors.append(str(reason))
    if errors:
        raise DataError("\n".join(errors))


@app.command()
def synth(
    folder: Annotated[
        Path,
        typer.Argument(
            help="Folder to write; created if needed. Must be empty or hold synthetic data sets.", show_default=False
        ),
    ],
    seed: Annotated[int, typer.Option(help="Seed of all randomness. Another seed gives other slides.")] = 0,
) -> None:
    """Write two synthetic data sets in the layouts of the real ones: `synthetic` and `synthetic-centroids`.

    `synthetic` has masks of the mitoses. `synthetic-centroids` has their centroids, and imposters: hard negatives,
    which are annotated figures that are not mitoses.

    Example: mitobench data synth ~/synthetic --seed 1
    """
    from rich.progress import Progress

    from mitobench.datasets import synthetic

    with Progress(transient=True) as bar:
        task = bar.add_task("frames")
        synthetic.write(folder, seed=seed, progress=lambda done, total: bar.update(task, completed=done, total=total))
    echo(f"Written to {folder}. Check it with: mitobench data check {folder}")


def _show(report: DatasetReport) -> None:
    """Prints plain lines and narrow tables, which also fit a file or a small terminal."""
    dataset = report.dataset
    _print(f"{dataset.name}: {dataset.card.title}")
    _print(f"in {dataset.root}: {dataset.coverage or 'complete'}")
    _table("part", report.rows)
    for size in report.sizes:
        _print(f"  {size}")
    for protocol in report.protocols:
        _show_protocol(protocol)
    for remark in dataset.remarks:
        _print(f"remark: {remark}")
    for note in dataset.card.notes:
        _print(f"note: {note}")
    _print(f"anomalies: {len(report.anomalies) or 'none'}")
    for line in report.anomalies:
        _print(f"  {line}")
    _print(f"digest: {dataset.digest()}\n")


def _show_protocol(protocol: ProtocolCheck) -> None:
    _print(f"protocol {protocol.name}: {protocol.note}")
    if protocol.missing:
        _print(f"  missing: {protocol.missing}")
    if protocol.problem:
        _print(f"  cannot be used: {protocol.problem}")
    else:
        _table("split", protocol.rows)


def _table(what: str, rows: Iterable[PartCounts]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("", what, "frames", "positive", "mitoses", "imposters", "unlabelled"):
        table.add_column(column, justify="left" if column in ("", what) else "right")
    for row in rows:
        counts = (row.frames, row.with_mitosis, row.mitoses, row.imposters, row.unlabelled)
        table.add_row(f"  {row.scanner}", row.part, *map(str, counts))
    _print(table)


def _print(content: object) -> None:
    Console(markup=False).print(content, soft_wrap=isinstance(content, str))
