"""TIFF in all its forms: BigTIFF, OME-TIFF, pyramids, planar, tiled, 8 and 16 bits.

tifffile reads the pages and their tags. Pillow decodes ordinary 8-bit pages of at most 2^26 px, as a whole. All others
are decoded tile by tile or strip by strip (tifffile, with imagecodecs if they are compressed), so that a region of a
large page needs little memory; so are damaged ones, so that what can be read is read. A page of one large strip, or one
whose codec is missing, is decoded as a whole up to 2^28 px.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from mitobench.errors import DataError
from mitobench.file_cache import remembered
from mitobench.foreign import open_regular
from mitobench.foreign.limits import MAX_IMAGE_BYTES, MAX_PAGES, MAX_PIXELS, MAX_SEGMENTS, MAX_SLIDE_PIXELS
from mitobench.slides.reader import memory, ome, optional, pixels, plain, resolution
from mitobench.slides.reader.image import Image, undecodable
from mitobench.slides.reader.pixels import Box, Pixels

# Values of tags.
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR = 0, 1, 2, 3, 5, 6
_NONE, _LZW, _OLD_JPEG, _JPEG, _DEFLATE, _PACKBITS, _OLD_DEFLATE = 1, 5, 6, 7, 8, 32773, 32946
_UNKNOWN_SAMPLE, _PREMULTIPLIED, _ALPHA = 0, 1, 2
_PLANES = 2
_REDUCED = 1
_UNSIGNED = 1
_NOT_TISSUE = re.compile(  # a line of the description of a page: "label 387x463", "Macro image"
    r"^\W*(label|macro|overview)(\s+(image|\d.*))?\s*$", re.IGNORECASE | re.MULTILINE
)
_MACRO_OF_APERIO = 9  # NewSubfileType

_PILLOW_COMPRESSIONS = {_NONE, _LZW, _OLD_JPEG, _JPEG, _DEFLATE, _PACKBITS, _OLD_DEFLATE}
_BUILT_IN = {_NONE, _DEFLATE, _OLD_DEFLATE, _PACKBITS}  # compressions that tifffile reads without imagecodecs
_SIMILAR = 0.02  # relative difference of the aspect ratios of a page and its reduced copy
_BAND = 1 << 24  # px that are decoded at once to find the greatest value, and of a tile or strip that is not too large


@dataclass(frozen=True)
class _Kind:
    """How the samples of a page become RGB.

    Attributes:
        mode: as of Pillow, with `;16` for 16 bits.
        alpha: index of the sample that holds the transparency; None: none does.
        notes: on samples that are ignored.
    """

    mode: str
    inverted: bool = False
    alpha: int | None = None
    premultiplied: bool = False
    notes: tuple[str, ...] = ()


class TiffImage(Image):
    """An image in a TIFF file."""

    def __init__(self, path: Path, page: int | None = None) -> None:
        self._file: BinaryIO | None = None
        self._tiff: Any = None
        self._whole: Pixels | None = None
        self._found: str | None = None
        self._page = "" if page is None else f" page {page}"
        with _reading(path) as tiff:
            plan = _plan(path, tiff, page)
            self._levels, self._planes, self._kind = plan.levels, plan.planes, plan.kind
            self.mode = plan.kind.mode
            self._by_pillow, self._by_parts = plan.by_pillow, plan.by_parts
        if not self._by_pillow:
            self.decoder = optional.version("tifffile")
            if optional.is_installed("imagecodecs"):
                self.decoder += f", {optional.version('imagecodecs')}"
        super().__init__(path, tuple(level.size for level in plan.levels), plan.mpp, plan.notes, plan.orientation)

    @property
    def notes(self) -> tuple[str, ...]:
        """As for every image; reads the pixels of those with more than 8 bits or transparency."""
        kind = ["image is inverted grey (0 is white), turned into grey"] if self._kind.inverted else []
        conversion = plain.conversion_notes(self.mode, self._findings)
        return (*conversion, *kind, *self._kind.notes, *self._header_notes)

    @property
    def has_parts(self) -> bool:
        """Whether tiles or strips are decoded, not the whole image."""
        return self._by_parts or not self._by_pillow

    def close(self) -> None:
        """Closes the file and drops decoded pixels."""
        if self._tiff is not None:
            self._tiff.close()
        if self._file is not None:
            self._file.close()
        self._tiff = self._file = self._whole = None

    def _read_stored(self, level: int, box: Box) -> Pixels:
        x, y, width, height = box
        if level == 0 and self._by_pillow and self._whole is None:
            self._decode_whole()
        if level == 0 and self._whole is not None:
            return self._whole[y : y + height, x : x + width]
        return self._convert(self._samples(level, box))

    def _decode_whole(self) -> None:
        """Decodes the image as a whole. If a part of it is damaged, the parts are read one by one from then on."""
        try:
            self._whole = self._decode_by_pillow()
        except (DataError, MemoryError):
            raise
        except Exception:
            if not self._by_parts:
                raise
            self._by_pillow = False

    def _decode_by_pillow(self) -> Pixels:
        with plain.opened(self.path, ("TIFF",), self._levels[0].index) as image:
            samples = plain.decode(self.path, image, self.mode)
        self._found = self._found or plain.findings(samples, self.mode)
        return plain.to_rgb(samples, self.mode, self._found)

    def _convert(self, samples: np.ndarray[Any, Any]) -> Pixels:
        kind = self._kind
        bits = int(self._findings().partition(".")[0]) if samples.dtype == np.uint16 else 8
        eight = pixels.to_bytes(samples, bits)
        if kind.inverted:
            eight = 255 - eight
        if kind.mode.startswith("CMYK"):
            return pixels.cmyk_to_rgb(np.ascontiguousarray(eight[..., :4]))
        colour = eight[..., :3] if kind.mode.startswith("RGB") else np.repeat(eight[..., :1], 3, axis=2)
        if kind.alpha is None or self._findings().endswith("none"):
            return np.ascontiguousarray(colour)
        alpha = pixels.to_bytes(samples[..., kind.alpha : kind.alpha + 1], 16 if samples.dtype == np.uint16 else 8)
        return pixels.on_white(np.concatenate([colour, alpha], axis=2), kind.premultiplied)

    def _findings(self) -> str:
        if self._found is None:
            self._found = remembered(f"findings 1{self._page}", [("image", self.path)], self._look)
        return self._found

    def _look(self) -> str:
        """Returns `plain.findings` of the whole image; of a large one, of its smallest stored resolution."""
        try:
            if self._by_pillow:
                with plain.opened(self.path, ("TIFF",), self._levels[0].index) as image:
                    return plain.findings(plain.decode(self.path, image, self.mode), self.mode)
            return self._look_at_samples()
        except DataError:
            raise
        except Exception as reason:
            raise undecodable(self.path, reason) from reason

    def _look_at_samples(self) -> str:
        level = len(self._levels) - 1
        width, height = self._levels[level].size
        rows = max(1, _BAND // width)
        colours = 4 if self.mode.startswith("CMYK") else 3 if self.mode.startswith("RGB") else 1
        greatest, opaque, deep = 0, False, False
        for top in range(0, height, rows):
            samples = self._samples(level, (0, top, width, min(rows, height - top)))
            greatest = max(greatest, int(samples[..., :colours].max(initial=0)))
            opaque = opaque or (self._kind.alpha is not None and bool(samples[..., self._kind.alpha].any()))
            deep = samples.dtype == np.uint16
        bits = pixels.true_bits(greatest) if deep else 8
        if bits in (14, 16) and (self._kind.inverted or colours == 4):
            bits = 16  # these images are bright where their values are small, so a small greatest value proves nothing
        return f"{bits}" if self._kind.alpha is None else f"{bits}.{'some' if opaque else 'none'}"

    def _samples(self, level: int, box: Box) -> np.ndarray[Any, Any]:
        """Decodes a box of a level: [h, w, samples]. Reads only the tiles or strips that it touches."""
        tiff = self._opened()
        if self._planes:
            planes = [_decode(self.path, tiff.pages[index], self._file, box) for index in self._planes]
            return np.concatenate(planes, axis=2)
        return _decode(self.path, self._levels[level].page(tiff), self._file, box)

    def _opened(self) -> Any:
        if self._tiff is None:
            self._file = open_regular(self.path, MAX_IMAGE_BYTES, "image", DataError)
            self._tiff = _tifffile(self.path).TiffFile(self._file, name=self.path.name)
        return self._tiff

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_file": None, "_tiff": None, "_whole": None}


@dataclass(frozen=True)
class _Level:
    """A stored resolution: a page, or one of the smaller pages (SubIFDs) that belong to it."""

    index: int
    size: tuple[int, int]
    sub: int | None = None

    def page(self, tiff: Any) -> Any:
        page = tiff.pages[self.index]
        return page if self.sub is None else page.pages[self.sub]


@dataclass(frozen=True)
class _Plan:
    """What is read of a file: its pages by resolution, or its planes (one page a channel).

    Attributes:
        by_pillow: Pillow decodes the full resolution, as a whole.
        by_parts: tifffile can decode it, tile by tile or strip by strip.
    """

    levels: tuple[_Level, ...]
    planes: tuple[int, ...]
    kind: _Kind
    by_pillow: bool
    by_parts: bool
    mpp: resolution.Mpp | None
    notes: tuple[str, ...]
    orientation: int


# ------------------------------------------------------------------------------------------------------ headers


def _tifffile(path: Path) -> Any:
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what it finds odd is reported by us
    return optional.load("tifffile", path, "a TIFF")


@contextmanager
def _reading(path: Path) -> Iterator[Any]:
    """Opens a file and reads its pages' tags. Raises DataError if that fails."""
    library = _tifffile(path)
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


