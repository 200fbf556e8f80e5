"""`mitobench leaderboard`: records become a page, or a table here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Make the leaderboard from records, or show it.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(help="Folder that holds records/.")]


@app.command()
def build(folder: Folder = Path("leaderboard")) -> None:
    """Write LEADERBOARD.md from all records of a folder, and show it.

    Exit code 2: a record is broken, changed, or of another schema version; then nothing is written.

    Example: mitobench leaderboard build leaderboard
    """
    from mitobench.cli.console import console, show_section
    from mitobench.report import build as report

    page, sections = report.build(_existing(folder))
    for section in sections:
        show_section(section)
    console.print(f"Leaderboard  {page}", markup=False)


@app.command()
def show(folder: Folder = Path("leaderboard")) -> None:
    """Show the leaderboard of all records of a folder, and write nothing.

    Example: mitobench leaderboard show leaderboard
    """
    from mitobench.cli.console import console, show_section
    from mitobench.report import build as report
    from mitobench.report.table import sections
    from mitobench.results import record

    records = _existing(folder) / report.RECORDS
    found = sections(item for _, item in record.read_all(records))
    for section in found:
        show_section(section)
    if not found:
        console.print(f"{records}: holds no record yet.", markup=False)


def _existing(folder: Path) -> Path:
    """Refuses a folder that is not there: an empty leaderboard would hide the misspelling."""
    from mitobench.errors import MitobenchError
    from mitobench.report.build import RECORDS

    if not (folder / RECORDS).is_dir():
        raise MitobenchError(
            f"{folder / RECORDS}: is no folder. Give the folder that holds {RECORDS}/, the --out of `mitobench run`."
        )
    return folder
