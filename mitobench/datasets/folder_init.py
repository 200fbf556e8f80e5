"""Looks at a folder of images and writes its `dataset.toml`."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from pydantic import PrivateAttr

from mitobench.atomic import write_text_atomic
from mitobench.datasets import images
from mitobench.datasets.files import unread_files, unread_lines
from mitobench.datasets.folder import annotation_files, images_of
from mitobench.datasets.folder_formats import read_annotations
from mitobench.datasets.folder_settings import FILE, Boxes, FolderSettings, as_title
from mitobench.datasets.reader import not_found
from mitobench.errors import DataError
from mitobench.foreign.classes import meaning

MITOSES = '["mitosis", "mitotic figure"]'
IMPOSTERS = '["hard negative", "non-mitotic figure"]'
PREFIXES = ("^([^_]+)_", "^([^-]+)-", "^(.+)_", "^(.+)-")  # of names, the shortest first: it joins the most images


@dataclass(frozen=True)
class SlideGuess:
    """Slides that the names of images look like: the pattern for `slide`, and the number of images of each."""

    pattern: str
    images: Mapping[str, int]


@dataclass(frozen=True)
class FolderLook:
    """What a folder holds: images, how many of them say no um/px, their um/px, annotation files, unread files.

    Attributes:
        each_is_a_slide: whether several images lie in one folder without others, so that each counts as a slide.
        guess: the slides that the names of these images look like; None: each looks like a slide of its own.
        grouped_by: the column, property or key of the annotation that says the slide; empty if none does.
        classes: the classes in the annotation files, and whether each is a mitosis; None: it is not known.
        boxes: what the four numbers of a box are, if the files do not say it and can be read in one way only.
        question: why the annotation cannot be read with these settings; empty if it can.
    """

    images: int
    without_mpp: int
    mpp: tuple[float, ...]
    annotations: tuple[str, ...]
    unread: tuple[str, ...]
    each_is_a_slide: bool = False
    guess: SlideGuess | None = None
    grouped_by: str = ""
    classes: Mapping[str, bool | None] = field(default_factory=dict)
    boxes: Boxes | None = None
    question: str = ""

    @property
    def unknown(self) -> tuple[str, ...]:
        """The classes of which it is not known what they are."""
        return tuple(name for name, is_mitosis in self.classes.items() if is_mitosis is None)


class _Trial(FolderSettings):
    """Settings with which every class is read, and remembered."""

    _seen: dict[str, bool | None] = PrivateAttr(default_factory=dict)

    def is_mitosis(self, label: str, where: str) -> bool | None:
        """Whether the usual rule takes a class for a mitosis; None if it does not know the class."""
        self._seen[label] = meaning(label)
        return self._seen[label]

    @property
    def seen(self) -> dict[str, bool | None]:
        """The classes that were read."""
        return self._seen


def look(folder: Path) -> FolderLook:
    """Looks at the images and annotation files below a folder. Raises DataError if either is missing."""
    if not folder.is_dir():
        raise DataError(f"{folder}: is not a directory. Give the folder that holds the images.")
    paths = images_of(folder)
    if not paths:
        raise not_found("folder", folder, "images (bmp, tif, tiff, png, jpg, jpeg)")
    headers = {path: images.frame_image(path) for path in paths.values()}
    own = [header.mpp for header in headers.values()]
    found = sorted({round(max(mpp), 4) for mpp in own if mpp is not None})
    files = annotation_files(folder, FolderSettings())
    names = tuple(file.relative_to(folder).as_posix() for file in files)
    unread = tuple(unread_lines(unread_files({path.parent for path in paths.values()})))
    sizes = {path.name: header.size for path, header in headers.items()}
    tried = _tried(files, None, sizes)
    advised = [boxes for boxes in get_args(Boxes) if f'boxes = "{boxes}"' in tried.question]
    boxes: Boxes | None = None
    if len(advised) == 1:
        again = _tried(files, advised[0], sizes)
        tried, boxes = (tried, None) if again.question else (again, advised[0])
    by_name = len(paths) > 1 and {path.parent for path in paths.values()} == {folder} and not tried.grouped_by
    return FolderLook(
        len(paths),
        sum(mpp is None for mpp in own),
        tuple(found),
        names,
        unread,
        by_name,
        guess_slides([path.name for path in paths.values()]) if by_name else None,
        tried.grouped_by,
        tried.classes,
        boxes,
        tried.question,
    )


def guess_slides(names: Sequence[str]) -> SlideGuess | None:
    """Returns the slides by a prefix that images share, of their names; None if no prefix gives several groups.

    Every name must have the prefix, and there must be fewer groups than images, but more than one.
    """
    for pattern in PREFIXES:
        found = [match[1] for name in names if (match := re.search(pattern, name))]
        if len(found) == len(names) and 1 < len(set(found)) < len(names):
            return SlideGuess(pattern, Counter(sorted(found)))
    return None


@dataclass(frozen=True)
class _Tried:
    """What the annotation files say: their classes, what groups images, and why they cannot be read so."""

    classes: Mapping[str, bool | None] = field(default_factory=dict)
    grouped_by: str = ""
    question: str = ""


def _tried(files: Sequence[Path], boxes: Boxes | None, sizes: Mapping[str, tuple[int, int]]) -> _Tried:
    trial = _Trial(boxes=boxes)
    try:
        read = [read_annotations(file, trial, sizes) for file in files]
    except DataError as reason:
        return _Tried(question=str(reason))
    figures = [
        (figure, sizes.get(Path(name).name)) for one in read for name, of in one.figures.items() for figure in of
    ]
    outside = [figure for figure, size in figures if size and (figure.x > size[0] or figure.y > size[1])]
    why = f"{outside[0].where}: its box leaves the image." if outside and boxes else ""
    return _Tried(trial.seen, next((one.grouped_by for one in read if one.groups), ""), why)


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
        which = "The image says" if seen.images == 1 else f"{seen.without_mpp} of {seen.images} images say"
        mpp = ask(f"{which} no um/px. How many um does a pixel have?")
    low, high = images.FRAME_MPP
    if mpp is not None and not low <= mpp <= high:
        raise DataError(
            f"--mpp {mpp:g}: is outside {low}-{high} um/px. A scan at 40x has about 0.25, at 20x about 0.5."
        )
    write_text_atomic(path, _text(folder, mpp, seen))
    return path, seen


def _text(folder: Path, mpp: float | None, seen: FolderLook) -> str:
    named = seen.annotations[0] if len(seen.annotations) == 1 else "*.geojson"
    slide = seen.guess.pattern if seen.guess else PREFIXES[0]
    default = f"{seen.grouped_by} in the annotation" if seen.grouped_by else "its folder, or each image"
    resolution = f"mpp = {mpp:g}" if mpp is not None else f"# mpp: the images say it ({_list(seen.mpp)} um/px)"
    title = json.dumps(as_title(folder.resolve().name) or "images", ensure_ascii=False)
    lines = [
        f"title = {title}  # what tables call the data set",
        f"annotations = {json.dumps(named)}",
        resolution,
        "radius_um = 7.5  # a detection closer than this to a mitosis is a hit",
        _boxes(seen),
        f"mitosis = {_names(seen, True) or MITOSES}  # names of the classes beside the usual ones, in any letter case",
        f"imposter = {_names(seen, False) or IMPOSTERS}",
        'unannotated = "unlabelled"  # or "empty", if images without an annotation were searched',
        f"# slide = '{slide}'  # the slide in an image's name; default: {default}",
        '# domains = { tumour = "", scanner = "", lab = "", species = "" }',
    ]
    if seen.unknown:
        unknown = ", ".join(json.dumps(name, ensure_ascii=False) for name in seen.unknown)
        lines.append(f"# put each of these classes into mitosis, imposter or ignore: {unknown}")
    return "\n".join(lines) + "\n"


def _boxes(seen: FolderLook) -> str:
    text = "what the four numbers of a box are: corners, xywh or centre"
    return f'boxes = "{seen.boxes}"  # {text}' if seen.boxes else f'# boxes = "xywh"  # {text}'


def _names(seen: FolderLook, is_mitosis: bool) -> str:
    names = [name for name, answer in seen.classes.items() if answer is is_mitosis]
    return json.dumps(names, ensure_ascii=False) if names else ""


def _list(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values[:3])
