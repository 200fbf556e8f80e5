"""`mitobench pack`: packs a finished run into a model for `mitobench predict`."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated

import typer

from mitobench.cli.options import Data
from mitobench.cli.terminal import echo

EXAMPLES = """\
[bold]Examples[/bold]

mitobench pack leaderboard/records/RECORD.json --out my-model

mitobench pack leaderboard/records/RECORD.json --out my-model --store runs/store --data ~/mitos --half

mitobench pack RECORD.json --out fast --data ~/mitos --onnx --set detector.score_floor=0.2
"""


def pack(
    record: Annotated[Path, typer.Argument(help="The .json file of the record of a finished run.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder to create.", show_default=False)],
    store: Annotated[
        Path | None,
        typer.Option(envvar="MITOBENCH_STORE", help="The store that the run used. Default: in the user cache."),
    ] = None,
    data: Data = None,
    half: Annotated[bool, typer.Option("--half", help="Round weights to 16 bits, which halves the size.")] = False,
    onnx: Annotated[
        bool, typer.Option("--onnx", help="ONNX Runtime runs the networks on a CPU, two to three times as fast.")
    ] = False,
    sets: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Change an option that is read only at prediction time: ROLE.OPTION=VALUE. May be repeated. The "
            "threshold is chosen again on the validation frames in --data.",
        ),
    ] = None,
) -> None:
    """Pack the fitted plugins of a run into a model folder for `mitobench predict`.

    The folder holds weights (never pickles) and a card with the digests of all files. With --data, the card also says
    what the training frames look like, so that `mitobench predict` warns of images that differ from them.

    Exit code 2: the run failed, the store no longer has its outputs, or the folder cannot be written.
    """
    from mitobench.benchmark import default_store
    from mitobench.model import pack as make
    from mitobench.report import markdown

    card = make(record, store or default_store(), out, half, data, onnx, sets or ())
    echo(f"{card.title}: {card.size_mb:.1f} MB in {len(card.files)} files.")
    if half:
        echo("Note: its F1 was measured before its weights were rounded to 16 bits.")
    if card.repacked:
        f1, before = markdown.number(card.repacked.f1), markdown.number(card.repacked.f1_before)
        chosen_on = f"{card.repacked.frames} validation frames"
        echo(f"Threshold {card.threshold:.4g}, chosen on {chosen_on}: F1 {f1} there, {before} before.")
    if card.ranges is None:
        why = "the training frames show too little tissue" if data else "no --data was given"
        echo(f"Note: the model cannot warn of images that differ from its training frames: {why}.")
    echo(f"Model  {out}")


pack.__doc__ = f"{inspect.getdoc(pack)}\n\n{EXAMPLES}"
