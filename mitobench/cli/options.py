"""Options shared by the commands that train."""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from mitobench.foreign.limits import MAX_JOBS, MAX_PROCESSES, MAX_THREADS


def decimal(value: str | float) -> float:
    """Reads a number that is not whole. Raises BadParameter if it is not a number, also for a decimal comma."""
    try:
        return float(value)
    except ValueError as reason:
        point = str(value).replace(",", ".")
        advice = f" Write {point}." if point.replace(".", "", 1).isdecimal() else ""
        raise typer.BadParameter(f"{value}: is not a number.{advice}") from reason


Number = functools.partial(typer.Option, parser=decimal, metavar="FLOAT")

Data = Annotated[
    Path | None,
    typer.Option(
        envvar="MITOBENCH_DATA",
        help="Folder that holds data sets, at any depth. Without it: synthetic frames only.",
    ),
]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="Set an option: ROLE.OPTION=VALUE or ROLE.PLUGIN.OPTION=VALUE, for all combinations. May be repeated.",
    ),
]
Matcher = Annotated[
    str,
    typer.Option(
        help="Rule that matches detections to mitoses: mitos, greedy, hungarian, evalutils, midog-strict, "
        "midog25-guide or kdtree."
    ),
]
Device = Annotated[str, typer.Option(help="Device to compute on: auto, cpu or cuda.")]
Gpus = Annotated[
    int, typer.Option(min=1, max=MAX_PROCESSES, help="Number of GPUs (on the CPU: processes) for each fit.")
]
Jobs = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=MAX_JOBS,
        help="Number of stages to run in parallel, each in its own process. Default: 1; on Ray, all.",
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=MAX_THREADS,
        help="CPU threads of each stage. A fit with another number is another fit. Default: OMP_NUM_THREADS, or all "
        "cores.",
    ),
]
Executor = Annotated[
    str | None,
    typer.Option(
        help="Where stages run: local (this process), processes (--jobs), ray (a Ray cluster on this machine) or "
        "ray:HOST:PORT (an existing one). Default: processes with --jobs, else local."
    ),
]
Store = Annotated[
    Path | None,
    typer.Option(
        envvar="MITOBENCH_STORE",
        help="Folder in which outputs of stages are kept and reused. Default: in the user cache.",
    ),
]
AllowExternal = Annotated[
    bool, typer.Option("--allow-external", help="Run the programs that `external:` names there. Read them first.")
]
AllowDownload = Annotated[
    bool, typer.Option("--allow-download", help="Let plugins fetch weights from a hub, for example Hugging Face.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show the plan, and how long its missing stages will take, and exit.")
]
ListAll = Annotated[bool, typer.Option("--list-all", help="List all stages of a plan, however many there are.")]


def check_writable(out: Path, inside: str = "") -> None:
    """Raises MitobenchError if no file can be written to the folder `--out`, which need not exist.

    `inside`: its subfolder in which files will be written. Leaves nothing there.
    """
    from mitobench.errors import MitobenchError

    existing = out / inside
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as reason:
        raise MitobenchError(
            f"--out {out}: cannot be written: {reason.strerror or reason}. Give another folder."
        ) from reason


def hide_gpus(device: str) -> None:
    """Lets nothing find a GPU if the device is `cpu`. Call it before torch is loaded, which looks for them once."""
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def specs(given: Sequence[str] | None, option: str) -> list[str] | None:
    """Splits the values of a repeatable option into specs of plugins; None if it is not given.

    Each value is split at its commas. A comma between quotes does not split, and quotes around a whole spec are removed
    (`mitobench.discovery.separate`): `blobs,"external:find.sh a,b"` is two specs.

    Args:
        given: the values, one per occurrence of the option.
        option: its name, for messages.

    Raises BadParameter for a quote that does not end, and for a value without a spec.
    """
    if given is None:
        return None
    return [spec for text in given for spec in _split_specs(text, option)]


def _split_specs(text: str, option: str) -> list[str]:
    from mitobench.discovery import separate

    if text.count('"') % 2:
        raise typer.BadParameter(f"{option} {text}: a quote does not end. Write a second double quote.")
    found = [part for part in separate(text, ",") if part]
    if not found:
        raise typer.BadParameter(f"{option} {text!r} contains no name. Give one or more names, separated by commas.")
    return found


def allow(external: bool, download: bool) -> set[str]:
    """Returns what the user allowed, as `mitobench.pipeline.trust` names it; lets this process download if allowed."""
    if download:
        os.environ["MITOBENCH_ALLOW_DOWNLOAD"] = "1"
    return {kind for kind, given in (("external", external), ("download", download)) if given}


def names(text: str | None) -> list[str] | None:
    """Splits an option at commas; None if it is not given. Raises BadParameter if it holds no name."""
    if text is None:
        return None
    found = [name.strip() for name in text.split(",") if name.strip()]
    if not found:
        raise typer.BadParameter(f"{text!r} contains no name. Give one or more names, separated by commas.")
    return found
