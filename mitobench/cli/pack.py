"""`mitobench pack`: packs a finished run into a model for `mitobench predict`."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from mitobench.cli.options import AllowDownload, AllowExternal, Data, allow
from mitobench.cli.terminal import echo

EXAMPLES = """\
[bold]Examples[/bold]

mitobench pack leaderboard/records/RECORD.json --out my-model

mitobench pack leaderboard/records/RECORD.json --out my-model --store runs/store --data ~/mitos --half

mitobench pack leaderboard/records/RECORD.json --out my-model --model old-model --data ~/mitos

mitobench pack RECORD.json --out fast --data ~/mitos --onnx --set detector.score_floor=0.2
"""


def pack(
    record: Annotated[
        Path, typer.Argument(help="The record of a finished run (.json or .json.gz).", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="Folder to create.", show_default=False)],
    store: Annotated[
        Path | None,
        typer.Option(envvar="MITOBENCH_STORE", help="The store that the run used. Default: in the user cache."),
    ] = None,
    data: Data = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="A packed model of this record: copy it, and add what the training frames in --data look like. Needs "
            "no store.",
            show_default=False,
        ),
    ] = None,
    slides: Annotated[
        list[str] | None,
        typer.Option(
            help="With --model, of a data set that has changed since: the slides that the model was trained on, as "
            "DATASET:SLIDE,SLIDE,... May be repeated.",
            show_default=False,
        ),
    ] = None,
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
    allow_external: AllowExternal = False,
    allow_download: AllowDownload = False,
) -> None:
    """Pack the fitted plugins of a run into a model folder for `mitobench predict`.

    The folder holds weights (never pickles) and a card with the digests of all files. With --data, the card also says
    what the training frames look like, so that `mitobench predict` warns of images that differ from them. With --model
    and --data, it adds this to a copy of a model that was packed before; its weights stay as they are.

    Exit code 2: the run failed, the store no longer has its outputs, or the folder cannot be written.
    """
    if slides and model is None:
        raise typer.BadParameter("--slides is for --model: a run that is packed has the frames of its record.")
    if model is not None:
        _add_ranges(record, model, data, out, slides or [], half or onnx or bool(sets))
        return
    from mitobench.model import pack as make
    from mitobench.pipeline.store import default_store
    from mitobench.report import markdown

    allowed = allow(allow_external, allow_download)
    card = make(record, store or default_store(), out, half, data, onnx, sets or (), allowed)
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


def _add_ranges(record: Path, model: str, data: Path | None, out: Path, slides: Sequence[str], packs: bool) -> None:
    from mitobench.model.card import find
    from mitobench.model.packing import add_ranges

    if data is None:
        raise typer.BadParameter("--model needs --data, the folder with the training frames.")
    if packs:
        raise typer.BadParameter("--half, --onnx and --set are for packing a run. Leave them out with --model.")
    card, every = add_ranges(record, find(model), data, out, _slides(slides))
    if card.ranges is None:
        echo("Note: the training frames show too little tissue, so the model cannot warn of other images.")
    else:
        echo(f"Measured {card.ranges.frames} of its {every} training frames, in {card.ranges.patches:,} parts.")
    echo(f"Model  {out}")


def _slides(given: Sequence[str]) -> dict[str, list[str]]:
    slides = {}
    for text in given:
        dataset, colon, names = text.partition(":")
        if not (dataset and colon and names):
            raise typer.BadParameter(f"--slides {text}: write DATASET:SLIDE,SLIDE,..., for example mitos2014:03,04.")
        slides[dataset] = names.split(",")
    return slides


pack.__doc__ = f"{inspect.getdoc(pack)}\n\n{EXAMPLES}"
