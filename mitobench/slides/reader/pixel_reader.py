"""`PixelReader`: reads one file whenever it is called, as the `reader` of a `Frame`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mitobench.slides.reader.opening import open_image
from mitobench.slides.reader.pixels import Box, Pixels


@dataclass(frozen=True)
class PixelReader:
    """Reads an image file, or a box of it, in whole or by region. Can be pickled: it holds no pixels.

    Attributes:
        path: the file.
        decoder: name and version of the library that decodes it, if it is not Pillow alone (`Image.decoder`).
        box: x, y, width and height of the part that is read, px of the full resolution; None: the whole image.
        page: of a TIFF of several images, the one that is read, from 1 on; None: the only image.
    """

    path: Path
    decoder: str = ""
    box: Box | None = None
    page: int | None = None

    def __call__(self) -> Pixels:
        """Reads the whole image or box: uint8 RGB, [height, width, 3]."""
        with open_image(self.path, self.page) as image:
            return image.read() if self.box is None else image.region(*self.box)

    def region(self, x: int, y: int, width: int, height: int) -> Pixels:
        """Reads a rectangle, px of the image or box: uint8 RGB, [height, width, 3]. White outside the image."""
        left, top = (0, 0) if self.box is None else self.box[:2]
        with open_image(self.path, self.page) as image:
            return image.region(left + x, top + y, width, height)
