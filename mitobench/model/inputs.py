"""Finds the images to predict on, reads them as frames, and names their output files."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from mitobench.api import Frame
from mitobench.errors import DataError, MitobenchError, as_text, listed
from mitobench.foreign.limits import MAX_PIXELS
from mitobench.model.output_folder import written_in
from mitobench.mpp import Mpp, differ, um_px
from mitobench.slides.reader import COMPANION_SUFFIXES, READ_SUFFIXES, Image, PixelReader, oddities, open_image
from mitobench.slides.reader.dicom import describe, one_a_slide, other_files
from mitobench.slides.reader.image import too_many_pixels

MIN_MPP, MAX_MPP = 0.1, 1.0  # um/px at which mitoses are found
MIN_SIDE_UM = 10.0  # of an image: about a mitotic figure
_LISTED = 8  # files of a slide that a note names, and files of a folder that an error names
HEAT = ".heat"  # end of the stem of a heat map
_MAX_STEM = 200  # bytes of the stem of an output file; the rest is for its ending, and for that of temporary files
SUMMARY = "summary"  # stem of the summary file; reserved, so no image's output files get it


def images_of(paths: Iterable[Path], recursive: bool = False) -> list[Path]:
    """Returns the given files, and all image files in the given folders, sorted; each once.

    Args:
        paths: files and folders.
        recursive: also of folders within folders; hidden ones are left out. What `predict` wrote is left out.

    Missing paths and folders without images stay in the list: `frame` raises the error for them. Of the files of a
    DICOM slide, one is returned.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        inside = [p for p in _files(path, recursive) if _is_image(p)] if path.is_dir() else []
        for image in inside or [path]:
            found.setdefault(real(image), image)
    return one_a_slide(found.values())


def notes_on_files(path: Path) -> list[str]:
    """Returns a note on the other files of a slide of several files."""
    files = other_files(path) if path.suffix.lower() == ".dcm" else []
    if not files:
        return []
    described = [(file, describe(file)) for file in files]
    names = ", ".join(f"{file.name}{f' ({one.kind})' if one and one.kind else ''}" for file, one in described[:_LISTED])
    more = f" and {len(files) - _LISTED} more" if len(files) > _LISTED else ""
    return [f"belongs to the same slide, and is not searched by itself: {names}{more}"]


def left_out(paths: Iterable[Path], recursive: bool = False) -> list[Path]:
    """Returns the files in the given folders that may be images and are not read, sorted.

    Tables, texts, annotation and other files that people keep beside images are not among them.
    """
    found: dict[Path, Path] = {}
    for folder in (path for path in paths if path.is_dir()):
        for path in _files(folder, recursive):
            known = path.suffix.lower() in READ_SUFFIXES | COMPANION_SUFFIXES
            if path.is_file() and not known and not path.name.startswith("."):
                found.setdefault(real(path), path)
    return list(found.values())


def _files(folder: Path, recursive: bool) -> list[Path]:
    """The files of a folder, sorted.

    Left out are the folders in which slides of several files keep their parts, and what `predict` wrote.
    """
    ours = written_in(folder)
    listed = sorted(path for path in folder.iterdir() if as_text(path.name) not in ours)
    if not recursive:
        return listed
    found = []
    for path in listed:
        is_folder = path.is_dir() and not path.is_symlink()
        if is_folder and not path.name.startswith(".") and not path.with_name(f"{path.name}.mrxs").exists():
            found += _files(path, recursive)
        elif not path.is_dir():
            found.append(path)
    return found


def _is_image(path: Path) -> bool:
    is_broken_link = path.is_symlink() and not path.exists()  # an image that must not be passed over in silence
    named = path.suffix.lower() in READ_SUFFIXES and not path.name.startswith(".")
    return named and (path.is_file() or is_broken_link)


class Searched(NamedTuple):
    """An image that an earlier command searched: its absolute path, and its file as it was then, as `state` says."""

    path: str
    file: list[Any]


