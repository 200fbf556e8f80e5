"""Headers and pixels of the images of data sets, read in whole or by region."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mitobench.datasets import images
from mitobench.slides.reader import PixelReader

Box = tuple[int, int, int, int]

PLAUSIBLE_MPP = (0.1, 1.0)  # of a frame


class Header(NamedTuple):
    """What a file says about its image.

    Attributes:
        size: width and height, px.
        mpp: um/px along x and y; None if the file gives none that a frame can have.
        notes: what is converted, guessed or odd, without the file's name; `image_notes` of the item.
        note: the same in one line with the file's name; None if there is nothing to say.
    """

    size: tuple[int, int]
    mpp: tuple[float, float] | None
    notes: tuple[str, ...]
    note: str | None


def header(path: Path, whole: bool = True) -> Header:
    """Reads an image's header; `whole` says whether the frame is the whole image, which then has a limit of its size.

    Raises DataError naming the file if it is not an image or is truncated.
    """
    found = images.frame_image(path, whole=whole)
    low, high = PLAUSIBLE_MPP
    mpp = found.mpp if found.mpp and all(low <= side <= high for side in found.mpp) else None
    return Header(found.size, mpp, found.notes, f"{path}: {'; '.join(found.notes)}" if found.notes else None)


def read(path: Path, box: Box | None = None) -> NDArray[np.uint8]:
    """Reads the pixels of an image, or of the box (x1, y1, x2, y2) px of it: uint8 RGB, [height, width, 3]."""
    if box is None:
        return PixelReader(path)()
    return PixelReader(path).region(box[0], box[1], box[2] - box[0], box[3] - box[1])


def reader(path: Path, box: Box | None = None) -> Callable[[], NDArray[np.uint8]]:
    """Returns what reads an image, or a box of it. It can be pickled."""
    return PixelReader(path) if box is None else partial(read, path, box)
