"""`mitobench submit`: writes the files that a contest scores, or from which its container is built."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from mitobench.cli.terminal import echo


class Format(str, Enum):
    """Formats of submissions."""

    mitos2014 = "mitos2014"
    midog25 = "midog25"


def submit(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="RECORD",
            help="A record (.json or .json.gz); for mitos2014 of one with protocol `official`. With --container: the "
            "folder of a packed model.",
        ),
    ],
    data: Annotated[
        Path | None, typer.Option(envvar="MITOBENCH_DATA", help="Folder that holds the data set, at any depth.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write. An earlier submission in it is replaced.")] = None,
    dataset: Annotated[str, typer.Option(help="Data set of the contest, for mitos2014.")] = "mitos2014",
    format_: Annotated[
        Format,
        typer.Option("--format", help="What the contest takes: CSVs in px (mitos2014), or JSON in mm (midog25)."),
    ] = Format.mitos2014,
    container: Annotated[
        Path | None,
        typer.Option(help="Folder to write a Dockerfile and the packed model to: the container that midog25 runs."),
    ] = None,
) -> None:
    """Write a contest submission from the detections of a record, or the container of a packed model.

    mitos2014: one CSV per test frame with the record's detections at or above its threshold, x,y,confidence. Every test
    frame of the record's scanners gets a file, which is empty if nothing was found.

    midog25: a folder per test frame with mitotic-figures.json, in mm. Candidates below the threshold stay in it as
    `non-mitotic figure`, for average precision. Everything is checked by the rules of the contest's evaluator first.
    The contest itself runs a container: --container writes a Dockerfile for a folder that `mitobench pack` wrote.

    Example: mitobench submit --dataset mitos2014 RECORD.json --data ~/mitos --out submission

    Example: mitobench submit --format midog25 RECORD.json --data ~/midog --out submission

    Example: mitobench submit --format midog25 my-model --container container
    """
    if container is not None:
        if format_ is not Format.midog25:
            raise typer.BadParameter("--container is for --format midog25: other contests take files.")
        _write_container(path, container)
        return
    if data is None:
        raise typer.BadParameter("--data is missing: give the folder that holds the data set, or set MITOBENCH_DATA.")
    if out is None:
        raise typer.BadParameter("--out is missing: name the folder to write.")
    if format_ is Format.midog25:
        _write_midog25(path, data, out)
    else:
        _write_mitos2014(path, dataset, data, out)


def _write_mitos2014(path: Path, dataset: str, data: Path, out: Path) -> None:
    from mitobench.results.submission import submit as write

    written = write(path, dataset, data, out)
    echo(f"{written.detections} detections on {len(written.frames)} test frames, one file per frame, in {out}.")
    if written.missing:
        echo(f"warning: {written.missing}; the organisers score all test frames.", err=True)


def _write_midog25(path: Path, data: Path, out: Path) -> None:
    from mitobench.results.submission import submit_midog25

    written = submit_midog25(path, data, out)
    echo(f"{written.detections} mitotic figures on {len(written.frames)} test frames, one folder per frame, in {out}.")


def _write_container(model: Path, container: Path) -> None:
    from mitobench.model.midog25 import write_container

    write_container(model, container)
    echo(f"Dockerfile and model in {container}. Build it with docker; the file says how to try and save it.")
