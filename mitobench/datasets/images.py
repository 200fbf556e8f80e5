"""Reads and writes images as uint8 RGB, whatever mode and bit depth the files have."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from mitobench.atomic import write_atomic
from mitobench.errors import DataError
from mitobench.foreign import open_regular
from mitobench.foreign.limits import MAX_IMAGE_BYTES, MAX_PIXELS

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

_CONVERSIONS = {
    "RGB": None,
    "1": "black and white, repeated in three channels",
    "L": "grey, repeated in three channels",
    "LA": "grey with transparency, composited on white and repeated in three channels",
    "P": "a palette image, its colours looked up",
    "PA": "a palette image with transparency, its colours looked up and composited on white",
    "RGBA": "RGBA, composited on white",
    "CMYK": "CMYK, converted to RGB",
    "YCbCr": "YCbCr, converted to RGB",
    "I;16": "16-bit grey, the high byte kept and repeated in three channels",
    "RGB;16": "16-bit RGB, the high byte kept",
    "RGBA;16": "16-bit RGBA, the high byte kept, composited on white",
}
_FORMATS = ("BMP", "JPEG", "PNG", "TIFF")  # only these: one of Pillow's other readers even starts another program
_STRIPS, _TILES = (273, 279), (324, 325)


class Probe(NamedTuple):
    """The content of an image's header. `note` names the conversion that `read_rgb` does; None if it does none."""

    width: int
    height: int
    mode: str
    note: str | None


def probe(path: Path) -> Probe:
    """Reads an image's size and mode from its header, without decoding pixels.

    Raises DataError naming the file if it is not an image, is truncated, or cannot be converted to RGB.
    """
    try:
        with _opened(path) as image:
            (width, height), mode, whole = image.size, _mode(image), _is_whole(image)
    except DataError:
        raise
    except Exception as reason:
        raise _undecodable(path, reason) from reason
    if not whole:
        raise DataError(f"{path}: the image is truncated: pixels are missing. Copy the file again.")
    if mode not in _CONVERSIONS:
        raise DataError(f"{path}: an image of mode {mode} cannot be converted to RGB. Save it as 8-bit RGB.")
    conversion = _CONVERSIONS[mode]
    return Probe(width, height, mode, conversion and f"{path}: image is {conversion}")


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """Reads the pixels, uint8 [height, width, 3]. Converts what is not 8-bit RGB, as described by `probe(path).note`.

    Raises DataError naming the file if it is truncated or cannot be decoded.
    """
    from PIL import Image

    probe(path)
    try:
        with _opened(path) as image:
            if _mode(image) == "I;16":
                return np.repeat((np.asarray(image) >> 8).astype(np.uint8)[..., None], 3, axis=2)
            if "A" in image.mode or "transparency" in image.info:
                rgba = image.convert("RGBA")
                return np.array(Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB"))
            return np.array(image.convert("RGB"))
    except DataError:
        raise
    except Exception as reason:
        raise _undecodable(path, reason) from reason


def write_rgb(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Writes uint8 RGB, [height, width, 3], atomically, in the format of the path's suffix."""
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(pixels).save(content, Image.registered_extensions()[path.suffix.lower()])
    write_atomic(path, content.getvalue())


@contextmanager
def _opened(path: Path) -> Iterator[ImageFile]:
    """Opens an image and reads its header. Raises DataError if it is not a regular file or declares too many pixels."""
    from PIL import Image

    # Pillow warns about images far smaller than a scanned region; MAX_PIXELS replaces its limit.
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        with (
            open_regular(path, MAX_IMAGE_BYTES, "image", DataError) as file,
            Image.open(file, formats=_FORMATS) as image,
        ):
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise DataError(
                    f"{path}: the image has {width} x {height} px, more than the limit of {MAX_PIXELS:,}. Export the "
                    "region of interest; whole-slide images are not supported."
                )
            yield image
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _undecodable(path: Path, reason: Exception) -> DataError:
    return DataError(f"{path}: cannot be read as an image ({reason}). Copy the file again, or save it as 8-bit RGB.")


def _mode(image: ImageFile) -> str:
    """The image mode with its bit depth. Pillow reports 16-bit colour as RGB; only the decoder's arguments differ."""
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
        return "I;16"
    deep = any(";16" in str(tile[3]) for tile in image.tile)
    return f"{image.mode};16" if deep and image.mode in ("RGB", "RGBA") else image.mode


def _is_whole(image: ImageFile) -> bool:
    """Whether the file is as long as its header says, which is all that can be checked without decoding."""
    file = image.fp
    assert file is not None
    length = file.seek(0, os.SEEK_END)
    if image.format == "TIFF":
        tags = image.tag_v2  # type: ignore[attr-defined]
        return all(
            offset + count <= length
            for offsets, counts in (_STRIPS, _TILES)
            for offset, count in zip(tags.get(offsets, ()), tags.get(counts, ()), strict=False)
        )
    if image.format == "BMP" and image.tile[0][0] == "raw":
        _, _, offset, (_, stride, _) = cast("Any", image.tile[0])
        return bool(offset + stride * image.height <= length)
    # Both formats end with a marker that cannot occur in encoded pixels; scanners may pad after it.
    end = {"PNG": b"IEND", "JPEG": b"\xff\xd9"}.get(str(image.format), b"")
    file.seek(max(0, length - 4096))
    return end in file.read()
