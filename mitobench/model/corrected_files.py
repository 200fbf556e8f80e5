"""Of which image, and of which page of it, a corrected GeoJSON file is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mitobench.errors import DataError, as_text
from mitobench.model import inputs
from mitobench.model.output_folder import FILES, OutputFolder


class Pair(NamedTuple):
    """A GeoJSON file, its image, and the page of the image; None: it has one page."""

    geojson: Path
    image: Path
    page: int | None = None


class _Searched(NamedTuple):
    """An image of the index that `predict` wrote: its absolute path, its file as it was then, and its page."""

    path: str
    file: list[Any]
    page: int | None


def pairs_of(files: Sequence[Path], images: Sequence[Path], page: int | None = None) -> list[Pair]:
    """Finds the image of each GeoJSON file.

    It is the only image; or the one that the index of `predict` beside the file names, as for `NAME-2.geojson`; or the
    one of the same name without suffixes.

    Args:
        files: GeoJSON files.
        images: image files, and folders that hold them.
        page: of every image; None: that which `predict` searched according to its index.

    Raises DataError if an image is missing, two have the name of a file, or the index names another page.
    """
    found = inputs.images_of(images)
    inputs.check_there([*files, *found])
    by_name: dict[str, list[Path]] = {}
    for path in found:
        for name in {path.stem, path.name}:
            by_name.setdefault(name, []).append(path)
    indices = {folder: _index(folder) for folder in {file.parent for file in files}}
    only = len(files) == len(found) == 1
    pairs = []
    for file in files:
        index = indices[file.parent]
        image = found[0] if only else _image_of(file, found, by_name, index)
        searched = index.get(as_text(_name(file)))
        if searched is None or not _is_of(image, searched):
            pairs.append(Pair(file, image, page))
            continue
        if page is not None and page != searched.page:
            with_page = f"with --page {searched.page}" if searched.page else "without --page"
            raise DataError(f"{file}: `predict` searched its image {with_page}, not page {page}. Leave out --page.")
        pairs.append(Pair(file, image, searched.page))
    return pairs


def _name(file: Path) -> str:
    return file.name.removesuffix(file.suffix)


def _image_of(
    file: Path, found: Sequence[Path], by_name: Mapping[str, Sequence[Path]], index: Mapping[str, _Searched]
) -> Path:
    name = _name(file)
    searched = index.get(as_text(name))
    if searched is not None:
        image = next((path for path in found if _is_of(path, searched)), None)
        if image is not None:
            return image
    others = [one for other, one in index.items() if other != as_text(name)]
    named = [path for path in by_name.get(name, ()) if not any(_is_of(path, one) for one in others)]
    if len(named) > 1:
        raise DataError(f"{named[1]}: has the same name as {named[0]}. Give them in separate commands.")
    if not named:
        was = f" `predict` searched {searched.path}." if searched is not None else ""
        numbered = f", or leave the file beside the {FILES} of `predict`" if re.search(r"-\d+$", name) else ""
        raise DataError(f"{file}: no image is named {name}.{was} Give it with --image{numbered}.")
    return named[0]


def _is_of(image: Path, searched: _Searched) -> bool:
    """Whether an image is one that was searched: it has the same path, or, if it was moved, is the same file."""
    if as_text(str(inputs.real(image))) == searched.path:
        return True
    return (
        as_text(image.name) == searched.file[0]
        and not Path(searched.path).exists()
        and inputs.state(image) == searched.file
    )


def _index(folder: Path) -> dict[str, _Searched]:
    """Returns the images whose results `predict` wrote into a folder, by the name of their files."""
    known = OutputFolder(folder)
    known.read()
    found = {}
    for name, entry in known.images.items():
        try:
            path, identity = entry["stored"]["summary"]["image"], entry["identity"]
            page = identity["page"]
            found[name] = _Searched(str(path), list(identity["file"]), page if isinstance(page, int) else None)
        except (KeyError, TypeError):  # not an entry that mitobench wrote
            continue
    return {name: one for name, one in found.items() if one.file}
