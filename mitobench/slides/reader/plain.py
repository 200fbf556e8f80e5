"""Images that Pillow reads: BMP, JPEG, PNG, JPEG 2000 and WebP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mitobench.errors import DataError
from mitobench.file_cache import remembered
from mitobench.foreign import open_regular
from mitobench.foreign.limits import MAX_IMAGE_BYTES
from mitobench.slides.reader import complete, memory, pixels, resolution
from mitobench.slides.reader.image import Image, too_many_pixels, undecodable
from mitobench.slides.reader.pixels import Box, Pixels

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage
    from PIL.ImageFile import ImageFile

FORMATS = ("BMP", "JPEG", "PNG", "JPEG2000", "WEBP")  # only these: one of Pillow's other readers starts a program
_ORIENTATION = 0x0112
_BAND = 1 << 20  # px that are converted at once

CONVERSIONS = {
    "RGB": None,
    "1": "black and white, repeated in three channels",
    "L": "grey, repeated in three channels",
    "LA": "grey with transparency, composited on white and repeated in three channels",
    "P": "a palette image, its colours looked up",
    "PA": "a palette image with transparency, its colours looked up and composited on white",
    "RGBA": "RGBA, composited on white",
    "RGBa": "RGBA, composited on white",
    "CMYK": "CMYK, converted to RGB",
    "YCbCr": "YCbCr, converted to RGB",
    "I;16": "16-bit grey, the high byte kept and repeated in three channels",
    "RGB;16": "16-bit RGB, the high byte kept",
    "RGBA;16": "16-bit RGBA, the high byte kept, composited on white",
    "LA;16": "16-bit grey with transparency, the high byte kept, composited on white and repeated in three channels",
    "CMYK;16": "16-bit CMYK, the high byte kept, converted to RGB",
}


class PlainImage(Image):
    """An image that Pillow decodes, always as a whole."""

    def __init__(self, path: Path) -> None:
        try:
            with opened(path, FORMATS) as image:
                header = _header(path, image)
        except DataError:
            raise
        except Exception as reason:
            raise undecodable(path, reason) from reason
        self.mode: str = header.pop("mode")
        super().__init__(path, **header)
        self._pixels: Pixels | None = None
        self._found: str | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """As for every image; reads the pixels of those with more than 8 bits or transparency."""
        return (*conversion_notes(self.mode, self._findings), *self._header_notes)

    @property
    def has_parts(self) -> bool:
        """Never: the whole image is decoded."""
        return False

    @property
    def is_partly_transparent(self) -> bool:
        """As for every image; reads the pixels of those with transparency."""
        return self._findings().endswith("some")

    def close(self) -> None:
        """Drops the decoded pixels."""
        self._pixels = None

    def _read_stored(self, level: int, box: Box) -> Pixels:
        if self._pixels is None:
            with opened(self.path, FORMATS) as image:
                samples = decode(self.path, image, self.mode)
            self._found = self._found or findings(samples, self.mode)
            self._pixels = to_rgb(samples, self.mode, self._found)
        x, y, width, height = box
        return self._pixels[y : y + height, x : x + width]

    def _findings(self) -> str:
        if self._found is None:
            self._found = remembered("findings 2", [("image", self.path)], self._look)
        return self._found

    def _look(self) -> str:
        try:
            with opened(self.path, FORMATS) as image:
                return findings(decode(self.path, image, self.mode), self.mode)
        except DataError:
            raise
        except Exception as reason:
            raise undecodable(self.path, reason) from reason


def _header(path: Path, image: ImageFile) -> dict[str, Any]:
    notes = []
    mode = mode_of(image)
    if mode not in CONVERSIONS:
        raise DataError(f"{path}: an image of mode {mode} cannot be converted to RGB. Save it as 8-bit RGB.")
    images = getattr(image, "n_frames", 1)
    if images > 1 and image.format != "MPO":
        raise DataError(f"{path}: holds {images} images (an animation). Save one of them.")
    assert image.fp is not None
    after = complete.bytes_after_the_end(image)
    if after is None:
        raise DataError(f"{path}: the image is truncated: pixels are missing. Copy the file again.")
    if after:
        notes.append(f"{after:,} bytes after the end of the image are ignored")
    mpp, on_mpp = resolution.first_of(resolution.of_dots(image.info.get("dpi")))
    notes += [*on_mpp, *memory.notes(image.size, image.format, mode)]
    orientation = pixels.orientation(image.getexif().get(_ORIENTATION))
    return {
        "stored_levels": (image.size,),
        "mpp": mpp,
        "notes": tuple(notes),
        "orientation": orientation,
        "mode": mode,
    }


@contextmanager
def opened(path: Path, formats: tuple[str, ...], page: int = 0) -> Iterator[ImageFile]:
    """Opens an image with Pillow and reads its header. Raises DataError if it has too many pixels or is not a file."""
    from PIL import Image as Pillow

    # Pillow warns about images far smaller than a scanned region; MAX_PIXELS replaces its limit.
    before, Pillow.MAX_IMAGE_PIXELS = Pillow.MAX_IMAGE_PIXELS, None
    try:
        with (
            open_regular(path, MAX_IMAGE_BYTES, "image", DataError) as file,
            Pillow.open(file, formats=formats) as image,
        ):
            if page:
                image.seek(page)
            width, height = image.size
            if width * height > pixels.MAX_DECODED:
                raise too_many_pixels(path, width, height)
            yield image
    finally:
        Pillow.MAX_IMAGE_PIXELS = before


def mode_of(image: ImageFile) -> str:
    """The image mode with its bit depth. Pillow reports 16-bit colour as RGB; only the decoder's arguments differ."""
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
        return "I;16"
    deep = any(";16" in str(tile[3]) for tile in image.tile)
    if deep and image.mode in ("RGB", "RGBA"):
        grey = any(str(tile[3]).startswith("LA") for tile in image.tile)
        return "16-bit grey with transparency" if grey else f"{image.mode};16"
    return image.mode


