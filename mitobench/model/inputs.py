"""Which images there are to predict on, as frames, and what their outputs are called."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from mitobench.api import Frame
from mitobench.datasets import images
from mitobench.datasets.files import IMAGE_SUFFIXES
from mitobench.errors import DataError, MitobenchError

SUMMARY = "summary"  # the stem of the summary's file, which no image's outputs may have


def images_of(paths: Iterable[Path]) -> list[Path]:
    """The files given, and all image files that lie in the folders given, sorted; each once.

    A path that is not there, and a folder without an image, stay in the list: reading them says what is wrong.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        inside = [p for p in sorted(path.iterdir()) if _is_image(p)] if path.is_dir() else []
        for image in inside or [path]:
            found.setdefault(image.resolve(), image)
    return list(found.values())


def _is_image(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def names(paths: Sequence[Path]) -> list[str]:
    """What the outputs of each image are called: its stem; from the second of one stem on `STEM-2`, `STEM-3`, ...

    Stems are one where a file system that ignores case would think so.
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
    """Raises MitobenchError where an output could be written over an image."""
    for path in paths:
        if path.resolve().parent == out.resolve():
            raise MitobenchError(f"--out {out}: {path.name} lies in it, and could be overwritten. Give another folder.")


def frame(path: Path, mpp: float) -> Frame:
    """An image file as a frame at `mpp` um/px; its pixels are read once. Raises DataError where it is no image."""
    if path.is_dir():
        raise DataError(f"{path}: holds no image ({', '.join(sorted(IMAGE_SUFFIXES))}). Give a folder that does.")
    if not path.exists():
        raise DataError(f"{path}: is not there. Correct the path.")
    pixels = images.read_rgb(path)
    size = (pixels.shape[1], pixels.shape[0])
    return Frame(path.name, "images", path.stem, "-", (mpp, mpp), size, lambda: pixels)
