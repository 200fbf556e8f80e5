"""`mitobench doctor`: what is wrong here, and what mends it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mitobench.cli.terminal import Console

STYLES = {"ok": "green", "FAIL": "bold red", "note": "yellow"}


def doctor(
    data: Annotated[
        Path | None,
        typer.Option(envvar="MITOBENCH_DATA", help="Folder that holds data sets, at any depth: try to read them."),
    ] = None,
) -> None:
    """Try each thing that can be wrong, and name what mends it.

    Exit code 0: nothing fails (a note is no failure); 1: something does.
    """
    from rich.markup import escape
    from rich.table import Table

    from mitobench.doctor import examine

    console = Console()
    with console.status("Looking"):
        findings = list(examine(data))
    table = Table(box=None, pad_edge=False)
    for column in ("", "what", "found", "mend"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        style = STYLES[finding.state]
        table.add_row(
            f"[{style}]{finding.state}[/{style}]", escape(finding.what), escape(finding.detail), escape(finding.mend)
        )
    console.print(table)
    failed = sum(finding.state == "FAIL" for finding in findings)
    console.print(f"{failed} of {len(findings)} checks FAIL." if failed else "Nothing fails.")
    if failed:
        raise typer.Exit(1)
