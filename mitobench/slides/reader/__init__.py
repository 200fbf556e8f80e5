"""Reads pixels, um/px and oddities from every image file. No other code of mitobench decodes images.

`open_image(path)` opens a file by its content: Pillow reads plain images, tifffile reads TIFF in all its forms,
OpenSlide reads whole slides, pydicom reads DICOM slides that OpenSlide does not open. OpenSlide, imagecodecs
(compressed TIFF) and pydicom are optional: `pip install 'mitobench[slides]'`.
"""

from mitobench.slides.reader.image import Image
from mitobench.slides.reader.looks import oddities
from mitobench.slides.reader.opening import open_image
from mitobench.slides.reader.pixel_reader import PixelReader
from mitobench.slides.reader.suffixes import COMPANION_SUFFIXES, READ_SUFFIXES

__all__ = ["COMPANION_SUFFIXES", "READ_SUFFIXES", "Image", "PixelReader", "oddities", "open_image"]