def names(paths: Sequence[Path], earlier: Mapping[str, Searched] | None = None) -> list[str]:
    """Names the outputs of each image: its stem, or `STEM-2`, `STEM-3`, ... for further images with the same stem.

    Ignores case when comparing stems, as some file systems do. `STEM.heat` is the name of another image's heat map.
    Long stems are cut, as file systems limit names to 255 bytes.

    Args:
        paths: the images.
        earlier: images that have outputs already, by name. They keep their names, and no other image gets these.
    """
    stems = [_cut(path.stem) for path in paths]
    reserved = {stem.lower() for stem in stems}
    kept = _kept(paths, stems, earlier or {})
    taken = {SUMMARY, *(name.lower() for name in earlier or ())}
    given = []
    for image, stem in enumerate(stems):
        name, number = kept.get(image, stem), 1
        while image not in kept and (
            name.lower() in taken or name.lower().endswith(HEAT) or (number > 1 and name.lower() in reserved)
        ):
            number += 1
            name = f"{stem}-{number}"
        taken.add(name.lower())
        given.append(name)
    return given


def _kept(paths: Sequence[Path], stems: Sequence[str], earlier: Mapping[str, Searched]) -> dict[int, str]:
    """Returns the names of the images that an earlier command searched, by number: of the same path, or else file.

    A file that is still where it was has not moved, however similar another one is.
    """
    at, moved = defaultdict[str, list[str]](list), defaultdict[str, list[str]](list)
    for name, searched in earlier.items():
        at[searched.path].append(name)
        if not os.path.exists(searched.path):
            moved[json.dumps(searched.file)].append(name)
    kept, free = dict[int, str](), set(earlier)

    def keep(image: int, known: Iterable[str]) -> None:
        name = next((name for name in known if name in free and _is_numbered(name, stems[image])), None)
        if name is not None:
            kept[image] = name
            free.remove(name)

    for image, path in enumerate(paths):
        keep(image, at.get(as_text(str(real(path))), ()))
    for image, path in enumerate(paths if moved else ()):
        if image not in kept:
            keep(image, moved.get(_described(path), ()))
    return kept


def real(path: Path) -> Path:
    """Returns the absolute path without links; as `Path.resolve`, which raises RuntimeError for links in a circle."""
    return Path(os.path.realpath(path))


def _is_numbered(name: str, stem: str) -> bool:
    """Whether a name is one that `names` gives."""
    before, _, number = name.rpartition("-")
    return name == stem or (before == stem and number.isdecimal())


def _described(path: Path) -> str:
    try:
        return json.dumps(state(path))
    except DataError:  # it is missing, which is reported when its turn comes
        return ""


def state(path: Path) -> list[Any]:
    """Returns the name of a file, and its size and time of modification; with those of the other files of a slide.

    Raises DataError if it does not exist.
    """
    parts = path.with_suffix("")
    try:
        if path.suffix.lower() == ".mrxs":
            files = [path, *(sorted(parts.iterdir()) if parts.is_dir() else ())]
        else:
            files = [path, *(other_files(path) if path.suffix.lower() == ".dcm" else ())]
        return [as_text(path.name), *([file.stat().st_size, file.stat().st_mtime_ns] for file in files)]
    except OSError as reason:
        raise DataError(f"{path}: vanished while it was read. Put it back and run the same command again.") from reason


def _cut(stem: str) -> str:
    while len(os.fsencode(stem)) > _MAX_STEM:
        stem = stem[:-1]
    return stem


def check_out(out: Path, paths: Iterable[Path]) -> None:
    """Raises MitobenchError if an output could overwrite an image."""
    for path in paths:
        if real(path).parent == out.resolve():
            raise MitobenchError(
                f"--out {out}: contains the image {path.name}, which could be overwritten. Give another folder."
            )


def check_there(paths: Iterable[Path], advice: str = "") -> None:
    """Raises DataError if a path does not exist, or is a folder without images; `advice` ends how to fix the latter."""
    for path in paths:
        if path.is_dir():
            raise DataError(
                f"{path}: contains no images ({', '.join(sorted(READ_SUFFIXES))}).{_unread(path)} Give a folder with "
                f"images{advice}."
            )
        if not path.exists():
            raise DataError(f"{path}: does not exist. Correct the path.")


def check_file(path: Path) -> None:
    """Raises DataError if an image does not exist, or is an empty file."""
    check_there([path])
    if path.stat().st_size == 0:
        raise DataError(f"{path}: is empty (0 bytes). Copy the file again.")


def _unread(folder: Path) -> str:
    """Names the files of a folder that may be images of other formats."""
    names = [as_text(path.name) for path in left_out([folder])]
    if not names:
        return ""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f" It has {', '.join(names[:_LISTED])}{more}, which cannot be read: convert such files to TIFF."


