"""`mitobench predict`: finds mitoses on your own images."""

from __future__ import annotations

import inspect
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mitobench.cli.options import AllowDownload, AllowExternal, allow
from mitobench.cli.terminal import echo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mitobench.model import Model
    from mitobench.model.outputs import ImageSummary

EXAMPLES = """\
[bold]Examples[/bold]

mitobench predict hpf.tif --mpp 0.25 --out found

mitobench predict fields/ more/hpf.png --out found --threshold 0.6

mitobench predict fields/ --out found --model my-model/ --device cuda
"""


def predict(
    image: Annotated[
        list[Path],
        typer.Argument(
            metavar="IMAGE...",
            help="Image files, or folders; all image files in a folder are used.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder to write; must not contain any of the images.", show_default=False)],
    model: Annotated[
        str | None,
        typer.Option(
            help="Name of a bundled model, or a folder written by `mitobench pack`. Default: the bundled model."
        ),
    ] = None,
    mpp: Annotated[float | None, typer.Option(help="um/px of the images, 0.1 to 1. Default: the model's.")] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Candidates with a score at or above this are mitoses. Default: the model's.")
    ] = None,
    device: Annotated[str, typer.Option(help="Device to compute on: auto, cpu or cuda.")] = "auto",
    allow_external: AllowExternal = False,
    allow_download: AllowDownload = False,
) -> None:
    """Find mitoses on images. Writes a CSV, a GeoJSON for QuPath and an overlay per image, and counts per mm2.

    Reads TIFF (OME-TIFF and BigTIFF too), PNG, JPEG, JPEG 2000, WebP and BMP with 8 or 16 bits, and with
    the extra `slides` small whole slides. What is converted or odd is noted in the summary. Large images are processed
    in tiles; whole slides of more than 268 million px are not supported. On the overlays, blue rings are mitoses; thin
    orange rings are candidates with a score between half the threshold and the threshold.

    A model can name programs (`external:`) and hubs. They are shown first, and used only with --allow-external and
    --allow-download.

    Exit code 0: all images were processed; 1: some failed, and the summary says why, or files in a folder were left
    out because they cannot be read; 2: nothing could be processed or
    written.

    Research software: not for diagnosis.
    """
    if mpp is not None and not 0.1 <= mpp <= 1.0:
        raise typer.BadParameter(f"--mpp {mpp:g}: must be from 0.1 to 1.0 um/px; 40x scans have about 0.25.")
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    from mitobench.benchmark import find_device
    from mitobench.cli.console import console, notify
    from mitobench.model import Model
    from mitobench.model.batch import predict_files
    from mitobench.model.card import find
    from mitobench.model.inputs import images_of, left_out
    from mitobench.pipeline import trust

    folder, allowed = find(model), allow(allow_external, allow_download)
    loaded = Model.load(folder, find_device(device), allowed)
    _introduce(folder, loaded, threshold)
    if mpp is None:
        notify(f"No --mpp given: assuming the model's {loaded.card.mpp:g} um/px for all images.")
    paths = images_of(image)
    rows: list[ImageSummary] = []
    from rich.progress import Progress

    try:
        with Progress(console=console, transient=True) as bar, trust.only(allowed):
            task = bar.add_task("images", total=len(paths))
            for row in predict_files(loaded, paths, out, mpp or loaded.card.mpp, threshold):
                rows.append(row)
                bar.advance(task)
                if not row.done:
                    notify(f"skipped: {row.note}")
                elif row.note:
                    notify(f"{row.image}: {row.note}")
    except KeyboardInterrupt:
        echo("Interrupted. Finished images are kept.", err=True)
        raise typer.Exit(130) from None
    _show(rows)
    notify(f"Summary  {out / 'summary.csv'}")
    unread = left_out(image)
    for path in unread:
        notify(f"left out: {path}: files with the suffix {path.suffix} are not read. Convert it to TIFF.")
    if unread or not all(row.done for row in rows):
        raise typer.Exit(1)


def _introduce(folder: Path, model: Model, threshold: float | None) -> None:
    from mitobench.cli.console import notify
    from mitobench.report import markdown

    card, measured = model.card, model.card.measured
    interval = measured.f1_interval
    between = f" [{markdown.number(interval.low)}, {markdown.number(interval.high)}]" if interval else ""
    notify(f"Model {folder.resolve().name}: {card.title}.")
    notify(
        f"F1 {markdown.number(measured.f1)}{between} on the test part of {measured.dataset} ({measured.protocol}, seed "
        f"{measured.seed}) at a threshold of {card.threshold:.4g}; the model works at {card.mpp:g} um/px."
    )
    if threshold is not None:
        notify(f"Using --threshold {threshold:g} instead: the F1 above does not apply to it.")
    notify("Research software: not for diagnosis.")


def _show(rows: Sequence[ImageSummary]) -> None:
    """Prints a short table; the summary file has all columns."""
    from rich.markup import escape
    from rich.table import Table

    from mitobench.cli.console import console

    table = Table(box=None, pad_edge=False)
    for column in ("image", "mm2", "mitoses", "per mm2", "candidates", "seconds"):
        table.add_column(column, justify="left" if column == "image" else "right", overflow="fold")
    for row in rows:
        name = escape(Path(row.image).name)
        if row.area_mm2 is None or row.mitoses_per_mm2 is None:
            table.add_row(name, "", "skipped")  # the reason was printed when it happened
            continue
        rate = f"{row.mitoses_per_mm2:.1f}"
        table.add_row(name, f"{row.area_mm2:.3f}", f"{row.mitoses}", rate, f"{row.candidates}", f"{row.seconds:.1f}")
    console.print(table)


predict.__doc__ = f"{inspect.getdoc(predict)}\n\n{EXAMPLES}"
