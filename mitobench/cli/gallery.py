"""`mitobench gallery`: what a record found and missed, on the frames themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mitobench.cli.terminal import echo


def gallery(
    record: Annotated[Path, typer.Argument(help="A record, with its detections beside it.", show_default=False)],
    data: Annotated[
        Path | None,
        typer.Option(envvar="MITOBENCH_DATA", help="Folder that holds its data set, at any depth."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write. Default: gallery/ and the record's name.", show_default=False)
    ] = None,
    frames: Annotated[
        int | None,
        typer.Option(min=1, help="Overlays of this many frames, those with the most errors. Default: all test frames."),
    ] = None,
    crops: Annotated[int, typer.Option(min=1, help="Misses to show, and errors.")] = 24,
    format_: Annotated[str, typer.Option("--format", help="Of the pictures: png, or jpeg, which is smaller.")] = "png",
) -> None:
    """Write overlays of a record's test frames, and contact sheets of its hardest misses and most confident errors.

    Green circles are true positives, yellow squares false positives, blue diamonds misses. The frames must be those
    that the record was made with; synthetic ones are made where they are not there.

    Exit code 2: a record that is broken or failed; frames that are missing, corrupt or others; a full disk.

    Example: mitobench gallery leaderboard/records/mitos2012-official-....json --data ~/mitos
    """
    from rich.progress import Progress

    from mitobench.gallery import write

    out = out or Path("gallery") / record.stem
    with Progress(transient=True) as bar:
        task = bar.add_task("frames")
        made = write(
            record,
            out,
            data=data,
            max_frames=frames,
            max_crops=crops,
            kind=format_,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    echo(f"{made.n_frames} frames, {made.n_misses} misses, {made.n_errors} false positives.")
    echo(f"Gallery  {made.page}")
