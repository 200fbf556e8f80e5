"""`mitobench doctor`: diagnoses the installation and suggests fixes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mitobench.cli.terminal import Console

STYLES = {"ok": "green", "FAIL": "bold red", "note": "yellow"}


def doctor(
    data: Annotated[
        Path | None,
        typer.Option(envvar="MITOBENCH_DATA", help="Folder that holds data sets, at any depth; each of them is read."),
    ] = None,
) -> None:
    """Diagnose the installation and suggest fixes.

    Checks Python, packages, GPU, memory, the store, data sets and plugins. A note is worth knowing but not a failure.

    Exit code 0: no check failed; 1: some failed.

    Example: mitobench doctor --data ~/mitos
    """
    from rich.markup import escape
    from rich.table import Table

    from mitobench.doctor import examine

    console = Console()
    with console.status("Checking"):
        findings = list(examine(data))
    table = Table(box=None, pad_edge=False)
    for column in ("", "check", "result", "fix"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        style = STYLES[finding.state]
        table.add_row(
            f"[{style}]{finding.state}[/{style}]", escape(finding.what), escape(finding.detail), escape(finding.fix)
        )
    console.print(table)
    failed = sum(finding.state == "FAIL" for finding in findings)
    console.print(f"{failed} of {len(findings)} checks failed." if failed else "All checks passed.")
    if failed:
        raise typer.Exit(1)
