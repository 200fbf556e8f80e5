"""Which pages of a TIFF are read: its stored resolutions, planes, one page of a stack; and what is noted about them."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mitobench.errors import DataError
from mitobench.foreign import open_regular
from mitobench.foreign.limits import MAX_IMAGE_BYTES, MAX_PAGES, MAX_SLIDE_PIXELS
from mitobench.slides.reader import memory, ome, optional, pixels, resolution
from mitobench.slides.reader.image import undecodable
from mitobench.slides.reader.tiff_page import (
    BLACK_IS_ZERO,
    UNSIGNED,
    Kind,
    check_codecs,
    check_segments,
    is_in_parts,
    is_ordinary,
    is_stored_as_ycbcr,
    is_whole,
    kind_of,
)

_NOT_TISSUE = re.compile(  # a line of the description of a page: "label 387x463", "Macro image"
    r"^\W*(label|macro|overview)(\s+(image|\d.*))?\s*$", re.IGNORECASE | re.MULTILINE
)
_MACRO_OF_APERIO = 9  # NewSubfileType
_SIMILAR = 0.02  # relative difference of the aspect ratios of a page and its reduced copy


@dataclass(frozen=True)
class Level:
    """A stored resolution: a page, or one of the smaller pages (SubIFDs) that belong to it."""

    index: int
    size: tuple[int, int]
    sub: int | None = None

    def page(self, tiff: Any) -> Any:
        """Returns the page of an opened file."""
        page = tiff.pages[self.index]
        return page if self.sub is None else page.pages[self.sub]


@dataclass(frozen=True)
class Plan:
    """What is read of a file: its pages by resolution, or its planes (one page a channel).

    Attributes:
        by_pillow: Pillow decodes the full resolution, as a whole.
        by_parts: tifffile can decode it, tile by tile or strip by strip.
    """

    levels: tuple[Level, ...]
    planes: tuple[int, ...]
    kind: Kind
    by_pillow: bool
    by_parts: bool
    mpp: resolution.Mpp | None
    notes: tuple[str, ...]
    orientation: int


def load_tifffile(path: Path) -> Any:
    """Returns the module tifffile. Raises DataError, with what to install, if it is missing."""
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what it finds odd is reported by us
    return optional.load("tifffile", path, "a TIFF")


@contextmanager
def reading(path: Path) -> Iterator[Any]:
    """Opens a file and reads its pages' tags. Raises DataError if that fails."""
    library = load_tifffile(path)
    with open_regular(path, MAX_IMAGE_BYTES, "image", DataError) as file:
        try:
            with library.TiffFile(file, name=path.name) as tiff:
                yield tiff
        except (DataError, MemoryError):
            raise
        except Exception as reason:
            raise undecodable(path, reason) from reason


def _pages(path: Path, tiff: Any) -> list[Any]:
    pages = []
    for page in tiff.pages:
        pages.append(page)
        if len(pages) > MAX_PAGES:
            raise DataError(f"{path}: has more than {MAX_PAGES:,} pages. Export the image as RGB on one page.")
    if not pages:
        raise DataError(f"{path}: holds no image. Copy the file again.")
    return pages


