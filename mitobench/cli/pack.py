"""`mitobench pack`: a finished run becomes a model to predict with."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated

import typer

from mitobench.cli.terminal import echo

EXAMPLES = """\
[bold]Examples[/bold]

mitobench pack leaderboard/records/RECORD.json --out my-model

mitobench pack leaderboard/records/RECORD.json --out my-model --store runs/store --half
"""


def pack(
    record: Annotated[Path, typer.Argument(help="Of a finished run, its .json file.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder to make.", show_default=False)],
    store: Annotated[
        Path | None,
        typer.Option(envvar="MITOBENCH_STORE", help="The store that the run used. Default: user cache."),
    ] = None,
    half: Annotated[bool, typer.Option("--half", help="Round weights to 16 bits, which halves the size.")] = False,
) -> None:
    """Pack what a run fitted into a folder for `mitobench predict`: weights without pickles, and a card with digests.

    Exit code 2: the run failed, the store no longer has what it fitted, or the folder cannot be written.
    """
    from mitobench.benchmark import default_store
    from mitobench.model import pack as make

    card = make(record, store or default_store(), out, half)
    echo(f"{card.title}: {card.size_mb:.1f} MB in {len(card.files)} files.")
    if half:
        echo("Its F1 was measured before its weights were rounded to 16 bits.")
    echo(f"Model  {out}")


pack.__doc__ = f"{inspect.getdoc(pack)}\n\n{EXAMPLES}"
