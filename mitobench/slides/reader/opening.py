"""`open_image`: chooses what reads a file, by the file's content."""

from __future__ import annotations

from pathlib import Path

from mitobench.errors import DataError
from mitobench.foreign import open_regular
from mitobench.foreign.limits import MAX_IMAGE_BYTES
from mitobench.slides.reader import optional
from mitobench.slides.reader.dicom import DicomImage, refuse_label
from mitobench.slides.reader.image import Image
from mitobench.slides.reader.plain import PlainImage
from mitobench.slides.reader.suffixes import SLIDES
from mitobench.slides.reader.tiff import TiffImage
from mitobench.slides.reader.whole_slide import OpenSlideImage, is_readable, vendor

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the latter two: BigTIFF
_DICOM = b"DICM"
_ORDINARY = "generic-tiff"  # OpenSlide's name of tiled TIFF of no maker of scanners
_FOLDERS = {".mrxs", ".vms", ".vmu"}  # slides of several files, which only OpenSlide reads


def open_image(path: Path, page: int | None = None) -> Image:
    """Opens an image file of any kind, and reads its header.

    Args:
        path: the file.
        page: of a TIFF that holds several RGB images, such as a z-stack: which one to read, from 1 on. None: a file
            of several images is refused. Smaller copies, labels and macro images are not read.

    Raises DataError naming the file if it is missing, not a regular file, not an image, truncated, of a kind that has
    no meaning as RGB (a z-stack, fluorescence channels, floating-point values), or needs a library that is not
    installed.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    with open_regular(path, MAX_IMAGE_BYTES, "image", DataError) as file:
        start = file.read(132)
    is_tiff = start.startswith(_TIFF)
    if page is not None:
        if not is_tiff:
            raise DataError(f"{path}: is not a TIFF, so it has no pages. Leave out --page.")
        if vendor(path) not in (None, _ORDINARY):
            raise DataError(
                f"{path}: is a whole slide ({vendor(path)}): all further pages are smaller copies, the label or the "
                "macro image. Leave out --page."
            )
        return TiffImage(path, page)
    if start[128:] == _DICOM:
        refuse_label(path)
        return OpenSlideImage(path) if _opens(path) else DicomImage(path)
    if suffix in _FOLDERS or (suffix in SLIDES and is_tiff and is_readable(path)):
        return OpenSlideImage(path)
    if is_tiff:
        return TiffImage(path)
    return PlainImage(path)


def _opens(path: Path) -> bool:
    """Whether OpenSlide opens a file: it knows the format of some that it cannot open."""
    if not is_readable(path):
        return False
    try:
        optional.load("openslide", path, "a whole slide").OpenSlide(str(path)).close()
    except Exception:
        return False
    return True