def plan_of(path: Path, tiff: Any, page: int | None = None) -> Plan:
    """Returns what is read of a file.

    Args:
        path: the file, for messages.
        tiff: the file, opened by tifffile.
        page: number of the page to read, from 1 on; None: the largest that is not a label or macro image.

    Raises DataError, with the reason, for a file that is not one image of H&E in RGB, or is truncated.
    """
    tiff.pages.useframes = False
    pages = _pages(path, tiff)
    if page is not None:
        return _plan_of_page(path, tiff, pages, page)
    about = ome.read(_description(pages[0]))
    tissue = [page for page in pages if not _is_label_or_macro(page, about)]
    if not tissue:
        raise DataError(f"{path}: holds only the label or the macro image of a slide. Give the slide.")
    main = max(tissue, key=lambda page: page.imagewidth * page.imagelength)  # the first of the largest
    width, height = main.imagewidth, main.imagelength
    if not 0 < width * height <= MAX_SLIDE_PIXELS:
        raise DataError(f"{path}: the image has {width} x {height} px. Copy the file again.")
    notes = []
    if main.index != 0 and tissue[0] is pages[0]:
        first = pages[0]
        notes.append(
            f"the first page ({first.imagewidth} x {first.imagelength} px) is a smaller image; the largest page "
            f"({width} x {height} px) is read"
        )
    same = [page for page in tissue if (page.imagewidth, page.imagelength) == (width, height)]
    planes = _planes(path, same, about, notes)
    kind = kind_of(path, main) if not planes else Kind("RGB", 8) if main.bitspersample == 8 else Kind("RGB;16", 16)
    for page in same if planes else [main]:
        check_segments(path, page, tiff.filehandle.size)
    levels, left_out = _levels(path, tissue, main, tiff.filehandle.size) if not planes else ([], 0)
    if left_out and main.index == 0:
        notes.append(f"{left_out} further pages of other sizes are ignored")
    mpp, on_mpp = _mpp(main, pages[0], about)
    notes += on_mpp
    orientation = pixels.orientation(main.tags.valueof("Orientation"))
    by_parts = is_in_parts(main, kind)
    by_pillow = not planes and orientation == 1 and is_ordinary(main, kind) and is_whole(main, by_parts)
    if by_pillow:
        notes += memory.notes((width, height), "TIFF", kind.mode)
    else:
        check_codecs(path, main)
    all_levels = (Level(main.index, (width, height)), *levels)
    return Plan(all_levels, tuple(planes), kind, by_pillow, by_parts, mpp, tuple(notes), orientation)


def _is_label_or_macro(page: Any, about: ome.Description) -> bool:
    texts = (_description(page), about.names.get(page.index, ""))
    return page.subfiletype == _MACRO_OF_APERIO or any(_NOT_TISSUE.search(text) for text in texts)


def _plan_of_page(path: Path, tiff: Any, pages: list[Any], number: int) -> Plan:
    """Returns the plan for one page of several, for example of a z-stack.

    Raises DataError unless it is RGB, and for a smaller copy of another page, a label and a macro image.
    """
    if not 1 <= number <= len(pages):
        raise DataError(f"{path}: has pages 1 to {len(pages)}, and no page {number}.")
    main, about = pages[number - 1], ome.read(_description(pages[0]))
    if _is_label_or_macro(main, about):
        raise DataError(f"{path}: page {number} is the label or the macro image of the slide, not its tissue.")
    if main.is_reduced or any(_is_reduced(main, page) for page in pages):
        raise DataError(f"{path}: page {number} is a smaller copy of another page. Give the page of full resolution.")
    if main.samplesperpixel < 3:
        raise DataError(
            f"{path}: page {number} is grey: it is one channel, not an image of H&E. Export the image as RGB."
        )
    width, height = main.imagewidth, main.imagelength
    if not 0 < width * height <= MAX_SLIDE_PIXELS:
        raise DataError(f"{path}: page {number} has {width} x {height} px. Copy the file again.")
    kind = kind_of(path, main)
    check_segments(path, main, tiff.filehandle.size)
    alike = (main.imagewidth, main.imagelength) == (pages[0].imagewidth, pages[0].imagelength)
    mpp, on_mpp = _mpp(main, pages[0], about) if alike else _mpp(main, main, ome.Description())
    orientation = pixels.orientation(main.tags.valueof("Orientation"))
    by_parts = is_in_parts(main, kind)
    by_pillow = orientation == 1 and is_ordinary(main, kind) and is_whole(main, by_parts)
    notes = [f"page {number} of {len(pages)} is read", *on_mpp]
    if by_pillow:
        notes += memory.notes((width, height), "TIFF", kind.mode)
    else:
        check_codecs(path, main)
    levels = (Level(main.index, (width, height)),)
    return Plan(levels, (), kind, by_pillow, by_parts, mpp, tuple(notes), orientation)


def _description(page: Any) -> str:
    return str(page.description or "")


