"""The images of data sets: what their headers say, their pixels, and how both differ from the data set's card."""

from __future__ import annotations

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mitobench.atomic import write_atomic
from mitobench.foreign.limits import MAX_PIXELS
from mitobench.slides.reader import Image, PixelReader, open_image
from mitobench.slides.reader.image import too_many_pixels

NO_MPP = "the file says no um/px, which is taken from elsewhere"
FRAME_MPP = (0.1, 1.0)  # um/px that a frame can have


class Probe(NamedTuple):
    """The content of an image's header. `note` names what is converted or odd; None if nothing is."""

    width: int
    height: int
    mode: str
    note: str | None


class FrameImage(NamedTuple):
    """What a data set needs of an image file.

    Attributes:
        size: width and height, px.
        reader: reads the pixels; the `reader` of the frame.
        mpp: um/px along x and y that the file gives; None if it gives none that a frame can have.
        file_mpp: um/px along x and y that the file gives, also if no frame can have them; `file_mpp` of the item.
        notes: what is converted, guessed or odd, without the file's name; `image_notes` of the item.
    """

    size: tuple[int, int]
    reader: PixelReader
    mpp: tuple[float, float] | None
    file_mpp: tuple[float, float] | None
    notes: tuple[str, ...]

    @property
    def note(self) -> str | None:
        """All notes in one line with the file's name; None if there are none."""
        return f"{self.reader.path}: {'; '.join(self.notes)}" if self.notes else None


def frame_image(path: Path, whole: bool = True) -> FrameImage:
    """Reads what a data set needs of an image file, from its header.

    Args:
        path: the file.
        whole: whether the frame is read as a whole, so that the image may not have more than MAX_PIXELS px.

    Raises DataError naming the file if it is not an image, is truncated, or cannot be converted to RGB.
    """
    with open_image(path) as image:
        if whole:
            _check_size(image)
        low, high = FRAME_MPP
        own = image.mpp if image.mpp and all(low <= side <= high for side in image.mpp) else None
        return FrameImage(image.size, PixelReader(path, image.decoder), own, image.mpp, tuple(image.notes))


def probe(path: Path) -> Probe:
    """Reads an image's size and mode from its header.

    Decodes pixels only of images with more than 8 bits or transparency. Raises DataError naming the file if it is not
    an image, is truncated, has too many pixels, or cannot be converted to RGB.
    """
    with open_image(path) as image:
        _check_size(image)
        note = "; ".join(image.notes)
        return Probe(*image.size, str(getattr(image, "mode", "RGB")), f"{path}: {note}" if note else None)


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """Reads the pixels, uint8 [height, width, 3]. Converts what is not 8-bit RGB, as described by `probe(path).note`.

    Raises DataError naming the file if it is truncated or cannot be decoded.
    """
    with open_image(path) as image:
        return image.read()


def write_rgb(path: Path, pixels: NDArray[np.uint8], png_level: int = 6) -> None:
    """Writes uint8 RGB, [height, width, 3], atomically, in the format of the path's suffix.

    A PNG of level 1 is written in half the time of level 6, and is about as small.
    """
    from PIL import Image

    content = io.BytesIO()
    kind = Image.registered_extensions()[path.suffix.lower()]
    Image.fromarray(pixels).save(content, kind, compress_level=png_level)
    write_atomic(path, content.getvalue())


def _check_size(image: Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise too_many_pixels(image.path, width, height)
