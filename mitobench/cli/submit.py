"""`mitobench submit`: what a contest's organisers score."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mitobench.cli.terminal import echo


def submit(
    path: Annotated[Path, typer.Argument(metavar="RECORD", help="The .json file of a record of the official test.")],
    data: Annotated[Path, typer.Option(envvar="MITOBENCH_DATA", help="Folder that holds the data set, at any depth.")],
    out: Annotated[
        Path, typer.Option(help="Folder of the files; replaced whole where it holds an earlier submission.")
    ],
    dataset: Annotated[str, typer.Option(help="Data set whose official test it is.")] = "mitos2014",
) -> None:
    """Write one CSV file a test frame, x,y,confidence, of a record's detections at or above its threshold.

    Every test frame of the scanners that the record was made on gets a file, an empty one where nothing is found.

    Example: mitobench submit --dataset mitos2014 RECORD.json --data ~/mitos --out submission
    """
    from mitobench.results.submission import submit as write

    written = write(path, dataset, data, out)
    echo(f"{written.detections} detections on {len(written.frames)} test frames, a file each, in {out}.")
    if written.missing:
        echo(f"warning: {written.missing}; the organisers score all of them.", err=True)
