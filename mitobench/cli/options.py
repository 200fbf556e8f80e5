"""Options that commands which train have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mitobench.foreign.limits import MAX_JOBS, MAX_PROCESSES

Data = Annotated[
    Path | None,
    typer.Option(
        envvar="MITOBENCH_DATA",
        help="Folder that holds data sets, at any depth. Without it: synthetic frames alone.",
    ),
]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", help="ROLE.OPTION=VALUE or ROLE.PLUGIN.OPTION=VALUE, for all rows; may be repeated."),
]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Gpus = Annotated[int, typer.Option(min=1, max=MAX_PROCESSES, help="Processes a fit is distributed over.")]
Jobs = Annotated[int, typer.Option(min=1, max=MAX_JOBS, help="Stages done at once, each in a process of its own.")]
Store = Annotated[
    Path | None, typer.Option(envvar="MITOBENCH_STORE", help="Where stages' outputs are kept. Default: user cache.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the plan and stop.")]


def names(text: str | None) -> list[str] | None:
    """The names in an option, between commas; None where it is not given."""
    if text is None:
        return None
    found = [name.strip() for name in text.split(",") if name.strip()]
    if not found:
        raise typer.BadParameter(f"{text!r} holds no name.")
    return found