def _plan(path: Path, tiff: Any, page: int | None = None) -> _Plan:
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
    kind = _Kind("RGB;16" if main.bitspersample == 16 else "RGB") if planes else _kind(path, main)
    for page in same if planes else [main]:
        _check(path, page, tiff.filehandle.size)
    levels, left_out = _levels(path, tissue, main, tiff.filehandle.size) if not planes else ([], 0)
    if left_out and main.index == 0:
        notes.append(f"{left_out} further pages of other sizes are ignored")
    mpp, note = _mpp(main, pages[0], about)
    notes += [note] if note else []
    orientation = pixels.orientation(main.tags.valueof("Orientation"))
    by_parts = _is_in_parts(main, kind)
    by_pillow = not planes and orientation == 1 and _is_ordinary(main, kind) and _is_whole(main, by_parts)
    if by_pillow:
        notes += memory.notes((width, height), "TIFF", kind.mode)
    else:
        _check_codecs(path, main)
    all_levels = (_Level(main.index, (width, height)), *levels)
    return _Plan(all_levels, tuple(planes), kind, by_pillow, by_parts, mpp, tuple(notes), orientation)


def _is_label_or_macro(page: Any, about: ome.Description) -> bool:
    texts = (_description(page), about.names.get(page.index, ""))
    return page.subfiletype == _MACRO_OF_APERIO or any(_NOT_TISSUE.search(text) for text in texts)


