"""One page of a TIFF: what its samples mean, whether its tiles or strips are all there, and how they are decoded."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mitobench.errors import DataError
from mitobench.foreign.limits import MAX_PIXELS, MAX_SEGMENTS
from mitobench.slides.reader import memory, optional
from mitobench.slides.reader.pixels import Box

# Values of tags.
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR = 0, 1, 2, 3, 5, 6
UNSIGNED = 1
_NONE, _LZW, _OLD_JPEG, _JPEG, _DEFLATE, _PACKBITS, _OLD_DEFLATE = 1, 5, 6, 7, 8, 32773, 32946
_UNKNOWN_SAMPLE, _PREMULTIPLIED, _ALPHA = 0, 1, 2
_PLANES = 2
_APERIO_YCBCR, _APERIO_RGB = 33003, 33005  # JPEG 2000, whatever the tag of the colours says
_CMYK_INKS = 1

_PILLOW_COMPRESSIONS = {_NONE, _LZW, _OLD_JPEG, _JPEG, _DEFLATE, _PACKBITS, _OLD_DEFLATE}
_BUILT_IN = {_NONE, _DEFLATE, _OLD_DEFLATE, _PACKBITS}  # compressions that tifffile reads without imagecodecs
_LOSSLESS = {*_BUILT_IN, _LZW, 34925, 34926, 50000}  # and LZMA, ZSTD: they decode to the samples as they were stored
_DECODED_TO_RGB = {_OLD_JPEG, _JPEG, _APERIO_RGB}
_USUAL_SUBSAMPLING = (2, 2)  # where the tag is missing
_REFERENCE = (0.0, 255.0, 128.0, 255.0, 128.0, 255.0)  # of YCbCr that uses all values
_COEFFICIENTS = (0.299, 0.587, 0.114)
BAND = 1 << 24  # px that are decoded at once to find the greatest value, and of a tile or strip that is not too large


@dataclass(frozen=True)
class Kind:
    """How the samples of a page become RGB.

    Attributes:
        mode: as of Pillow, with `;16` for more than 8 bits.
        bits: of a sample.
        alpha: index of the sample that holds the transparency; None: none does.
        notes: on samples that are ignored.
    """

    mode: str
    bits: int = 8
    inverted: bool = False
    alpha: int | None = None
    premultiplied: bool = False
    notes: tuple[str, ...] = ()


def kind_of(path: Path, page: Any) -> Kind:
    """Returns how a page becomes RGB. Raises DataError for values or channels that have no meaning as RGB."""
    bits, photometric, samples = page.bitspersample, int(page.photometric), page.samplesperpixel
    if isinstance(bits, tuple) or page.sampleformat not in (UNSIGNED, None) or bits > 16:
        kind = {2: "signed", 3: "floating-point"}.get(page.sampleformat, "unequal")
        raise DataError(
            f"{path}: has {kind} samples of {bits} bits, which have no meaning as RGB. Save it as 8-bit RGB."
        )
    extras = [int(extra) for extra in page.extrasamples]
    colours = {RGB: 3, YCBCR: 3, CMYK: 4}.get(photometric, 1)
    if photometric not in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR):
        name = getattr(page.photometric, "name", f"kind {photometric}").replace("_", " ")
        raise DataError(f"{path}: its colours ({name}) cannot be converted to RGB. Save it as 8-bit RGB.")
    _check_colours(path, page)
    if samples < colours or samples > colours + 1:
        raise DataError(f"{path}: has {samples} channels, and only RGB, grey and CMYK can be read. Export it as RGB.")
    alpha, notes = None, tuple[str, ...]()
    if samples > colours:
        extra = extras[0] if extras else _UNKNOWN_SAMPLE
        if extra in (_PREMULTIPLIED, _ALPHA) and photometric in (RGB, BLACK_IS_ZERO):
            alpha = colours
        elif colours == 1:
            raise DataError(f"{path}: has 2 channels of unknown meaning. Export it as RGB.")
        else:
            notes = ("a further channel of unknown meaning is ignored",)
    mode = {RGB: "RGB", YCBCR: "RGB", CMYK: "CMYK", PALETTE: "P"}.get(photometric, "L" if bits > 1 else "1")
    if is_stored_as_ycbcr(page):
        mode = "YCbCr"
    if alpha is not None:
        mode = "RGBA" if mode == "RGB" else "LA"
    if bits > 8:
        mode = {"L": "I;16", "LA": "LA;16", "CMYK": "CMYK;16"}.get(mode, f"{mode};16")
        if mode == "P;16":
            raise DataError(f"{path}: has a palette of {1 << bits} colours. Save it as 8-bit RGB.")
    inverted = photometric == WHITE_IS_ZERO
    return Kind(mode, bits, inverted, alpha, alpha is not None and extras[0] == _PREMULTIPLIED, notes)


def is_stored_as_ycbcr(page: Any) -> bool:
    """Whether the decoded samples of a page are YCbCr. Decoders of JPEG return RGB."""
    return int(page.photometric) == YCBCR and int(page.compression) in _LOSSLESS


def _check_colours(path: Path, page: Any) -> None:
    """Raises DataError for palettes, inks and YCbCr that cannot be converted to RGB, or whose meaning is unknown."""
    photometric, compression = int(page.photometric), int(page.compression)
    reason = None
    if photometric == PALETTE and (page.colormap is None or page.colormap.shape != (3, 1 << page.bitspersample)):
        reason = "its palette is missing or has another number of colours"
    elif photometric == CMYK and page.tags.valueof("InkSet", _CMYK_INKS) != _CMYK_INKS:
        reason = "its inks are not CMYK"
    elif compression == _APERIO_YCBCR:
        reason = "its colours (YCbCr in JPEG 2000) are read by OpenSlide only, from a file that is named .svs"
    elif is_stored_as_ycbcr(page):
        if tuple(page.tags.valueof("YCbCrSubSampling", _USUAL_SUBSAMPLING)) != (1, 1):
            reason = "its colours (subsampled YCbCr without JPEG) cannot be converted to RGB"
        elif (
            page.bitspersample != 8
            or _fractions(page, "ReferenceBlackWhite", _REFERENCE) != _REFERENCE
            or _fractions(page, "YCbCrCoefficients", _COEFFICIENTS) != _COEFFICIENTS
        ):
            reason = "its colours (YCbCr of another range, other coefficients or more than 8 bits) are not supported"
    elif photometric == YCBCR and compression not in _DECODED_TO_RGB:
        reason = f"its colours (YCbCr in {page.compression.name}) are not supported"
    if reason:
        raise DataError(f"{path}: {reason}. Save it as 8-bit RGB.")


def _fractions(page: Any, tag: str, default: tuple[float, ...]) -> tuple[float, ...]:
    """Returns the values of a tag, which holds a numerator and a denominator of each."""
    found = page.tags.valueof(tag)
    if found is None:
        return default
    return tuple(round(above / max(1, below), 3) for above, below in zip(found[::2], found[1::2], strict=False))


def is_ordinary(page: Any, kind: Kind) -> bool:
    """Whether Pillow decodes a page right."""
    return (
        page.bitspersample in (1, 8)
        and (page.planarconfig != _PLANES or page.samplesperpixel == 1)
        and int(page.compression) in _PILLOW_COMPRESSIONS
        and not kind.notes
        and (kind.alpha is None or (kind.alpha == 3 and not kind.premultiplied))
        and kind.mode != "YCbCr"
        and not (page.bitspersample == 1 and page.samplesperpixel > 1)
        and not (kind.mode == "P" and has_8_bit_colours(page))
    ) or (
        page.bitspersample in (2, 4) and kind.mode == "P" and page.samplesperpixel == 1 and not has_8_bit_colours(page)
    )


def has_8_bit_colours(page: Any) -> bool:
    """Whether the colours of a palette have 8 bits, as some programs write them, in place of 16."""
    return bool(0 < page.colormap.max() < 256)


def is_whole(page: Any, by_parts: bool) -> bool:
    """Whether a page is decoded as a whole: it has few pixels, or cannot be decoded otherwise."""
    pixels: int = page.imagewidth * page.imagelength
    return pixels <= (memory.MIN_PIXELS if by_parts else MAX_PIXELS)


def is_in_parts(page: Any, kind: Kind) -> bool:
    """Whether tifffile decodes a page of 8-bit RGB in parts that are not too large."""
    rows = page.tilelength if page.is_tiled else min(page.rowsperstrip or page.imagelength, page.imagelength)
    part = (page.tilewidth if page.is_tiled else page.imagewidth) * rows
    has_codec = int(page.compression) in _BUILT_IN or optional.is_installed("imagecodecs")
    return kind.mode == "RGB" and page.bitspersample == 8 and has_codec and part <= BAND


def check_segments(path: Path, page: Any, length: int) -> None:
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


def check_codecs(path: Path, page: Any) -> None:
    """Raises DataError, with what to install, if the package that decodes a page is missing."""
    if int(page.compression) not in _BUILT_IN and not optional.is_installed("imagecodecs"):
        raise optional.missing("imagecodecs", path, f"a TIFF with {page.compression.name} compression")
    if page.bitspersample not in (8, 16) and not optional.is_installed("imagecodecs"):
        raise optional.missing("imagecodecs", path, f"a TIFF with samples of {page.bitspersample} bits")


def decode(path: Path, page: Any, file: Any, box: Box) -> np.ndarray[Any, Any]:
    """Decodes the tiles or strips of a page that a box touches: [h, w, samples] of the page's type."""
    left, top, width, height = box
    dtype = np.dtype(page.dtype)
    out = np.zeros((height, width, page.samplesperpixel), dtype)
    for index in _touched(page, box):
        offset, count = page.dataoffsets[index], page.databytecounts[index]
        if not count:
            raise DataError(f"{path}: a tile or strip of the image is missing. Copy the file again.")
        of_page = page.decode  # before the seek: making it may read the file
        file.seek(offset)
        segment, (sample, _, y, x, _), shape = of_page(file.read(count), index, jpegtables=page.jpegtables)
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