def _planes(path: Path, same: list[Any], about: ome.Description, notes: list[str]) -> list[int]:
    """Returns the pages that are the red, green and blue of one image; none if one page holds all of it.

    Raises DataError for several images of one size: a z-stack, fluorescence channels, a time series.
    """
    main = same[0]
    several = about.several or _several_of_imagej(_description(main))
    if len(same) == 1 and not several:
        return []
    if several or len(same) != 3 or main.samplesperpixel != 1:
        several_rgb = main.samplesperpixel >= 3
        pages = "Choose one with --page of `predict` and `data from-geojson`, or export" if several_rgb else "Export"
        raise DataError(
            f"{path}: holds {several or f'{len(same)} images of the same size'}: it is a stack or has one page a "
            f"channel. {pages} the image as RGB on one page."
        )
    by_colour = {colour: index for index, colour in enumerate(about.colours)}
    if set(by_colour) != {"red", "green", "blue"}:
        raise DataError(
            f"{path}: has one page for each of 3 channels, and does not say which are red, green and blue. "
            "Export the image as RGB on one page."
        )
    if {(page.bitspersample, int(page.photometric), page.sampleformat) for page in same} not in (
        {(8, BLACK_IS_ZERO, UNSIGNED)},
        {(16, BLACK_IS_ZERO, UNSIGNED)},
    ):
        raise DataError(f"{path}: its 3 channels are not grey of 8 or 16 bits. Export the image as RGB on one page.")
    notes.append("one page a channel, put together as red, green and blue by their names")
    return [same[by_colour[colour]].index for colour in ("red", "green", "blue")]


def _several_of_imagej(text: str) -> str | None:
    if not text.startswith("ImageJ="):
        return None
    values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    found = [f"{values[key]} {key}" for key in ("channels", "slices", "frames") if values.get(key, "1") != "1"]
    return ", ".join(found) or None


def _levels(path: Path, pages: list[Any], main: Any, length: int) -> tuple[list[Level], int]:
    """Returns the reduced copies of a page, the largest first, and the number of pages that are none."""
    found, others = [], 0
    for page in pages:
        if page.index != main.index:
            if page.is_tiled and main.is_tiled and _is_reduced(page, main):
                found.append(Level(page.index, (page.imagewidth, page.imagelength)))
                check_segments(path, page, length)
            elif not page.is_reduced:
                others += 1
    for number, page in enumerate((main.pages if main.subifds else None) or ()):
        if number >= MAX_PAGES:
            raise DataError(f"{path}: has more than {MAX_PAGES:,} stored resolutions. Copy the file again.")
        if _is_reduced(page, main):
            found.append(Level(main.index, (page.imagewidth, page.imagelength), number))
            check_segments(path, page, length)
    return sorted(found, key=lambda level: level.size, reverse=True), others


def _is_reduced(page: Any, main: Any) -> bool:
    """Whether a page is a smaller copy of another one, judged by its form."""
    if (page.imagewidth, page.imagelength) >= (main.imagewidth, main.imagelength) or not page.imagelength:
        return False
    aspect = page.imagewidth / page.imagelength * main.imagelength / main.imagewidth
    alike = (page.bitspersample, page.samplesperpixel, page.sampleformat, page.photometric == main.photometric)
    same_kind = alike == (main.bitspersample, main.samplesperpixel, main.sampleformat, True)
    tolerance = max(_SIMILAR, 2 / min(page.imagewidth, page.imagelength))
    same_kind &= is_stored_as_ycbcr(page) == is_stored_as_ycbcr(main)
    return same_kind and abs(aspect - 1) <= tolerance and bool(page.databytecounts)


def _mpp(page: Any, first: Any, about: ome.Description) -> tuple[resolution.Mpp | None, list[str]]:
    """Returns um/px: from OME-XML or the description where they have it, otherwise from the resolution tags."""
    x, y = page.tags.valueof("XResolution"), page.tags.valueof("YResolution")
    described = (
        resolution.of_ome(about.pixels) if about.pixels else resolution.of_description(_description(first), x, y)
    )
    return resolution.first_of(described, resolution.of_tiff_tags(x, y, page.tags.valueof("ResolutionUnit")))
