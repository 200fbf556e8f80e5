"""Finds where plain images end: whether they are truncated, and how many bytes follow them. Decodes no pixels."""

from __future__ import annotations

import os
import re
import struct
from typing import IO, TYPE_CHECKING, Any, cast

from mitobench.foreign.limits import MB

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

_PADDING = 4096  # scanners pad files up to a block, with zeros or with whatever the block held before
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # a JPEG marker: neither a stuffed byte nor a restart
_END = b"\xff\xd9"


def bytes_after_the_end(image: ImageFile) -> int | None:
    """Returns how many bytes follow an open image's end, not counting zeros; None if its end is missing."""
    file = image.fp
    assert file is not None
    length = file.seek(0, os.SEEK_END)
    ends = {"PNG": _end_of_png, "JPEG": _end_of_jpeg, "MPO": _end_of_jpeg, "WEBP": _end_of_riff}
    if image.format in ends:
        found: int | None = ends[image.format](file, length)
    elif image.format == "BMP" and image.tile[0][0] == "raw":
        found = _end_of_bmp(image)
    else:
        return 0
    if found is None or found > length:
        return None
    return _used(file, found, length) if image.format != "MPO" else 0


def _used(file: IO[bytes], start: int, length: int) -> int:
    """Returns the number of bytes from `start`, 0 if all of them are zeros (padding)."""
    if length - start > _PADDING:
        return length - start
    file.seek(start)
    return 0 if not file.read(_PADDING).strip(b"\0") else length - start


def _end_of_png(file: IO[bytes], length: int) -> int | None:
    place = 8
    while place + 12 <= length:
        file.seek(place)
        size, kind = struct.unpack(">I4s", file.read(8))
        place += size + 12
        if kind == b"IEND":
            return int(place)
    return None


def _end_of_bmp(image: ImageFile) -> int:
    _, _, offset, (_, stride, _) = cast("Any", image.tile[0])
    return int(offset + stride * image.height)


def _end_of_riff(file: IO[bytes], length: int) -> int | None:
    file.seek(4)
    return 8 + int(struct.unpack("<I", file.read(4))[0])


def _end_of_jpeg(file: IO[bytes], length: int) -> int | None:
    """Returns the end of a JPEG. Most end with their marker; all others are searched from the first scan on."""
    file.seek(max(0, length - _PADDING))
    tail = file.read(_PADDING).rstrip(b"\0")
    if tail.endswith(_END):
        return max(0, length - _PADDING) + len(tail)
    place = 2  # after the marker of the start
    while True:
        found = _next_marker(file, place)
        if found is None:
            return None
        place, marker = found
        if marker == 0xD9:
            return place
        if marker not in (0x01, 0xD8):
            file.seek(place)
            size = file.read(2)
            if len(size) < 2:
                return None
            place += max(2, struct.unpack(">H", size)[0])


def _next_marker(file: IO[bytes], start: int) -> tuple[int, int] | None:
    """Returns the place after the next marker from `start` on, and the marker; None if there is none."""
    place, left = start, b""
    file.seek(start)
    while block := file.read(MB):
        match = _MARKER.search(left + block)
        if match:
            return place - len(left) + match.end(), (left + block)[match.end() - 1]
        place, left = place + len(block), block[-1:] if block.endswith(b"\xff") else b""
    return None
