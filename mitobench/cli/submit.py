"""`mitobench submit`: writes the files that a contest's organisers score."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mitobench.cli.terminal import echo


def submit(
    path: Annotated[
        Path, typer.Argument(metavar="RECORD", help="The .json file of a record with protocol `official`.")
    ],
    data: Annotated[Path, typer.Option(envvar="MITOBENCH_DATA", help="Folder that holds the data set, at any depth.")],
    out: Annotated[Path, typer.Option(help="Folder to write. An earlier submission in it is replaced.")],
    dataset: Annotated[str, typer.Option(help="Data set of the contest.")] = "mitos2014",
) -> None:
    """Write a contest submission: one CSV per test frame with the record's detections at or above its threshold.

    Each line is x,y,confidence. Every test frame of the record's scanners gets a file, which is empty if nothing was
    found.

    Example: mitobench submit --dataset mitos2014 RECORD.json --data ~/mitos --out submission
    """
    from mitobench.results.submission import submit as write

    written = write(path, dataset, data, out)
    echo(f"{written.detections} detections on {len(written.frames)} test frames, one file per frame, in {out}.")
    if written.missing:
        echo(f"warning: {written.missing}; the organisers score all test frames.", err=True)
