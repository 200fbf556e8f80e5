"""`mitobench data`: checks a data folder, and writes the synthetic data sets."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mitobench.cli.options import Number
from mitobench.cli.terminal import Console, echo
from mitobench.errors import DataError, MitobenchError, counted, listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mitobench.datasets.check import DatasetReport, PartCounts, ProtocolCheck
    from mitobench.datasets.domain_table import DomainRow
    from mitobench.datasets.folder_init import SlideGuess

MAX_SLIDES = 10  # names of slides that are printed of a part
MAX_EXAMPLES = 3

app = typer.Typer(help="Check a data folder, or write the synthetic data sets.", no_args_is_help=True)


@app.command()
def check(
    folder: Annotated[Path, typer.Argument(help="Folder that holds data sets, at any depth.", show_default=False)],
    dataset: Annotated[
        str | None, typer.Option(help="Check only this data set. Default: all that are found.", show_default=False)
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            help="Show the parts under this protocol (a name, or a .json file), such as cv-by-slide-of3: each fold. "
            "Default: those of the data set.",
            show_default=False,
        ),
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Compute the digests of all files anew, also of unchanged ones.")
    ] = False,
) -> None:
    """Check copies of data sets against their cards: show what they hold, what is missing and what looks wrong.

    For each protocol it shows the frames, slides and mitoses of each part, and the names of the slides.

    Annotation files are checked without their images too; which images are missing is listed. Frames that show the
    same tissue are named, within a data set and across those that are checked. Digests of files are
    remembered while their inode, size and times stay the same. --verify computes them again.

    Exit code 0: read without error, even if incomplete; 1: this copy cannot be trained and tested on by the default
    protocol, or by the one asked for; 2: a file is broken, or no data set was found.

    Example: mitobench data check ~/data --dataset mitos2014
    """
    from mitobench import discovery
    from mitobench.datasets import available
    from mitobench.datasets import check as checks
    from mitobench.file_cache import computing_anew
    from mitobench.reading import protocol_of

    if not folder.is_dir():
        raise DataError(f"{folder}: is not a directory. Give the folder that holds the data sets.")
    names = [dataset] if dataset else available(folder, labels_only=True)
    if not names:
        known = ", ".join(discovery.names("dataset"))
        raise DataError(
            f"{folder}: holds no data set at any depth. Looked for: {known}. "
            "Give another folder, or run `mitobench data synth`."
        )
    errors, reports = [], []
    with computing_anew() if verify else nullcontext():
        for name in names:
            try:
                wanted = protocol_of(name, protocol) if protocol else None
                reports.append(checks.check(name, folder, wanted))
                _show(reports[-1])
            except MitobenchError as reason:
                errors.append(str(reason))
        _show_across(checks.same_tissue_across(report.dataset for report in reports))
    if errors:
        raise DataError("\n".join(errors))
    if not all(report.can_run for report in reports):
        raise typer.Exit(1)


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Folder of images with one annotation file.", show_default=False)],
    mpp: Annotated[float | None, Number(help="um/px of the images, if they do not say it.", show_default=False)] = None,
) -> None:
    """Look at a folder of images with a CSV, GeoJSON or COCO file, and write its `dataset.toml`.

    Afterwards `--dataset folder` reads the folder. um/px is read from the images; if they do not say it, it is asked.

    Example: mitobench data init ~/my-images --mpp 0.25
    """
    from mitobench.datasets.folder_init import write_settings

    path, seen = write_settings(folder, mpp, _ask)
    echo(f"{counted(seen.images, 'image')}, annotated in {', '.join(seen.annotations[:3])}.")
    for line in seen.unread:
        echo(line)
    if seen.each_is_a_slide:
        echo(f"Each image counts as a slide of its own. {_other_slides(seen.guess)}")
    if seen.grouped_by:
        echo(f"Images of one slide are those of one `{seen.grouped_by}` in the annotation.")
    if seen.classes:
        words = {True: "mitosis", False: "imposter", None: "not known"}
        classes = [f"{name or 'empty'} ({words[answer]})" for name, answer in seen.classes.items()]
        echo(f"Classes: {', '.join(classes)}.")
    echo(f"Written to {path}. Check it with: mitobench data check {folder} --dataset folder")
    echo(f"Then score a method on it: mitobench run --dataset folder --data {folder} --detector blobs --verifier none")
    if seen.unknown:
        echo("First put the classes that are not known into mitosis, imposter or ignore in this file.")
    if seen.question:
        echo(f"First: {seen.question}")
    elif hint := _few_slides(folder):
        echo(hint)


def _other_slides(guess: SlideGuess | None) -> str:
    """What to do if the images are not of one slide each: what their names look like, with counts."""
    if guess is None:
        return "If several show one slide, set `slide` in the file."
    least, most = min(guess.images.values()), max(guess.images.values())
    several = counted(most, "image") if least == most else f"{least} to {counted(most, 'image')}"
    more = ", ..." if len(guess.images) > MAX_EXAMPLES else ""
    names = ", ".join(list(guess.images)[:MAX_EXAMPLES])
    return (
        f"But the names look like {counted(len(guess.images), 'slide')} of {several} ({names}{more}): if so, remove "
        "the # before `slide = ...` in dataset.toml."
    )


def _few_slides(folder: Path) -> str:
    """How to test more slides, where the default protocol tests few; empty where the folder cannot be read so far."""
    from mitobench.datasets import folds, load

    with suppress(MitobenchError):  # `data check` says what is wrong
        dataset = load("folder", folder)
        split = folds.find_split(dataset, dataset.card.default_protocol)
        return folds.few_slides(dataset, folds.applied(dataset, split).groups["test"])
    return ""


def _ask(question: str) -> float:
    """Asks for a number; without a terminal, raises DataError."""
    import sys

    if not sys.stdin.isatty():
        raise DataError(f"{question} Give it with --mpp.")
    answer: float = typer.prompt(question, type=float)
    return answer


@app.command()
def synth(
    folder: Annotated[
        Path,
        typer.Argument(
            help="Folder to write; created if needed. Must be empty or hold synthetic data sets.", show_default=False
        ),
    ],
    seed: Annotated[int, typer.Option(help="Seed of all randomness. Another seed gives other slides.")] = 0,
    domains: Annotated[
        bool, typer.Option("--domains", help="Write `synthetic-domains` instead: several tumour types and scanners.")
    ] = False,
    frames: Annotated[
        int | None, typer.Option(help="Frames per slide. Default: 8 with masks, 6 with centroids.", show_default=False)
    ] = None,
) -> None:
    """Write two synthetic data sets in the layouts of the real ones: `synthetic` and `synthetic-centroids`.

    `synthetic` has masks of the mitoses. `synthetic-centroids` has their centroids, and imposters: hard negatives,
    which are annotated figures that are not mitoses. With `--domains`, one data set in the layout of MIDOG++ is written
    instead, whose tumour types and scanners differ in stain, sharpness, um/px and the size of nuclei.

    Example: mitobench data synth ~/synthetic --seed 1
    """
    from rich.progress import Progress

    from mitobench.datasets import synthetic, synthetic_domains

    if domains and frames is not None:
        raise MitobenchError("--frames: `synthetic-domains` has one frame per slide. Leave --frames out.")
    if domains:
        synthetic_domains.write(folder, seed=seed)
        echo(f"Written to {folder}. Check it with: mitobench data check {folder}")
        return
    with Progress(transient=True) as bar:
        task = bar.add_task("frames")
        synthetic.write(
            folder, seed, frames, progress=lambda done, total: bar.update(task, completed=done, total=total)
        )
    echo(f"Written to {folder}. Check it with: mitobench data check {folder}")


@app.command("from-geojson")
def from_geojson(
    geojson: Annotated[
        list[Path], typer.Argument(help="GeoJSON files that were corrected in QuPath.", show_default=False)
    ],
    image: Annotated[
        list[Path],
        typer.Option(help="Their images, or folders of them. May be repeated.", show_default=False),
    ],
    out: Annotated[Path, typer.Option(help="Folder to create.", show_default=False)],
    mpp: Annotated[float | None, Number(help="um/px of the images. Default: what each file says.")] = None,
    page: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Page of files that hold several, such as a z-stack. Default: the one that `predict` searched, if its "
            "mitobench_files.jsonl is beside the GeoJSON.",
            show_default=False,
        ),
    ] = None,
    mitosis: Annotated[list[str] | None, typer.Option(help="A further class of mitoses. May be repeated.")] = None,
    imposter: Annotated[
        list[str] | None, typer.Option(help="A further class of figures that are not mitoses. May be repeated.")
    ] = None,
    ignore: Annotated[list[str] | None, typer.Option(help="A class that means nothing. May be repeated.")] = None,
    region: Annotated[
        list[str] | None,
        typer.Option(help="Only annotations of this class are labelled regions, for example 'Hot spot'."),
    ] = None,
) -> None:
    """Make a data set of GeoJSON files that were corrected in QuPath, for `mitobench calibrate` and `mitobench run`.

    Objects of the class Mitosis are mitoses. Those of the classes Candidate and Non-mitosis are imposters: figures that
    look like mitoses. Annotations of other classes, or without a class, are the regions in which every mitosis is
    labelled. Without regions that is the whole image. The outlines of hot spots are not regions, unless --region names
    them. Each region becomes an image in --out.

    The image of a file is the only one, the one of the same name, or the one that `predict` names in its
    mitobench_files.jsonl beside the GeoJSON, as for NAME-2.geojson.

    Exit code 2: a file cannot be read, a class is not known, or the folder exists.

    Example: mitobench data from-geojson found/slide.geojson --image slide.svs --out my-fields
    """
    from mitobench.model import corrections
    from mitobench.model.corrected_files import pairs_of

    names = [tuple(given or ()) for given in (mitosis, imposter, ignore, region)]
    pairs = pairs_of(geojson, image, page)
    written = corrections.write_dataset(pairs, out, mpp, corrections.Classes(*names))
    for note in written.notes:
        echo(note)
    found = f"{counted(written.mitoses, 'mitosis', 'mitoses')} and {counted(written.imposters, 'imposter')}"
    echo(f"{counted(written.images, 'image')} with {found}.")
    echo(f"Written to {out}. Check it with: mitobench data check {out} --dataset folder")


def _show(report: DatasetReport) -> None:
    """Prints plain lines and narrow tables, which also fit a file or a small terminal."""
    dataset = report.dataset
    _print(f"{dataset.name}: {dataset.card.title}")
    _print(f"in {dataset.root}: {dataset.coverage or 'complete'}")
    _domain_table(report.domains)
    _table("part", report.rows)
    for size in report.sizes:
        _print(f"  {size}")
    for protocol in report.protocols:
        _show_protocol(protocol)
    for name, slides in dataset.card.contains.items():
        _print(f"contains {name}: slides {', '.join(slides)}")
    for name, slides in dataset.card.contained_in.items():
        _print(f"contained in {name}: slides {', '.join(slides)}")
    for remark in dataset.remarks:
        _print(f"remark: {remark}")
    for note in dataset.card.notes:
        _print(f"note: {note}")
    _print(f"anomalies: {len(report.anomalies) or 'none'}")
    for line in report.anomalies:
        _print(f"  {line}")
    _print(f"digest: {dataset.digest()}\n" if dataset.items else "")


def _show_across(lines: Sequence[str]) -> None:
    """Prints the frames of one data set that show the same tissue as frames of another."""
    if lines:
        _print(f"the same tissue in two data sets: {len(lines)}")
    for line in lines:
        _print(f"  {line}")


def _show_protocol(protocol: ProtocolCheck) -> None:
    _print(f"protocol {protocol.name}: {protocol.note}")
    if protocol.missing:
        _print(f"  missing: {protocol.missing}")
    if protocol.problem:
        _print(f"  cannot be used: {protocol.problem}")
        return
    _table("split", protocol.rows)
    _print(f"  slides: {'; '.join(f'{part}: {_names(slides)}' for part, slides in protocol.slides.items())}")
    if protocol.hint:
        _print(f"  {protocol.hint}")


def _names(slides: Sequence[str]) -> str:
    """The names of slides, the first ten if there are more."""
    return listed(slides, MAX_SLIDES, ", " if any(" " in slide for slide in slides) else " ") or "none"


def _domain_table(rows: Sequence[DomainRow]) -> None:
    """Prints the domains a tumour type a line, wide: they are also what a reader copies into a paper."""
    if not rows:
        return
    titles = ["tumour type", "slides", "ids", "scanner", "lab", "species", "mitoses", "imposters", "train/test"]
    lines = [titles, *map(_domain_cells, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(titles))]
    for line in lines:
        _print("  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _domain_cells(row: DomainRow) -> list[str]:
    counts = [f"{row.mitoses}", f"{row.imposters}", f"{row.train}/{row.test}"] if row.labelled else ["-", "-", "-"]
    tumour = row.tumour if row.labelled else f"{row.tumour}, unlabelled"
    return [tumour, str(row.slides), row.ids, row.scanners, row.labs, row.species, *counts]


def _table(what: str, rows: Iterable[PartCounts]) -> None:
    from rich.table import Table

    from mitobench.datasets.folder import SCANNER

    rows = list(rows)
    names = ["scanner", what] if any(row.scanner != SCANNER for row in rows) else [what]
    numbers = ["frames", "slides", "positive", "mitoses", "imposters", "unlabelled"]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in [f"  {names[0]}", *names[1:]]:
        table.add_column(column)
    for column in numbers:
        table.add_column(column, justify="right")
    for row in rows:
        first = [row.scanner, row.part][-len(names) :]
        counts = (row.frames, row.slides, row.with_mitosis, row.mitoses, row.imposters, row.unlabelled)
        table.add_row(f"  {first[0]}", *first[1:], *map(str, counts))
    _print(table)


def _print(content: object) -> None:
    Console(markup=False).print(content, soft_wrap=isinstance(content, str))
