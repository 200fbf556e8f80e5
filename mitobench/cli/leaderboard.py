"""`mitobench leaderboard`: makes pages or a table of records, checks them, and adds those of others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mitobench.cli.section_choice import OfDataset, OfProtocol, OfTitle, sections_of
from mitobench.cli.terminal import echo

if TYPE_CHECKING:
    from mitobench.results.folder import AddedRecord, CheckReport
    from mitobench.results.schema import Record

app = typer.Typer(help="Build the leaderboard from records, show it, check it, or add records.", no_args_is_help=True)

DEFAULT = Path("leaderboard")
HOLDS = "Folder that holds records/."
Folder = Annotated[Path | None, typer.Argument(help=HOLDS, show_default=str(DEFAULT))]
FolderOption = Annotated[
    Path | None,
    typer.Option("--folder", help="The same as the argument FOLDER.", show_default=False),
]
Data = Annotated[
    Path | None,
    typer.Option(envvar="MITOBENCH_DATA", help="Folder of data sets: detections on those are matched again."),
]


@app.command()
def build(
    folder: Folder = None,
    folder_option: FolderOption = None,
    png: Annotated[bool, typer.Option("--png", help="Also write the figures as PNG.")] = False,
    bland_altman: Annotated[
        bool,
        typer.Option(
            "--bland-altman",
            help="Also draw the count of each section's best row: for each case, the difference of detected and "
            "annotated mitoses per mm2 against their mean, with bias and limits of agreement.",
        ),
    ] = False,
) -> None:
    """Write LEADERBOARD.md, index.html, sections/ and figures/ from the records of a folder, and show the tables.

    Every record is recomputed first. Records that are broken, were edited, have another schema version, or contain
    numbers that do not follow from their detections are reported and left out.

    Exit code 1: records were left out.

    Example: mitobench leaderboard build leaderboard
    """
    _fail(_build(_existing(folder, folder_option), png, bland_altman))


@app.command()
def show(
    folder: Folder = None,
    folder_option: FolderOption = None,
    section: OfTitle = None,
    dataset: OfDataset = None,
    protocol: OfProtocol = None,
) -> None:
    """Show the leaderboard of a folder without writing anything. Records that fail the checks are left out.

    Example: mitobench leaderboard show leaderboard --dataset mitos2012
    """
    from mitobench.cli.console import console
    from mitobench.cli.result_tables import show_sections
    from mitobench.report.build import RECORDS

    records = _existing(folder, folder_option) / RECORDS
    found = sections_of(records, section, dataset, protocol)
    show_sections(found)
    if not found:
        console.print(f"{records}: has no records yet.", markup=False)


@app.command()
def recommend(
    folder: Folder = None,
    folder_option: FolderOption = None,
    section: OfTitle = None,
    dataset: OfDataset = None,
    protocol: OfProtocol = None,
    margin: Annotated[
        float, typer.Option(min=0, max=1, help="How much lower than the best the F1 of a faster row may be.")
    ] = 0.02,
) -> None:
    """Recommend the fastest row whose F1 is at most --margin below the best, if the data can decide.

    Cost is seconds per frame. A row qualifies if the 95 % interval of the difference in F1 between the best row and it,
    paired over the same slides, ends at or below the margin. If no faster row qualifies but one might, the data cannot
    decide.

    Exit code 1: the data of at least one section cannot decide.

    Example: mitobench leaderboard recommend leaderboard --dataset mitos2012 --margin 0.02
    """
    from mitobench.cli.recommend import show as show_recommendation
    from mitobench.report.build import RECORDS

    if not 0 <= margin <= 1:  # nan passes the option's own range
        raise typer.BadParameter("--margin: must be a number from 0 to 1.")
    show_recommendation(_existing(folder, folder_option) / RECORDS, margin, section, dataset, protocol)


@app.command()
def check(
    folder: Folder = None,
    folder_option: FolderOption = None,
    data: Data = None,
    anew: Annotated[
        bool, typer.Option("--anew", help="Check all records again, also those that have not changed since a check.")
    ] = False,
) -> None:
    """Check all records by recomputing their numbers, and check that the generated files are up to date.

    Checks the bytes, digests and names of records and detections; that records do not contradict themselves; all
    scores, thresholds and intervals; and, if no record has a problem, LEADERBOARD.md, index.html, sections/ and the
    data of figures/. With --data the detections are also matched with the annotation again, on the same frames. Without
    it, records whose files have not changed since they were checked by the same code on this machine are not computed
    again (--anew computes all).

    Exit code 1: problems were found; each is reported on one line with the file and how to fix it.

    Example: mitobench leaderboard check leaderboard --data ~/mitos
    """
    from mitobench.report import build as report
    from mitobench.report.stale import stale
    from mitobench.results.folder import check_folder

    board = _existing(folder, folder_option)
    checks = check_folder(board / report.RECORDS, data, anew)
    read = [(item.path, item.record) for item in checks.records if item.record]
    for line in _checked(checks, data):
        echo(line)
    if any(item.problems for item in checks.records):
        echo("LEADERBOARD.md, index.html, sections/ and figures/ were not checked, as records have problems.")
        _fail(checks.problems)
    generated, problems = stale(board, lambda folder: (read, []))
    echo(f"Generated again and compared: {', '.join(generated) or 'no files, as there are none'}.")
    _fail(checks.problems + problems)
    echo("No problems found.")


@app.command()
def migrate(folder: Folder = None, folder_option: FolderOption = None, data: Data = None) -> None:
    """Convert records of earlier schema versions to the current one, and rebuild the leaderboard.

    Each record's detections are matched with the annotation again, and its numbers must not change. Its old digest is
    kept. Records that cannot be migrated are listed and not changed.

    Exit code 1: some records could not be migrated.

    Example: mitobench leaderboard migrate leaderboard --data ~/mitos
    """
    from mitobench.cli.console import console
    from mitobench.report.build import RECORDS
    from mitobench.results.migrate import migrate_folder

    board = _existing(folder, folder_option)
    done = migrate_folder(board / RECORDS, data)
    console.print(f"{len(done.migrated)} migrated, {done.current} had this version already.", markup=False)
    left_out = _build(board) if done.migrated else []
    _fail([*done.problems, *left_out])


@app.command()
def pack(folder: Folder = None, folder_option: FolderOption = None) -> None:
    """Pack the records of a leaderboard before it is published, and build it again.

    RECORD.json becomes RECORD.json.gz, and the files of detections of a split one archive: a leaderboard of hundreds of
    records becomes about a third as large. Every command reads both forms, and content and digests stay the same. To
    read them without mitobench: `gunzip -c RECORD.json.gz`, and `tar xf ARCHIVE`, which gives CSV files.

    Exit code 1: the leaderboard leaves out records, which fail the checks of `leaderboard check`.

    Example: mitobench leaderboard pack leaderboard
    """
    from mitobench.errors import counted
    from mitobench.experiments.experiment_page import follow_packed
    from mitobench.report.build import RECORDS
    from mitobench.results.packed_folder import pack_folder

    board = _existing(folder, folder_option)
    done = pack_folder(board / RECORDS)
    echo(f"{counted(done.records, 'record')}: {done.before / 1e6:.1f} MB became {done.after / 1e6:.1f} MB.")
    for name in done.left_out:
        echo(f"Left out, as no record claims it: {name}")
    follow_packed(board)
    _fail(_build(board))


@app.command()
def add(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...", help="Records (.json or .json.gz, with their detections), or folders of them."
        ),
    ],
    folder: Annotated[Path, typer.Option(help=HOLDS)] = DEFAULT,
    data: Data = None,
) -> None:
    """Add records to a leaderboard, after the checks of `leaderboard check`, and build it again.

    If anything is wrong with any of them, nothing is added and every problem is listed. A record that is there already
    is left alone; one of the same identity with other numbers is added as well, and both are marked. Records that were
    migrated elsewhere are refused: add their files of version 1, and migrate those.

    Exit code 1: refused, or the leaderboard leaves out records that were there and fail the checks.

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
    for added in records.add_records(found, target):
        echo(_line(added))
    _fail(_build(folder))


