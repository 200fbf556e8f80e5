"""Finds the files of a data folder, and keeps synthetic data sets apart from real ones."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from mitobench.errors import DataError, counted

MARKER = "synthetic.json"
IMAGE_SUFFIXES = frozenset({".bmp", ".tif", ".tiff", ".png", ".jpg", ".jpeg"})


# Whole slides, which the data sets of whole slides read by region.
SLIDE_SUFFIXES = frozenset({".svs", ".ndpi", ".mrxs", ".scn", ".bif"})
# Formats of slides and images that are not read.
UNREAD_SUFFIXES = frozenset(
    [
        ".bif",
        ".btf",
        ".czi",
        ".dcm",
        ".gif",
        ".heic",
        ".jfif",
        ".jp2",
        ".j2k",
        ".mrxs",
        ".ndpi",
        ".ndpis",
        ".qptiff",
        ".scn",
        ".svs",
        ".svslide",
        ".vms",
        ".vsi",
        ".webp",
    ]
)


def unread_files(folders: Iterable[Path], used: Collection[Path] = ()) -> dict[Path, list[Path]]:
    """Returns, by folder, the files that look like images and are not read: all but those that are `used`."""
    found = {
        folder: sorted(path for path in folder.iterdir() if path.suffix.lower() in UNREAD_SUFFIXES and path not in used)
        for folder in sorted(folders)
    }
    return {folder: paths for folder, paths in found.items() if paths}


def unread_lines(unread: Mapping[Path, Sequence[Path]]) -> Iterator[str]:
    """Says, for each folder, which of its files look like images and are not read."""
    for folder, paths in unread.items():
        suffixes = " ".join(sorted({path.suffix.lower() for path in paths}))
        names = ", ".join(path.name for path in paths[:5])
        files = counted(len(paths), "file is", "files are")
        yield f"{folder}: {files} not read ({suffixes}): {names}"


def walk(root: Path) -> Iterator[Path]:
    """Yields all files below `root`, sorted. Follows links; skips hidden files and folders.

    Skips folders below `root` that contain the marker of a synthetic data set: their frames have the real layout and
    must never be mistaken for real ones. `root` itself is always entered.
    """
    seen = {os.path.realpath(root)}
    for folder, subfolders, files in os.walk(root, followlinks=True):
        if MARKER in files and Path(folder) != Path(root):
            subfolders.clear()
            continue
        subfolders[:] = [name for name in sorted(subfolders) if _is_new(Path(folder, name), seen)]
        yield from (Path(folder, name) for name in sorted(files) if not name.startswith("."))


def _is_new(folder: Path, seen: set[str]) -> bool:
    """Whether a folder is visible and was not visited yet. A link to a parent would otherwise never end."""
    real = os.path.realpath(folder)
    if folder.name.startswith(".") or real in seen:
        return False
    seen.add(real)
    return True


def is_synthetic(folder: Path) -> bool:
    """Whether a folder contains the marker file of a synthetic data set."""
    return (Path(folder) / MARKER).is_file()


def inside_synthetic(folder: Path) -> bool:
    """Whether a folder is, or is inside, a synthetic data set, so that no frame below it is real."""
    folder = Path(folder).resolve()
    return any(map(is_synthetic, (folder, *folder.parents)))


def unique(named: Iterable[tuple[str, Path]], what: str, hint: str = "") -> dict[str, Path]:
    """Returns paths by name. Raises DataError, listing both files and the hint, if two have the same name."""
    paths: dict[str, Path] = {}
    for name, path in named:
        if paths.setdefault(name, path) != path:
            raise DataError(f"Two files are {what} {name}: {paths[name]} and {path}. Keep one of them. {hint}".strip())
    return paths