def _plan_of_page(path: Path, tiff: Any, pages: list[Any], number: int) -> _Plan:
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
    kind = _kind(path, main)
    _check(path, main, tiff.filehandle.size)
    alike = (main.imagewidth, main.imagelength) == (pages[0].imagewidth, pages[0].imagelength)
    mpp, note = _mpp(main, pages[0], about) if alike else _mpp(main, main, ome.Description())
    orientation = pixels.orientation(main.tags.valueof("Orientation"))
    by_parts = _is_in_parts(main, kind)
    by_pillow = orientation == 1 and _is_ordinary(main, kind) and _is_whole(main, by_parts)
    notes = [f"page {number} of {len(pages)} is read", *((note,) if note else ())]
    if by_pillow:
        notes += memory.notes((width, height), "TIFF", kind.mode)
    else:
        _check_codecs(path, main)
    levels = (_Level(main.index, (width, height)),)
    return _Plan(levels, (), kind, by_pillow, by_parts, mpp, tuple(notes), orientation)


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
        pages = "Choose one with --page, or export" if main.samplesperpixel >= 3 else "Export"
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
        {(8, _BLACK_IS_ZERO, _UNSIGNED)},
        {(16, _BLACK_IS_ZERO, _UNSIGNED)},
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


def _kind(path: Path, page: Any) -> _Kind:
    """Returns how a page becomes RGB. Raises DataError for values or channels that have no meaning as RGB."""
    bits, photometric, samples = page.bitspersample, int(page.photometric), page.samplesperpixel
    if isinstance(bits, tuple) or page.sampleformat not in (_UNSIGNED, None) or bits > 16:
        kind = {2: "signed", 3: "floating-point"}.get(page.sampleformat, "unequal")
        raise DataError(
            f"{path}: has {kind} samples of {bits} bits, which have no meaning as RGB. Save it as 8-bit RGB."
        )
    extras = [int(extra) for extra in page.extrasamples]
    colours = {_RGB: 3, _YCBCR: 3, _CMYK: 4}.get(photometric, 1)
    if photometric not in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR):
        raise DataError(f"{path}: its colours ({page.photometric!r}) cannot be converted to RGB. Save it as 8-bit RGB.")
    if samples < colours or samples > colours + 1:
        raise DataError(f"{path}: has {samples} channels, and only RGB, grey and CMYK can be read. Export it as RGB.")
    alpha, notes = None, tuple[str, ...]()
    if samples > colours:
        extra = extras[0] if extras else _UNKNOWN_SAMPLE
        if extra in (_PREMULTIPLIED, _ALPHA) and photometric in (_RGB, _BLACK_IS_ZERO):
            alpha = colours
        elif colours == 1:
            raise DataError(f"{path}: has 2 channels of unknown meaning. Export it as RGB.")
        else:
            notes = ("a further channel of unknown meaning is ignored",)
    mode = {_RGB: "RGB", _YCBCR: "RGB", _CMYK: "CMYK", _PALETTE: "P"}.get(photometric, "L" if bits > 1 else "1")
    if alpha is not None:
        mode = "RGBA" if mode == "RGB" else "LA"
    if bits > 8:
        mode = {"L": "I;16", "LA": "LA;16", "CMYK": "CMYK;16"}.get(mode, f"{mode};16")
        if mode == "P;16":
            raise DataError(f"{path}: has a palette of {1 << bits} colours. Save it as 8-bit RGB.")
    inverted = photometric == _WHITE_IS_ZERO
    return _Kind(mode, inverted, alpha, alpha is not None and extras[0] == _PREMULTIPLIED, notes)


