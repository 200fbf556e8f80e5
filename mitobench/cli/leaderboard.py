"""`mitobench leaderboard`: records become pages, or a table here; they are checked, and others' are taken in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mitobench.cli.terminal import echo

if TYPE_CHECKING:
    from mitobench.results.folder import AddedRecord, Checks

app = typer.Typer(help="Make the leaderboard from records, show it, check it, or add records.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(help="Folder that holds records/.")]
Data = Annotated[
    Path | None,
    typer.Option(envvar="MITOBENCH_DATA", help="Folder of data sets: detections on those are matched afresh."),
]


@app.command()
def build(
    folder: Folder = Path("leaderboard"),
    png: Annotated[bool, typer.Option("--png", help="Write the figures as PNG, too.")] = False,
) -> None:
    """Write LEADERBOARD.md, index.html, sections/ and figures/ from all records of a folder, and show the tables.

    Every record is recomputed first. One that is broken, changed, of another schema version, or whose numbers are not
    its own, is named and left out.

    Example: mitobench leaderboard build leaderboard
    """
    _build(_existing(folder), png)


@app.command()
def show(folder: Folder = Path("leaderboard")) -> None:
    """Show the leaderboard of all records of a folder whose numbers are their own, and write nothing.

    Example: mitobench leaderboard show leaderboard
    """
    from mitobench.cli.console import console, show_section
    from mitobench.report import build as report
    from mitobench.results.check import verified_all

    records = _existing(folder) / report.RECORDS
    found = report.read_sections(records, verified_all)
    for section in found:
        show_section(section)
    if not found:
        console.print(f"{records}: holds no record yet.", markup=False)


@app.command()
def recommend(
    folder: Folder = Path("leaderboard"),
    section: Annotated[str | None, typer.Option(help="Only sections whose title or name holds this text.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Only sections of this data set.")] = None,
    protocol: Annotated[str | None, typer.Option(help="Only sections of this protocol.")] = None,
    margin: Annotated[float, typer.Option(min=0, max=1, help="F1 that a cheaper row may lose to the best.")] = 0.02,
) -> None:
    """Name the cheapest row that is not worse than the best by more than --margin, or say that the data cannot decide.

    Cost is seconds a frame. A row is not worse where the 95 % interval of the best's F1 less its own, paired over the
    same slides, ends at the margin or below. Where a cheaper row might do as well as the best, and none is known to,
    the data cannot decide.

    Exit code 1: the data of a section cannot decide.

    Example: mitobench leaderboard recommend leaderboard --dataset mitos2012 --margin 0.02
    """
    from mitobench.cli.recommend import show as show_recommendation
    from mitobench.report.build import RECORDS

    if not 0 <= margin <= 1:  # nan passes the option's own range
        raise typer.BadParameter("--margin: must be a number from 0 to 1.")
    show_recommendation(_existing(folder) / RECORDS, margin, section, dataset, protocol)


@app.command()
def check(folder: Folder = Path("leaderboard"), data: Data = None) -> None:
    """Recompute every number of every record from the record alone, and see that no generated file is stale.

    Checked are the bytes, digests and names of records and detections; that a record does not contradict itself; all
    scores, thresholds and intervals; and LEADERBOARD.md, index.html, sections/ and the data of figures/. With --data
    the detections are matched afresh with the annotation, on the very frames of the record.

    Exit code 1: something is wrong; one line each, with file and fix.

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
def migrate(
    folder: Folder = Path("leaderboard"),
    data: Data = None,
) -> None:
    """Bring records of earlier schema versions to this one, and make the leaderboard anew.

    Each record's detections are matched with the annotation once; its numbers must come out as they were, and the
    digest that it had is kept. Records that cannot be migrated are listed and left as they are.

    Exit code 1: some could not be migrated.

    Example: mitobench leaderboard migrate leaderboard --data ~/mitos
    """
    from mitobench.cli.console import console
    from mitobench.report.build import RECORDS
    from mitobench.results.migrate import migrate_folder

    done = migrate_folder(_existing(folder) / RECORDS, data)
    console.print(f"{len(done.migrated)} migrated, {done.current} had this version already.", markup=False)
    if done.migrated:
        _build(folder)
    _fail(done.problems)


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
    checks = records.check_all(found, data, target)
    for line in _checked(checks, data):
        echo(line)
    _fail([*checks.problems, *(f"Nothing was added to {target}." for _ in checks.problems[:1])])
    for taken in records.take(found, target):
        echo(_told(taken))
    _build(folder)


def _build(folder: Path, png: bool = False) -> None:
    from mitobench.cli.console import console, show_section
    from mitobench.report import build as report
    from mitobench.results.check import verified_all

    page, sections = report.build(folder, png, verified_all)
    for section in sections:
        show_section(section)
    console.print(f"Leaderboard  {page}", markup=False)


def _checked(checks: Checks, data: Path | None) -> Iterator[str]:
    """What was checked, and how far."""
    ok = [item.record for item in checks.records if item.record and item.record.status == "ok"]
    counts_alone = sum(record.validation_detections is None for record in ok)
    yield f"{len(checks.records)} records: bytes, digests, names, and that none contradicts itself."
    yield f"Recomputed from the record alone: every score, threshold, curve and interval of {len(ok)} records."
    if counts_alone:
        yield f"{counts_alone} migrated records hold no detections on validation: there, by the counts of each frame."
    if data is None:
        yield "Without --data nothing was matched with the annotation."
    else:
        yield f"Matched afresh with the annotation below {data}: {checks.matched} records."
    if checks.not_here:
        yield f"Not below {data}, and so not matched: {', '.join(sorted(checks.not_here))}."


def _told(taken: AddedRecord) -> str:
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
