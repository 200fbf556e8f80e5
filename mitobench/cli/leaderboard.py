"""`mitobench leaderboard`: records become pages, or a table here; they are checked, and others' are taken in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mitobench.cli.terminal import echo

if TYPE_CHECKING:
    from mitobench.results.folder import Checks, Taken

app = typer.Typer(help="Make the leaderboard from records, show it, check it, or add records.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(help="Folder that holds records/.")]
Data = Annotated[
    Path | None,
    typer.Option(envvar="MITOBENCH_DATA", help="Folder of data sets: detections on those are matched afresh."),
]


@app.command()
def build(folder: Folder = Path("leaderboard")) -> None:
    """Write LEADERBOARD.md, index.html and figures/ from all records of a folder, and show the tables.

    A record that is broken, changed, or of another schema version is named and left out.

    Example: mitobench leaderboard build leaderboard
    """
    _build(_existing(folder))


@app.command()
def show(folder: Folder = Path("leaderboard")) -> None:
    """Show the leaderboard of all good records of a folder, and write nothing.

    Example: mitobench leaderboard show leaderboard
    """
    from mitobench.cli.console import console, show_section
    from mitobench.report import build as report

    records = _existing(folder) / report.RECORDS
    found = report.read_sections(records)
    for section in found:
        show_section(section)
    if not found:
        console.print(f"{records}: holds no record yet.", markup=False)


@app.command()
def check(folder: Folder = Path("leaderboard"), data: Data = None) -> None:
    """Recompute the scores of every record from what is stored with it, and see that no generated file is stale.

    Checked are the bytes, digests and names of records and detections; all scores that follow from the counts of each
    frame and from the stored detections; and LEADERBOARD.md, index.html and figures/, by making them anew. With --data
    the detections are matched afresh with the annotation, on the very test frames of the record.

    Exit code 1: something is wrong; one line each, with file and mend.

    Example: mitobench leaderboard check leaderboard --data ~/mitos
    """
    from mitobench.report import build as report
    from mitobench.report.stale import stale
    from mitobench.results.folder import check_folder

    checks = check_folder(_existing(folder) / report.RECORDS, data)
    generated, problems = stale(folder)
    for line in (
        *_checked(checks, data),
        f"Made anew and compared: {', '.join(generated) or 'nothing, as none is here'}.",
    ):
        echo(line)
    _fail(checks.problems + problems)
    echo("Nothing is wrong.")


@app.command()
def add(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH...", help="Records (.json, detections beside them), or folders of them."),
    ],
    folder: Annotated[Path, typer.Option(help="Folder that holds records/.")] = Path("leaderboard"),
    data: Data = None,
) -> None:
    """Take others' records into a leaderboard, after the checks of `leaderboard check`, and make it anew.

    Where anything is wrong with any of them nothing is added, and every reason is named. A record that is there already
    is left; one of the same identity with other numbers is added beside it, and both are marked.

    Exit code 1: refused.

    Example: mitobench leaderboard add ~/theirs/records --folder leaderboard --data ~/mitos
    """
    from mitobench.report.build import RECORDS
    from mitobench.results import folder as records

    target = _existing(folder) / RECORDS
    found = records.find(paths)
    checks = records.check_all(found, data)
    for line in _checked(checks, data):
        echo(line)
    _fail([*checks.problems, *(f"Nothing was added to {target}." for _ in checks.problems[:1])])
    for taken in records.take(found, target):
        echo(_told(taken))
    _build(folder)


def _build(folder: Path) -> None:
    from mitobench.cli.console import console, show_section
    from mitobench.report import build as report

    page, sections = report.build(folder)
    for section in sections:
        show_section(section)
    console.print(f"Leaderboard  {page}", markup=False)


def _checked(checks: Checks, data: Path | None) -> Iterator[str]:
    """What was checked, and how far."""
    scored = [item for item in checks.records if item.record and item.record.status == "ok" and not item.problems]
    exact = sum(item.exact is True for item in scored)
    bounded = sum(item.exact is False for item in scored)
    yield f"{len(checks.records)} records: bytes, digests, names, and the form that a leaderboard needs."
    yield "Recomputed from the counts of each frame: TP, FP, FN, P, R, F1 and their intervals."
    yield "Recomputed from the stored detections: their number, hits on each frame at the threshold, localisation."
    yield f"Oracle F1, AP, FROC and recall ceiling: recomputed for {exact} records, within bounds for {bounded}."
    if data is None:
        yield "Without --data nothing was matched with the annotation; scores on validation only by their counts."
    else:
        yield f"Matched afresh with the annotation below {data}: {checks.matched} records."
    if checks.not_here:
        yield f"Not below {data}, and so not matched: {', '.join(sorted(checks.not_here))}."


def _told(taken: Taken) -> str:
    if taken.there:
        return f"{taken.path.name}: is there already, with equal numbers: {taken.target}"
    marked = f" (of one identity with {taken.beside[0]}, with other numbers: both are marked)" if taken.beside else ""
    return f"added {taken.target}{marked}"


def _fail(problems: list[str]) -> None:
    """Exit code 1 where there are problems, each told in a line."""
    for problem in problems:
        echo(problem, err=True)
    if problems:
        raise typer.Exit(1)


def _existing(folder: Path) -> Path:
    """Refuses a folder that is not there: an empty leaderboard would hide the misspelling."""
    from mitobench.errors import MitobenchError
    from mitobench.report.build import RECORDS

    if not (folder / RECORDS).is_dir():
        raise MitobenchError(
            f"{folder / RECORDS}: is no folder. Give the folder that holds {RECORDS}/, the --out of `mitobench run`."
        )
    return folder
