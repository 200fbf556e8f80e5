"""`Image`: a file with pixels, read in whole or by region, as uint8 RGB."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np

from mitobench.errors import DataError
from mitobench.foreign.limits import MAX_PIXELS
from mitobench.mpp import Mpp
from mitobench.slides.reader.pixels import Box, Pixels, stored_box, upright, upright_size

_SMALLEST_PART = 64  # px: a part that cannot be decoded is not divided further


class Image(ABC):
    """An open image file. Close it, or use it in a `with` statement.

    Attributes:
        path: the file.
        mpp: um/px along x and y, from the file; None if it has none, or values outside 0.1-10.
        levels: width and height of each stored resolution, px, the full one first.
        decoder: name and version of the library that decodes the pixels, if it is not Pillow alone; else empty.
    """

    decoder: str = ""

    @property
    def has_parts(self) -> bool:
        """Whether parts of the full resolution can be decoded alone."""
        return True

    def __init__(
        self,
        path: Path,
        stored_levels: tuple[tuple[int, int], ...],
        mpp: Mpp | None,
        notes: tuple[str, ...],
        orientation: int = 1,
    ) -> None:
        self.path, self._stored_levels, self._orientation = path, stored_levels, orientation
        self.levels = tuple(upright_size(size, orientation) for size in stored_levels)
        self.mpp: Mpp | None = upright_mpp(mpp, orientation)
        turned = () if orientation == 1 else (f"turned upright, as its orientation tag ({orientation}) says",)
        self._header_notes = (*notes, *turned)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height at full resolution, px, upright."""
        return self.levels[0]

    @property
    def notes(self) -> tuple[str, ...]:
        """Everything that is converted, guessed or odd, without the file's name.

        Reads the pixels if the image has more than 8 bits or transparency: only they show what is done.
        """
        return self._header_notes

    @property
    def is_partly_transparent(self) -> bool:
        """Whether some of its pixels are more transparent than others, so that the background shows."""
        return False

    def read(self) -> Pixels:
        """Reads the whole image: uint8 RGB, [height, width, 3].

        Raises DataError if it cannot be decoded, or has more than MAX_PIXELS px.
        """
        width, height = self.size
        if width * height > MAX_PIXELS:
            raise too_many_pixels(self.path, width, height)
        return self._region(0, (0, 0, width, height))

    def region(self, x: int, y: int, width: int, height: int, mpp: float | None = None) -> Pixels:
        """Reads a rectangle: uint8 RGB, [h, w, 3]. Parts outside the image are white.

        Args:
            x, y: upper left corner, px of the full resolution.
            width, height: px of the full resolution.
            mpp: resolution of the result, um/px; it has round(width * own um/px / mpp) columns. None: that of the
                file. Reads the smallest stored resolution that is at least as fine, and averages.

        Raises DataError if it cannot be decoded, the result has no or more than MAX_PIXELS px, or `mpp` is given and
        the file has none.
        """
        factors = self._factors(mpp)
        out = (round(width / factors[0]), round(height / factors[1]))
        if min(out) < 1 or out[0] * out[1] > MAX_PIXELS:
            raise DataError(f"{self.path}: a region of {out[0]} x {out[1]} px was asked for; 1 to {MAX_PIXELS:,} px.")
        level = self.level_for(min(factors))
        if level == 0 and out == (width, height):
            return self._padded(0, (x, y, width, height))
        return self._resampled(level, (x, y, width, height), [out])[0]

    def region_in_parts(self, x: int, y: int, width: int, height: int) -> tuple[Pixels, tuple[Box, ...]]:
        """Reads a rectangle as `region` does at full resolution, and skips what cannot be decoded.

        Returns the pixels, white where they cannot be decoded, and these places (x1, y1, x2, y2 px of the full
        resolution). Raises DataError if nothing can be decoded, or the file
        has no parts that can be read alone.
        """
        try:
            return self.region(x, y, width, height), ()
        except DataError:
            if not self.has_parts:
                raise
            pixels = np.full((height, width, 3), 255, dtype=np.uint8)
            unread = list(self._fill_parts(pixels, (0, 0, width, height), (x, y)))
            if sum((x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in unread) == width * height:
                raise
        return pixels, tuple((x + x1, y + y1, x + x2, y + y2) for x1, y1, x2, y2 in unread)

    def _fill_parts(self, pixels: Pixels, box: Box, corner: tuple[int, int]) -> Iterator[Box]:
        """Reads the quarters of a box (x1, y1, x2, y2) of `pixels`, and so on; yields those that cannot be decoded."""
        x1, y1, x2, y2 = box
        if max(x2 - x1, y2 - y1) <= _SMALLEST_PART:
            yield box
            return
        middle_x, middle_y = (x1 + x2 + 1) // 2, (y1 + y2 + 1) // 2
        for left, right in ((x1, middle_x), (middle_x, x2)):
            for top, bottom in ((y1, middle_y), (middle_y, y2)):
                if left >= right or top >= bottom:
                    continue
                try:
                    part = self.region(corner[0] + left, corner[1] + top, right - left, bottom - top)
                except DataError:
                    yield from self._fill_parts(pixels, (left, top, right, bottom), corner)
                else:
                    pixels[top:bottom, left:right] = part

    def reduced(self, box: Box, out: tuple[int, int]) -> Pixels:
        """Reads a rectangle (x, y, width, height px of the full resolution) as `out` columns and rows.

        Needs no um/px. Reads the smallest stored resolution that is at least as fine, and averages. White outside the
        image. Raises DataError if it cannot be decoded, or has more than MAX_PIXELS px.
        """
        return self.copies(box, [out])[0]

    def copies(self, box: Box, outs: Sequence[tuple[int, int]]) -> list[Pixels]:
        """Reads a rectangle once, and returns it in several sizes, as `reduced` does.

        The first size decides which stored resolution is read.
        """
        level = self.level_for(min(box[2] / outs[0][0], box[3] / outs[0][1]))
        return self._resampled(level, box, outs)

    def level_for(self, factor: float) -> int:
        """Returns the smallest stored resolution that is reduced by at most `factor`."""
        reductions = [self.size[0] / width for width, _ in self.levels]
        fitting = [index for index, reduction in enumerate(reductions) if reduction <= factor * 1.01]
        return max(fitting, key=lambda index: reductions[index]) if fitting else 0

    def close(self) -> None:
        """Closes the file, and drops decoded pixels."""
        return

    def __enter__(self) -> Image:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def _read_stored(self, level: int, box: Box) -> Pixels:
        """Reads a box (x, y, width, height) inside a stored level, as it is stored, uint8 RGB [height, width, 3]."""

    def _factors(self, mpp: float | None) -> tuple[float, float]:
        if mpp is None:
            return 1.0, 1.0
        if self.mpp is None:
            raise DataError(f"{self.path}: has no um/px, so no region at {mpp:g} um/px can be read. Give its um/px.")
        return mpp / self.mpp[0], mpp / self.mpp[1]

    def _region(self, level: int, box: Box) -> Pixels:
        """Reads a box inside a level of the upright image."""
        stored = stored_box(box, self.levels[level], self._orientation)
        try:
            pixels = self._read_stored(level, stored)
        except (DataError, MemoryError):
            raise
        except Exception as reason:
            raise undecodable(self.path, reason) from reason
        return upright(pixels, self._orientation) if self._orientation != 1 else pixels

    def _padded(self, level: int, box: Box) -> Pixels:
        """Reads a box that may leave the image; white outside."""
        x, y, width, height = box
        size = self.levels[level]
        left, top = max(x, 0), max(y, 0)
        right, bottom = min(x + width, size[0]), min(y + height, size[1])
        if (left, top, right, bottom) == (x, y, x + width, y + height):
            return self._region(level, box)
        padded = np.full((height, width, 3), 255, dtype=np.uint8)
        if right > left and bottom > top:
            inside = self._region(level, (left, top, right - left, bottom - top))
            padded[top - y : bottom - y, left - x : right - x] = inside
        return padded

    def _resampled(self, level: int, box: Box, outs: Sequence[tuple[int, int]]) -> list[Pixels]:
        from PIL import Image as Pillow

        scale = [of / full for of, full in zip(self.levels[level], self.size, strict=True)]
        start = [box[axis] * scale[axis] for axis in (0, 1)]
        end = [(box[axis] + box[axis + 2]) * scale[axis] for axis in (0, 1)]
        first, last = np.floor(start).astype(int), np.maximum(np.ceil(end), np.floor(start) + 1).astype(int)
        width, height = (last - first).tolist()
        if width * height > MAX_PIXELS:
            raise DataError(
                f"{self.path}: a region of {width} x {height} px must be read, as the file stores no smaller "
                "resolution. Read smaller regions."
            )
        pixels = self._padded(level, (int(first[0]), int(first[1]), width, height))
        (left, top), (right, bottom) = (np.array(start) - first).tolist(), (np.minimum(end, last) - first).tolist()
        inside = (left, top, right, bottom)
        image = Pillow.fromarray(pixels)
        return [np.array(image.resize(out, Pillow.Resampling.BILINEAR, box=inside)) for out in outs]


def upright_mpp(mpp: Mpp | None, orientation: int) -> Mpp | None:
    """Returns um/px along x and y of the upright image."""
    return mpp if mpp is None or upright_size((1, 2), orientation) == (1, 2) else (mpp[1], mpp[0])


def undecodable(path: Path, reason: Exception) -> DataError:
    """The error for pixels that do not decode."""
    unknown = type(reason).__name__ == "UnidentifiedImageError"  # its message names an object in memory
    text = "its content is not of a known image format" if unknown else str(reason) or type(reason).__name__
    return DataError(f"{path}: cannot be read as an image ({text}). Copy the file again, or save it as 8-bit RGB.")


def too_many_pixels(path: Path, width: int, height: int) -> DataError:
    """The error for an image that is too large to be read as a whole."""
    return DataError(
        f"{path}: the image has {width} x {height} px, more than the limit of {MAX_PIXELS:,}. Export the "
        "region of interest; whole-slide images are not supported."
    )
