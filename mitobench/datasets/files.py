"""Walking a data folder, and writing files that are there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from mitobench.errors import DataError

MARKER = "synthetic.json"
IMAGE_SUFFIXES = frozenset({".bmp", ".tif", ".tiff", ".png", ".jpg", ".jpeg"})


def walk(root: Path) -> Iterator[Path]:
    """All files below `root`, sorted, through links, without hidden folders.

    Folders below `root` that hold the synthetic marker are left out: their frames have the real layout and must never
    pass for real ones. `root` itself is always entered.
    """
    seen = {os.path.realpath(root)}
    for folder, subfolders, files in os.walk(root, followlinks=True):
        if MARKER in files and Path(folder) != Path(root):
            subfolders.clear()
            continue
        subfolders[:] = [name for name in sorted(subfolders) if _is_new(Path(folder, name), seen)]
        yield from (Path(folder, name) for name in sorted(files) if not name.startswith("."))


def _is_new(folder: Path, seen: set[str]) -> bool:
    """Whether the walk has not been here; a link back up would never end."""
    real = os.path.realpath(folder)
    if folder.name.startswith(".") or real in seen:
        return False
    seen.add(real)
    return True


def is_synthetic(folder: Path) -> bool:
    """Whether a folder carries the marker of a synthetic data set."""
    return (Path(folder) / MARKER).is_file()


def inside_synthetic(folder: Path) -> bool:
    """Whether a folder is, or lies in, a synthetic data set: nothing below it can be real."""
    folder = Path(folder).resolve()
    return any(map(is_synthetic, (folder, *folder.parents)))


def unique(named: Iterable[tuple[str, Path]], what: str) -> dict[str, Path]:
    """Paths by name. Raises DataError listing both where two claim one name."""
    paths: dict[str, Path] = {}
    for name, path in named:
        if paths.setdefault(name, path) != path:
            raise DataError(
                f"Two files are {what} {name}: {paths[name]} and {path}. Keep one of them "
                "(a contest's .jpg beside the .bmp has the mitoses painted over)."
            )
    return paths