def resolution(image: Image, given: float | None, option: str = "--mpp ") -> tuple[Mpp, list[str]]:
    """Returns the um/px to use for an image, and a note if the file says something else.

    Args:
        image: the image.
        given: um/px that the user gives; it replaces the file's.
        option: how the user gives it, before the number: for the message.

    Raises DataError if neither is there, and for um/px at which no mitosis can be recognised.
    """
    if given is not None:
        mpp = (given, given)
        if image.mpp is None or not differ(image.mpp, mpp):
            return mpp, []
        return mpp, [f"the file says {um_px(image.mpp)} um/px, and {given:g} is used"]
    if image.mpp is None:
        raise NoResolution(f"{image.path}: the file has no um/px. {_give(option)}{_reading_notes(image)}")
    if not all(MIN_MPP <= value <= MAX_MPP for value in image.mpp):
        raise DataError(
            f"{image.path}: says {um_px(image.mpp)} um/px, as a reduced copy does: too coarse to find mitoses, which "
            f"takes {MIN_MPP:g} to {MAX_MPP:g}. Search the file of full resolution, or scan at 20x or 40x. If the file "
            f"is wrong, give {option.strip()}.{_reading_notes(image)}"
        )
    return image.mpp, []


def check_size(image: str | Path, size: tuple[int, int], mpp: Mpp) -> None:
    """Raises DataError if an image of `size` (width, height px) is smaller than a mitosis. `image` names it."""
    width, height = (pixels * um for pixels, um in zip(size, mpp, strict=True))
    if min(width, height) < MIN_SIDE_UM:
        raise DataError(
            f"{image}: too small: {width:.3g} x {height:.3g} um, and a mitosis has about {MIN_SIDE_UM:g} um. Give a "
            "larger image, or check its um/px."
        )


def without_resolution(
    paths: Sequence[Path], named: Sequence[Path] = (), page: int | None = None
) -> tuple[list[Path], str]:
    """Returns the images that say no um/px, and what to tell the user about them; empty if there are none.

    Reads headers only. Files that cannot be read are left out: the reason is reported when their turn comes.

    Raises NoResolution if an image in `named` says none, or no other image can be searched.
    """
    without, searchable = dict[Path, NoResolution](), 0
    for path in paths:
        try:
            with open_image(path, page) as image:
                resolution(image, None)
            searchable += 1
        except NoResolution as reason:
            without[path] = reason
        except MitobenchError:
            continue
    wrong = [path for path in without if path in named or not searchable]
    if len(wrong) == 1:
        raise without[wrong[0]]
    if wrong:
        raise NoResolution(f"{_list(wrong)}: these {len(wrong)} files have no um/px. {_give()}")
    if not without:
        return [], ""
    have = "has" if len(without) == 1 else "have"
    note = f"{len(without)} of {len(paths)} images {have} no um/px and will be skipped: {_list([*without])}. {_give()}"
    return [*without], note


def _list(paths: Sequence[Path]) -> str:
    return listed([as_text(str(path)) for path in paths], _LISTED)


def _give(option: str = "--mpp ") -> str:
    return f"Give them with {option.strip()}, for example {option}0.25 for a 40x scan or {option}0.5 for a 20x scan."


def _reading_notes(image: Image) -> str:
    """What reading an image noted, to follow the reason why it is refused."""
    try:
        notes = "; ".join(image.notes)
    except DataError:  # its pixels cannot be read either
        return ""
    return f" Noted when it was read: {notes}." if notes else ""


class NoResolution(DataError):
    """An image file has no um/px."""


def frame_of(image: Image, mpp: Mpp, page: int | None = None) -> Frame:
    """Returns an image as a frame, whose pixels are read when they are needed."""
    path = image.path
    return Frame(
        as_text(path.name),
        "images",
        as_text(path.stem),
        "-",
        mpp,
        image.size,
        PixelReader(path, image.decoder, page=page),
    )


def frame(path: Path, mpp: float) -> Frame:
    """Reads an image file as a frame at `mpp` um/px. Raises DataError if it is missing or not a readable image."""
    return read(path, mpp)[0]


def read(path: Path, mpp: float) -> tuple[Frame, list[str]]:
    """Reads an image file as a frame at `mpp` um/px, with notes on what was converted or is odd. Raises as `frame`."""
    check_file(path)
    with open_image(path) as image:
        if image.size[0] * image.size[1] > MAX_PIXELS:
            raise too_many_pixels(path, *image.size)
        pixels = image.read()
        notes = [*image.notes, *oddities(pixels), *resolution(image, mpp)[1]]
        return replace(frame_of(image, (mpp, mpp)), reader=lambda: pixels), notes
