"""Finds the images to predict on, reads them as frames, and names their output files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from mitobench.api import Frame
from mitobench.datasets import images
from mitobench.errors import DataError, MitobenchError
from mitobench.foreign.limits import MAX_PIXELS
from mitobench.slides.reader import COMPANION_SUFFIXES, READ_SUFFIXES, oddities, open_image
from mitobench.slides.reader.image import too_many_pixels

SUMMARY = "summary"  # stem of the summary file; reserved, so no image's output files get it


def images_of(paths: Iterable[Path]) -> list[Path]:
    """Returns the given files, and all image files directly in the given folders, sorted; each once.

    Missing paths and folders without images stay in the list: `frame` raises the error for them.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        inside = [p for p in sorted(path.iterdir()) if _is_image(p)] if path.is_dir() else []
        for image in inside or [path]:
            found.setdefault(image.resolve(), image)
    return list(found.values())


def left_out(paths: Iterable[Path]) -> list[Path]:
    """Returns the files directly in the given folders that may be images and are not read, sorted.

    Tables, texts, annotation and other files that people keep beside images are not among them.
    """
    found: dict[Path, Path] = {}
    for folder in (path for path in paths if path.is_dir()):
        for path in sorted(folder.iterdir()):
            known = path.suffix.lower() in READ_SUFFIXES | COMPANION_SUFFIXES
            if path.is_file() and not known and not path.name.startswith("."):
                found.setdefault(path.resolve(), path)
    return list(found.values())


def _is_image(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in READ_SUFFIXES and not path.name.startswith(".")


def names(paths: Sequence[Path]) -> list[str]:
    """Names the outputs of each image: its stem, or `STEM-2`, `STEM-3`, ... for further images with the same stem.

    Ignores case when comparing stems, as some file systems do.
    """
    stems = {path.stem.lower() for path in paths}
    taken = {SUMMARY}
    given = []
    for path in paths:
        name, number = path.stem, 1
        while name.lower() in taken or (number > 1 and name.lower() in stems):
            number += 1
            name = f"{path.stem}-{number}"
        taken.add(name.lower())
        given.append(name)
    return given


def check_out(out: Path, paths: Iterable[Path]) -> None:
    """Raises MitobenchError if an output could overwrite an image."""
    for path in paths:
        if path.resolve().parent == out.resolve():
            raise MitobenchError(
                f"--out {out}: contains the image {path.name}, which could be overwritten. Give another folder."
            )


def frame(path: Path, mpp: float) -> Frame:
    """Reads an image file as a frame at `mpp` um/px. Raises DataError if it is missing or not a readable image."""
    return read(path, mpp)[0]


def read(path: Path, mpp: float) -> tuple[Frame, list[str]]:
    """Reads an image file as a frame at `mpp` um/px, with notes on what was converted or is odd. Raises as `frame`."""
    if path.is_dir():
        raise DataError(f"{path}: contains no images ({', '.join(sorted(READ_SUFFIXES))}). Give a folder with images.")
    if not path.exists():
        raise DataError(f"{path}: does not exist. Correct the path.")
    with open_image(path) as image:
        if image.size[0] * image.size[1] > MAX_PIXELS:
            raise too_many_pixels(path, *image.size)
        pixels = image.read()
        notes = [*image.notes, *oddities(pixels)]
        if images.differ(image.mpp, (mpp, mpp)) and image.mpp:
            notes.append(f"the file says {images.um_px(image.mpp)} um/px, and {mpp:g} is used")
    size = (pixels.shape[1], pixels.shape[0])
    return Frame(path.name, "images", path.stem, "-", (mpp, mpp), size, lambda: pixels), notes
