"""Looks at a folder of images and writes its `dataset.toml`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mitobench.atomic import write_text_atomic
from mitobench.datasets import images
from mitobench.datasets.base import not_found
from mitobench.datasets.files import unread_files, unread_lines
from mitobench.datasets.folder import annotation_files, images_of
from mitobench.datasets.folder_settings import FILE, FolderSettings
from mitobench.errors import DataError


@dataclass(frozen=True)
class FolderLook:
    """What a folder holds: images, how many of them say no um/px, their um/px, annotation files, unread files.

    `each_is_a_slide`: whether several images lie in one folder without others, so that each counts as a slide.
    """

    images: int
    without_mpp: int
    mpp: tuple[float, ...]
    annotations: tuple[str, ...]
    unread: tuple[str, ...]
    each_is_a_slide: bool = False


def look(folder: Path) -> FolderLook:
    """Looks at the images and annotation files below a folder. Raises DataError if either is missing."""
    if not folder.is_dir():
        raise DataError(f"{folder}: is not a directory. Give the folder that holds the images.")
    paths = images_of(folder)
    if not paths:
        raise not_found("folder", folder, "images (bmp, tif, tiff, png, jpg, jpeg)")
    own = [images.frame_image(path).mpp for path in paths.values()]
    found = sorted({round(max(mpp), 4) for mpp in own if mpp is not None})
    files = annotation_files(folder, FolderSettings())
    names = tuple(file.relative_to(folder).as_posix() for file in files)
    unread = tuple(unread_lines(unread_files({path.parent for path in paths.values()})))
    alone = len(paths) > 1 and {path.parent for path in paths.values()} == {folder}
    return FolderLook(len(paths), sum(mpp is None for mpp in own), tuple(found), names, unread, alone)


def write_settings(folder: Path, mpp: float | None, ask: Callable[[str], float]) -> tuple[Path, FolderLook]:
    """Writes `dataset.toml` after looking; returns its path and what was seen.

    Args:
        folder: the folder of the images.
        mpp: um/px; None: as the images say, and `ask` is called if they do not.
        ask: returns um/px, given the question.

    Raises DataError if there is a `dataset.toml` already, and if um/px is out of range.
    """
    path = folder / FILE
    if path.exists():
        raise DataError(f"{path}: exists already, and is not overwritten. Edit it, or delete it first.")
    seen = look(folder)
    if mpp is None and seen.without_mpp:
        mpp = ask(f"{seen.without_mpp} of {seen.images} images say no um/px. How many um does a pixel have?")
    low, high = images.FRAME_MPP
    if mpp is not None and not low <= mpp <= high:
        raise DataError(
            f"--mpp {mpp:g}: is outside {low}-{high} um/px. A scan at 40x has about 0.25, at 20x about 0.5."
        )
    write_text_atomic(path, _text(folder, mpp, seen))
    return path, seen


def _text(folder: Path, mpp: float | None, seen: FolderLook) -> str:
    named = seen.annotations[0] if len(seen.annotations) == 1 else "*.geojson"
    resolution = f"mpp = {mpp:g}" if mpp is not None else f"# mpp: the images say it ({_list(seen.mpp)} um/px)"
    lines = [
        f"title = {json.dumps(folder.resolve().name)}",
        f"annotations = {json.dumps(named)}",
        resolution,
        "radius_um = 7.5  # a detection closer than this to a mitosis is a hit",
        '# boxes = "xywh"  # or "corners", "centre": what the four numbers of a box are',
        'mitosis = ["mitosis", "mitotic figure"]  # names of the classes, in any letter case',
        'imposter = ["hard negative", "non-mitotic figure"]',
        'unannotated = "unlabelled"  # or "empty", if images without an annotation were searched',
        "# slide = '^([^_]+)_'  # the slide in an image's name; default: its folder, or each image",
        '# domains = { tumour = "", scanner = "", lab = "", species = "" }',
    ]
    return "\n".join(lines) + "\n"


def _list(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values[:3])
