"""`PixelReader`: reads one file whenever it is called, as the `reader` of a `Frame`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mitobench.slides.reader.opening import open_image
from mitobench.slides.reader.pixels import Pixels


@dataclass(frozen=True)
class PixelReader:
    """Reads an image file, in whole or by region. Can be pickled: it holds the path only.

    Attributes:
        path: the file.
        decoder: name and version of the library that decodes it, if it is not Pillow alone (`Image.decoder`).
    """

    path: Path
    decoder: str = ""

    def __call__(self) -> Pixels:
        """Reads the whole image: uint8 RGB, [height, width, 3]."""
        with open_image(self.path) as image:
            return image.read()

    def region(self, x: int, y: int, width: int, height: int) -> Pixels:
        """Reads a rectangle, px of the full resolution: uint8 RGB, [height, width, 3]. White outside the image."""
        with open_image(self.path) as image:
            return image.region(x, y, width, height)