def _is_ordinary(page: Any, kind: _Kind) -> bool:
    """Whether Pillow decodes a page right."""
    return (
        page.bitspersample in (1, 8)
        and (page.planarconfig != _PLANES or page.samplesperpixel == 1)
        and int(page.compression) in _PILLOW_COMPRESSIONS
        and not kind.notes
        and (kind.alpha is None or (kind.alpha == 3 and not kind.premultiplied))
        and not (int(page.photometric) == _YCBCR and int(page.compression) not in (_JPEG, _OLD_JPEG))
        and not (page.bitspersample == 1 and page.samplesperpixel > 1)
    ) or (page.bitspersample in (2, 4) and int(page.photometric) == _PALETTE and page.samplesperpixel == 1)


def _is_whole(page: Any, by_parts: bool) -> bool:
    """Whether a page is decoded as a whole: it has few pixels, or cannot be decoded otherwise."""
    pixels: int = page.imagewidth * page.imagelength
    return pixels <= (memory.MIN_PIXELS if by_parts else MAX_PIXELS)


def _is_in_parts(page: Any, kind: _Kind) -> bool:
    """Whether tifffile decodes a page of 8-bit RGB in parts that are not too large."""
    rows = page.tilelength if page.is_tiled else min(page.rowsperstrip or page.imagelength, page.imagelength)
    part = (page.tilewidth if page.is_tiled else page.imagewidth) * rows
    has_codec = int(page.compression) in _BUILT_IN or optional.is_installed("imagecodecs")
    return kind.mode == "RGB" and page.bitspersample == 8 and has_codec and part <= _BAND


def _check(path: Path, page: Any, length: int) -> None:
    """Raises DataError if tiles or strips of a page are missing, too many, or beyond the end of the file."""
    offsets, counts = page.dataoffsets, page.databytecounts
    if len(offsets) > MAX_SEGMENTS:
        raise DataError(f"{path}: has {len(offsets):,} tiles or strips. Copy the file again.")
    if page.is_tiled:
        tile = page.tilewidth * page.tilelength
        number = math.ceil(page.imagewidth / max(1, page.tilewidth)) * math.ceil(
            page.imagelength / max(1, page.tilelength)
        )
    else:
        rows = min(page.rowsperstrip or page.imagelength, page.imagelength)
        tile, number = page.imagewidth * rows, math.ceil(page.imagelength / max(1, rows))
    number *= page.samplesperpixel if page.planarconfig == _PLANES and page.samplesperpixel > 1 else 1
    if not 0 < tile <= MAX_PIXELS:
        raise DataError(f"{path}: has tiles or strips of {tile:,} px. Save it with smaller ones.")
    cut = any(offset + count > length for offset, count in zip(offsets, counts, strict=False))
    if cut or len(offsets) < number or len(counts) < number:
        raise DataError(f"{path}: the image is truncated: pixels are missing. Copy the file again.")


def _check_codecs(path: Path, page: Any) -> None:
    if int(page.compression) not in _BUILT_IN and not optional.is_installed("imagecodecs"):
        raise optional.missing("imagecodecs", path, f"a TIFF with {page.compression.name} compression")
    if page.bitspersample not in (8, 16) and not optional.is_installed("imagecodecs"):
        raise optional.missing("imagecodecs", path, f"a TIFF with samples of {page.bitspersample} bits")


