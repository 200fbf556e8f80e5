"""`mitobench gallery`: shows what a record found and missed on its test frames."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mitobench.cli.terminal import echo


def gallery(
    record: Annotated[
        Path,
        typer.Argument(help="A record (.json or .json.gz), in the same folder as its detections.", show_default=False),
    ],
    data: Annotated[
        Path | None,
        typer.Option(
            envvar="MITOBENCH_DATA",
            help="Folder that holds the record's data set, at any depth. Not needed for synthetic frames.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write. Default: gallery/RECORD.", show_default=False)
    ] = None,
    frames: Annotated[
        int | None,
        typer.Option(min=1, help="Draw only this many frames, those with the most errors. Default: all test frames."),
    ] = None,
    crops: Annotated[int, typer.Option(min=1, help="Maximum number of misses, and of false positives, to show.")] = 24,
    format_: Annotated[str, typer.Option("--format", help="Image format: png, or jpeg, which is smaller.")] = "png",
) -> None:
    """Draw a record's results: overlays of its test frames, and sheets of the worst misses and false positives.

    Green circles are true positives, yellow squares false positives, blue diamonds misses. The frames must be those
    that the record was made with. Synthetic frames are generated if --data is not given.

    Exit code 2: the record is broken or failed, frames are missing, corrupt or different, or the disk is full.

    Example: mitobench gallery leaderboard/records/mitos2012-official-....json --data ~/mitos
    """
    from rich.progress import Progress

    from mitobench.gallery import write
    from mitobench.results.record_files import stem_of

    out = out or Path("gallery") / stem_of(record)
    with Progress(transient=True) as bar:
        task = bar.add_task("frames")
        written = write(
            record,
            out,
            data=data,
            max_frames=frames,
            max_crops=crops,
            kind=format_,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    echo(f"{written.n_frames} frames, {written.n_misses} misses, {written.n_errors} false positives.")
    echo(f"Gallery  {written.page}")