def _build(folder: Path, png: bool = False, counts: bool = False) -> list[str]:
    """Builds and shows a leaderboard; returns a line that says how many records were left out, if any were."""
    from mitobench.cli.console import console
    from mitobench.cli.result_tables import show_sections
    from mitobench.errors import counted
    from mitobench.report import build as report
    from mitobench.results.check import verified_all

    left_out: list[str] = []

    def read(records: Path) -> tuple[list[tuple[Path, Record]], list[str]]:
        good, left_out[:] = verified_all(records)
        return good, left_out

    page, sections = report.build(folder, png, read, counts)
    show_sections(sections)
    console.print(f"Leaderboard  {page}", markup=False)
    return [f"{counted(len(left_out), 'record')} left out of {page}: see the reasons above."] if left_out else []


def _checked(checks: CheckReport, data: Path | None) -> Iterator[str]:
    """Yields what was checked, and what was not."""
    ok = [item.record for item in checks.records if item.record and item.record.status == "ok" and not item.problems]
    counts_alone = sum(record.validation_detections is None for record in ok)
    yield f"{len(checks.records)} records: bytes, digests, names and consistency."
    yield f"Recomputed from the record alone: every score, threshold, curve and interval of {len(ok)} records."
    if counts_alone:
        yield (
            f"{counts_alone} migrated records hold no detections on validation: the counts of each frame were checked "
            "there. Their options, code and data are as recorded."
        )
    if data is None:
        yield "Without --data no detections were matched with the annotation."
    else:
        yield f"Matched again with the annotation below {data}: {checks.matched} records."
    if checks.missing_data:
        yield f"Not below {data}, and so not matched: {', '.join(sorted(checks.missing_data))}."


def _line(added: AddedRecord) -> str:
    if added.already_there:
        return f"{added.path.name}: is there already, with equal numbers: {added.target}"
    other = added.conflicting[0] if added.conflicting else None
    marked = f" (has the identity of {other}, with other numbers: both are marked)" if other else ""
    return f"added {added.target}{marked}"


def _fail(problems: list[str]) -> None:
    """Shows problems, one line each; exit code 1 if there are any."""
    for problem in problems:
        echo(problem, err=True)
    if problems:
        raise typer.Exit(1)


def _existing(folder: Path | None, option: Path | None = None) -> Path:
    """Returns the folder, given as argument or as `--folder`, or the default one.

    Refuses a folder that does not exist: an empty leaderboard would hide the misspelling.
    """
    from mitobench.errors import MitobenchError
    from mitobench.report.build import RECORDS

    if folder and option and folder != option:
        raise typer.BadParameter(f"--folder {option}: the folder is {folder} already. Give one of the two.")
    folder = folder or option or DEFAULT
    if not (folder / RECORDS).is_dir():
        raise MitobenchError(
            f"{folder / RECORDS}: is not a directory. Give the folder that holds {RECORDS}/, the --out of `mitobench "
            "run`."
        )
    return folder