def _levels(path: Path, pages: list[Any], main: Any, length: int) -> tuple[list[_Level], int]:
    """Returns the reduced copies of a page, the largest first, and the number of pages that are none."""
    found, others = [], 0
    for page in pages:
        if page.index != main.index:
            if page.is_tiled and main.is_tiled and _is_reduced(page, main):
                found.append(_Level(page.index, (page.imagewidth, page.imagelength)))
                _check(path, page, length)
            elif not page.is_reduced:
                others += 1
    for number, page in enumerate((main.pages if main.subifds else None) or ()):
        if number >= MAX_PAGES:
            raise DataError(f"{path}: has more than {MAX_PAGES:,} stored resolutions. Copy the file again.")
        if _is_reduced(page, main):
            found.append(_Level(main.index, (page.imagewidth, page.imagelength), number))
            _check(path, page, length)
    return sorted(found, key=lambda level: level.size, reverse=True), others


def _is_reduced(page: Any, main: Any) -> bool:
    """Whether a page is a smaller copy of another one, judged by its form."""
    if (page.imagewidth, page.imagelength) >= (main.imagewidth, main.imagelength) or not page.imagelength:
        return False
    aspect = page.imagewidth / page.imagelength * main.imagelength / main.imagewidth
    alike = (page.bitspersample, page.samplesperpixel, page.sampleformat, page.photometric == main.photometric)
    same_kind = alike == (main.bitspersample, main.samplesperpixel, main.sampleformat, True)
    tolerance = max(_SIMILAR, 2 / min(page.imagewidth, page.imagelength))
    return same_kind and abs(aspect - 1) <= tolerance and bool(page.databytecounts)


def _mpp(page: Any, first: Any, about: ome.Description) -> tuple[resolution.Mpp | None, str | None]:
    """Returns um/px: from OME-XML or the description where they have it, otherwise from the resolution tags."""
    x, y = page.tags.valueof("XResolution"), page.tags.valueof("YResolution")
    described = resolution.of_ome(about.pixels)
    if None in described:
        described = resolution.of_description(_description(first), x, y)
    if None not in described:
        return resolution.checked(*described)
    return resolution.checked(*resolution.of_tiff_tags(x, y, page.tags.valueof("ResolutionUnit")))


# ------------------------------------------------------------------------------------------------------ pixels


def _decode(path: Path, page: Any, file: Any, box: Box) -> np.ndarray[Any, Any]:
    """Decodes the tiles or strips of a page that a box touches: [h, w, samples] of the page's type."""
    left, top, width, height = box
    dtype = np.dtype(page.dtype)
    out = np.zeros((height, width, page.samplesperpixel), dtype)
    for index in _touched(page, box):
        offset, count = page.dataoffsets[index], page.databytecounts[index]
        if not count:
            raise DataError(f"{path}: a tile or strip of the image is missing. Copy the file again.")
        decode = page.decode  # before the seek: making it may read the file
        file.seek(offset)
        segment, (sample, _, y, x, _), shape = decode(file.read(count), index, jpegtables=page.jpegtables)
        if segment is None:
            raise DataError(f"{path}: a tile or strip of the image is missing. Copy the file again.")
        segment = segment[0, : shape[1], : shape[2]]
        first = 0 if segment.shape[2] == page.samplesperpixel else sample
        rows = slice(max(y, top), min(y + segment.shape[0], top + height))
        columns = slice(max(x, left), min(x + segment.shape[1], left + width))
        out[
            rows.start - top : rows.stop - top,
            columns.start - left : columns.stop - left,
            first : first + segment.shape[2],
        ] = segment[rows.start - y : rows.stop - y, columns.start - x : columns.stop - x]
    return out


def _touched(page: Any, box: Box) -> Iterator[int]:
    """Yields the indices of the tiles or strips of a page that a box touches."""
    left, top, width, height = box
    across = page.tilewidth if page.is_tiled else page.imagewidth
    down = page.tilelength if page.is_tiled else min(page.rowsperstrip or page.imagelength, page.imagelength)
    columns, rows = math.ceil(page.imagewidth / across), math.ceil(page.imagelength / down)
    planes = page.samplesperpixel if page.planarconfig == _PLANES and page.samplesperpixel > 1 else 1
    for plane in range(planes):
        for row in range(top // down, (top + height - 1) // down + 1):
            for column in range(left // across, (left + width - 1) // across + 1):
                yield (plane * rows + row) * columns + column
