"""`mitobench predict`: finds mitoses on your own images."""

from __future__ import annotations

import functools
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mitobench.cli import predict_output
from mitobench.cli.options import AllowDownload, AllowExternal, Number, allow, check_writable, hide_gpus
from mitobench.cli.terminal import echo
from mitobench.foreign.limits import MAX_JOBS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mitobench.model.outputs import ImageSummary
    from mitobench.model.spread_images import Spread
    from mitobench.pipeline.executors import Executor

EXAMPLES = """\
[bold]Examples[/bold]

mitobench predict slide.svs --out found

mitobench predict slides/ --out found --recursive

mitobench predict hpf.tif --mpp 0.25 --out found

mitobench predict fields/ more/hpf.png --mpp 0.25 --out found --threshold 0.6

mitobench predict slide.svs --out found --model my-model/ --device cuda

mitobench predict --example --out found
"""


def predict(
    image: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="IMAGE...",
            help="Slides and image files, or folders; all image files in a folder are used.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Folder to write; must not contain any of the images.", show_default=False)
    ] = ...,  # type: ignore[assignment]
    model: Annotated[
        str | None,
        typer.Option(
            help="Name of a bundled model, a folder written by `mitobench pack`, hf-hub:ORG/NAME@REVISION, or "
            "https://HOST/MODEL.zip#sha256=DIGEST. Default: the bundled model."
        ),
    ] = None,
    mpp: Annotated[float | None, Number(help="um/px of all images, 0.1 to 1. Default: what each file says.")] = None,
    threshold: Annotated[
        float | None,
        Number(help="Candidates with a score at or above this are mitoses, 0 to 1. Default: the model's."),
    ] = None,
    roi: Annotated[
        Path | None, typer.Option(help="GeoJSON with outlines on one image: search only there.", show_default=False)
    ] = None,
    tissue: Annotated[
        Path | None,
        typer.Option(
            help="Where tissue is on one image: a mask image (0: none) or GeoJSON. Default: it is found.",
            show_default=False,
        ),
    ] = None,
    page: Annotated[
        int | None,
        typer.Option(min=1, help="Page to read of files that hold several, such as a z-stack.", show_default=False),
    ] = None,
    hotspot: Annotated[str, typer.Option(help="Shape of the hot spot: circle or square.")] = "circle",
    area_mm2: Annotated[float, Number(help="Size of the hot spot, mm2.")] = 2.0,
    recursive: Annotated[bool, typer.Option("--recursive", help="Also use folders within folders.")] = False,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace files in --out that mitobench did not write, and search again."),
    ] = False,
    jobs: Annotated[int, typer.Option(min=1, max=MAX_JOBS, help="Number of processes that search.")] = 1,
    executor: Annotated[
        str | None,
        typer.Option(
            help="Where images are searched: local, processes (--jobs), ray (a Ray cluster on this machine) or "
            "ray:HOST:PORT. On Ray, each image is a task. Default: processes with --jobs, else local.",
            show_default=False,
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="Device to compute on: auto, cpu or cuda.")] = "auto",
    example: Annotated[bool, typer.Option("--example", help="Use a synthetic field that mitobench makes.")] = False,
    allow_external: AllowExternal = False,
    allow_download: AllowDownload = False,
) -> None:
    """Find mitoses on slides and images. Reports the hot spot, mitoses per mm2 of tissue, and every mitosis.

    Writes for each image a report (HTML), a table (CSV), outlines for QuPath (GeoJSON), an overlay and a heat map.

    Reads whole slides (SVS, NDPI, MRXS, SCN, BIF, DICOM, OME-TIFF, with the extra `slides`), TIFF, PNG, JPEG,
    JPEG 2000, WebP and BMP. Only tissue is searched, part by part, so slides may be of any size. If the command is
    interrupted, the same command continues where it stopped. um/px are those of the file; give --mpp where it has
    none. What is converted or odd is noted in the summary. On the overlays, green rings are mitoses; thin white rings
    are candidates with a score between half the threshold and the threshold.

    A model can name programs (`external:`) and hubs. They are shown first, and used only with --allow-external and
    --allow-download.

    Exit code 0: all images were searched; 1: some failed or have parts that cannot be decoded, and the summary says
    why, or files in a folder were left out because they cannot be read; 2: an argument is wrong, or nothing could be
    searched or written.

    Research software: not for diagnosis.
    """
    _check_numbers(mpp, threshold, device)
    from mitobench.slides.areas import area_of

    hot_spot = area_of(hotspot, area_mm2)
    paths = _images(image or [], example, recursive)
    _check_files(paths, out, mpp, roi, tissue, page)
    skipped = set() if mpp is not None else set(map(str, _without_resolution(paths, image or [], page)))
    hide_gpus(device)
    from mitobench.cli.console import notify
    from mitobench.device import find_device
    from mitobench.model import Model
    from mitobench.model.batch import Options, predict_files
    from mitobench.model.card import find
    from mitobench.model.exported import networks_in, prepared
    from mitobench.model.inputs import left_out
    from mitobench.model.reporting import INDEX
    from mitobench.pipeline import trust
    from mitobench.pipeline.executors import executor_of

    where = executor_of(executor, jobs if jobs > 1 else None)
    allowed = allow(allow_external, allow_download)
    folder = find(model)
    load = functools.partial(Model.load, folder, find_device(device), tuple(sorted(allowed)))
    loaded = load()
    predict_output.introduce(folder, loaded, threshold)
    if networks := prepared(loaded, paths, notify):
        loaded.use_exported(networks_in(networks))
        load = functools.partial(load, networks=networks)
    options = Options(mpp, threshold, page, tissue, roi, hot_spot, overwrite, load, jobs)
    rows: list[ImageSummary] = []
    try:
        with predict_output.progress() as listener, trust.only(allowed), where:
            spread = _spread(where, out, [folder, *paths], loaded.detector.device)
            for row in predict_files(loaded, paths, out, options=options, progress=listener, spread=spread):
                rows.append(row)
                if not row.searched and row.image not in skipped:
                    notify(f"skipped: {row.note}")
    except KeyboardInterrupt:
        predict_output.show_notes([row for row in rows if row.searched])
        echo("Interrupted. Finished parts are kept. Run the same command again to continue.", err=True)
        raise typer.Exit(130) from None
    predict_output.show_notes([row for row in rows if row.searched])
    predict_output.show(rows)
    if any(row.found_before for row in rows):
        notify("Found before: same image, model and options, so not searched again. --overwrite searches again.")
    if any(row.done for row in rows):
        notify(f"Overlays {out / 'NAME.png'}: copies of the images with green rings around mitoses")
    notify(f"Summary  {out / 'summary.csv'}")
    notify(f"Reports  {out / INDEX}")
    unread = left_out(image or [], recursive)
    for path in unread:
        notify(f"left out: {path}: files with the suffix {path.suffix} are not read. Convert it to TIFF.")
    if not any(row.searched for row in rows):
        raise typer.Exit(2)
    if unread or not all(row.done and not row.unread_parts for row in rows):
        raise typer.Exit(1)