def _little_endian(tile: Any) -> Any:
    """Lets the decoder of a tile give the low byte of 16-bit samples. Before Pillow 11, a tile is a plain tuple."""
    args = tile[3].replace(";16B", ";16L")
    return tile._replace(args=args) if hasattr(tile, "_replace") else (*tile[:3], args)


def decode(path: Path, image: ImageFile, mode: str) -> np.ndarray[Any, Any]:
    """Decodes an open image: uint16 for the modes with `;16`, uint8 [h, w] (grey), [h, w, 3] or [h, w, 4] (RGBA).

    Raises DataError if that needs more memory than there is.
    """
    memory.check(path, image.size, image.format, mode)
    if mode == "I;16":
        return np.asarray(image).astype(np.uint16)
    if mode in ("RGB;16", "RGBA;16"):
        return _deep(image)
    if "A" in image.mode or image.mode == "RGBa" or "transparency" in image.info:
        return _copied(image, "RGBA", np.uint8)
    return _copied(image, "RGB", np.uint8)


def _copied(image: PillowImage, mode: str, dtype: type[np.unsignedinteger[Any]]) -> np.ndarray[Any, Any]:
    """Returns an image in a mode as an array, converted by bands of rows: a further copy would need much memory."""
    image.load()
    width, height = image.size
    samples = np.empty((height, width, len(mode)), dtype)
    for top in range(0, height, max(1, _BAND // width)):
        bottom = min(height, top + max(1, _BAND // width))
        samples[top:bottom] = np.asarray(image.crop((0, top, width, bottom)).convert(mode))
    return samples


def _deep(image: ImageFile) -> np.ndarray[Any, Any]:
    """Decodes 16-bit colour. Pillow gives one byte of each sample: it reads the image once for each of them."""
    from PIL import Image as Pillow

    assert image.fp is not None
    image.fp.seek(0)
    with Pillow.open(image.fp, formats=(str(image.format),)) as again:
        again.tile = [_little_endian(tile) for tile in again.tile]
        samples = _copied(again, again.mode, np.uint16)
    image.fp.seek(0)
    with Pillow.open(image.fp, formats=(str(image.format),)) as again:
        high = _copied(again, again.mode, np.uint8)
    for band in range(0, len(samples), 256):
        samples[band : band + 256] |= high[band : band + 256].astype(np.uint16) << 8
    return samples


# ------------------------------------------------------------------------------ what only the pixels show


def findings(samples: np.ndarray[Any, Any], mode: str) -> str:
    """Returns what only the pixels show, as a short text: `BITS` or, with transparency, `BITS.OPACITY`."""
    colour = samples[..., :3] if samples.ndim == 3 else samples
    bits = pixels.true_bits(int(colour.max(initial=0))) if samples.dtype == np.uint16 else 8
    if samples.ndim == 3 and samples.shape[2] == 4:
        return f"{bits}.{opacity(int(samples[..., 3].min()), int(samples[..., 3].max()))}"
    return f"{bits}"


def opacity(least: int, greatest: int) -> str:
    """Returns how much of an image is opaque, from its least and greatest alpha: `all` (equally), `some` or `none`.

    `none`: the image is transparent everywhere, which is an error of the program that wrote it.
    """
    return "none" if greatest == 0 else "all" if least == greatest else "some"


def conversion_notes(mode: str, found: Any) -> list[str]:
    """Returns the notes on how an image of a mode becomes 8-bit RGB. `found` returns its findings, if needed."""
    conversion = CONVERSIONS[mode]
    if conversion is None:
        return []
    if ";16" not in mode and "A" not in mode and mode != "RGBa":
        return [f"image is {conversion}"]
    bits, _, alpha = found().partition(".")
    if ";16" in mode and bits != "16":
        conversion = conversion.replace("the high byte kept", f"its values use {bits} bits and are scaled from those")
    if alpha == "none":
        conversion = conversion.replace(
            "composited on white", "transparent everywhere: the transparency is taken for an error and ignored"
        )
    return [f"image is {conversion}"]


def to_rgb(samples: np.ndarray[Any, Any], mode: str, found: str) -> Pixels:
    """Converts decoded samples to uint8 RGB, [h, w, 3]."""
    bits, _, alpha = found.partition(".")
    deep = samples.dtype == np.uint16
    eight = pixels.to_bytes(samples, int(bits)) if deep else samples
    if eight.ndim == 2:
        return pixels.grey_to_rgb(eight)
    if eight.shape[2] == 3:
        return eight
    if deep:
        eight = np.concatenate([eight[..., :3], pixels.to_bytes(samples[..., 3:], 16)], axis=2)
    return np.ascontiguousarray(eight[..., :3]) if alpha == "none" else pixels.on_white(eight)
