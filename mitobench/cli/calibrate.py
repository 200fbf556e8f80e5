"""`mitobench calibrate`: chooses a model's threshold on the user's own fields."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mitobench.cli.options import AllowDownload, AllowExternal, Device, allow
from mitobench.cli.terminal import echo

if TYPE_CHECKING:
    from mitobench.evaluate import Interval
    from mitobench.model.card import ModelCard

EXAMPLES = """\
[bold]Examples[/bold]

mitobench data from-geojson corrected/*.geojson --image slides/ --out my-fields

mitobench calibrate bundled --data my-fields --out my-model

mitobench predict slides/ --out found --model my-model
"""


def calibrate(
    model: Annotated[
        str,
        typer.Argument(help="Name, folder or address of a model, as for `mitobench predict`.", show_default=False),
    ],
    data: Annotated[Path, typer.Option(help="Folder of labelled images, in the layout `folder`.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder to create for the new model.", show_default=False)],
    device: Device = "auto",
    allow_external: AllowExternal = False,
    allow_download: AllowDownload = False,
) -> None:
    """Choose the threshold of a model on your own labelled images, and write the model with it to a new folder.

    The threshold is the one with the best F1, by the rule that every benchmark uses on its validation frames. The F1 is
    shown with its 95 % interval over slides. It is that of the images on which the threshold was chosen, so on other
    slides it will be lower. Nothing is trained.

    Exit code 2: the images hold no mitosis that the model finds, or the folder exists or cannot be written.
    """
    from rich.progress import Progress

    from mitobench.cli.console import console
    from mitobench.device import find_device
    from mitobench.model import Model
    from mitobench.model.calibrate import calibrate as choose
    from mitobench.model.card import find
    from mitobench.pipeline import trust

    allowed = allow(allow_external, allow_download)
    folder = find(model)
    loaded = Model.load(folder, find_device(device), allowed)
    with Progress(console=console, transient=True) as bar, trust.only(allowed):
        task = bar.add_task("images")
        card = choose(folder, loaded, data, out, lambda done, number: bar.update(task, completed=done, total=number))
    _show(card)
    echo(f"Model  {out}")


def _show(card: ModelCard) -> None:
    from mitobench.report.markdown import number

    chosen = card.calibration
    assert chosen is not None
    images = f"{chosen.images} image{'s' * (chosen.images != 1)} of {chosen.slides} slide{'s' * (chosen.slides != 1)}"
    echo(f"{images} with {chosen.mitoses} {'mitosis' if chosen.mitoses == 1 else 'mitoses'}.")
    echo(f"Threshold {card.threshold:.4g}: F1 {number(chosen.f1)}{_between(chosen.f1_interval)}.")
    before = f"F1 {number(chosen.f1_before)}{_between(chosen.f1_before_interval)}"
    echo(f"Threshold before {chosen.threshold_before:.4g}: {before} on these images.")
    if chosen.slides < 5:
        few = "1 slide is" if chosen.slides == 1 else f"{chosen.slides} slides are"
        echo(f"Note: {few} too few to say how well this threshold does on other slides.")


def _between(interval: Interval | None) -> str:
    from mitobench.report.markdown import number

    return f" [{number(interval.low)}, {number(interval.high)}]" if interval else " (no interval: one field)"


calibrate.__doc__ = f"{inspect.getdoc(calibrate)}\n\n{EXAMPLES}"