# ------------------------------------------------------------------------------ arguments, checked before any work


def _check_numbers(mpp: float | None, threshold: float | None, device: str) -> None:
    if mpp is not None and not 0.1 <= mpp <= 1.0:
        raise typer.BadParameter(f"--mpp {mpp:g}: must be from 0.1 to 1.0 um/px; 40x scans have about 0.25.")
    if threshold is not None and not 0 <= threshold <= 1:
        raise typer.BadParameter(f"--threshold {threshold:g}: must be from 0 to 1.")
    if device not in ("auto", "cpu", "cuda"):
        raise typer.BadParameter(f"--device {device}: must be auto, cpu or cuda.")


def _images(given: list[Path], example: bool, recursive: bool) -> list[Path]:
    """Returns the images to search. Raises MitobenchError for missing ones."""
    from mitobench.model.inputs import check_there, images_of

    if example == bool(given):
        raise typer.BadParameter("Give images, or --example." if example else "Give at least one image, or --example.")
    if example:
        from mitobench.cli.console import notify
        from mitobench.model.example import example as make

        path = make()
        notify(f"The example is {path}: synthetic tissue, so what is found on it says nothing about real slides.")
        return [path]
    paths = images_of(given, recursive)
    advice = "" if recursive else ", or --recursive for those in folders within it"
    # A broken link in a folder is reported when its turn comes.
    check_there((path for path in paths if path in given), advice)
    return paths


def _check_files(
    paths: Sequence[Path],
    out: Path,
    mpp: float | None,
    roi: Path | None,
    tissue: Path | None,
    page: int | None,
) -> None:
    from mitobench.foreign import check_regular
    from mitobench.foreign.limits import MAX_IMAGE_BYTES
    from mitobench.model.inputs import check_out

    for option, path in (("--roi", roi), ("--tissue", tissue)):
        if path is None:
            continue
        if len(paths) > 1:
            raise typer.BadParameter(f"{option} is for one image, and {len(paths)} are given. Search them one by one.")
        check_regular(path, MAX_IMAGE_BYTES, "file of outlines or mask")
    check_out(out, paths)
    check_writable(out)
    if len(paths) == 1 and (roi or tissue or page):
        _check_area(paths[0], mpp, roi, tissue, page)


def _check_area(path: Path, mpp: float | None, roi: Path | None, tissue: Path | None, page: int | None) -> None:
    """Raises MitobenchError for a page that cannot be read, and for outlines or a mask that do not fit the image."""
    from mitobench.model.inputs import resolution
    from mitobench.model.search_area import check_areas
    from mitobench.slides.reader import open_image

    with open_image(path, page) as image:
        check_areas(image, resolution(image, mpp)[0], tissue, roi)


def _without_resolution(paths: Sequence[Path], given: Sequence[Path], page: int | None) -> list[Path]:
    """Returns the images in folders that say no um/px, and reports them.

    Raises MitobenchError for a named file without um/px, and if no other image can be searched.
    """
    from mitobench.cli.console import notify
    from mitobench.model.inputs import without_resolution

    without, note = without_resolution(paths, given, page)
    if note:
        notify(note)
    return without


def _spread(where: Executor, out: Path, files: Sequence[Path], device: str) -> Spread | None:
    """Returns what searches images on a cluster; None for an executor of this machine."""
    from mitobench.pipeline.executors.on_ray import OnRay

    return functools.partial(where.spread, out, files, device) if isinstance(where, OnRay) else None


predict.__doc__ = f"{inspect.getdoc(predict)}\n\n{EXAMPLES}"
