"""TIFF in all its forms: BigTIFF, OME-TIFF, pyramids, planar, tiled, 8 and 16 bits.

tifffile reads the pages and their tags. Pillow decodes ordinary 8-bit pages of at most 2^26 px, as a whole. All others
are decoded tile by tile or strip by strip (tifffile, with imagecodecs if they are compressed), so that a region of a
large page needs little memory; so are damaged ones, so that what can be read is read. A page of one large strip, or one
whose codec is missing, is decoded as a whole up to 2^28 px.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from mitobench.errors import DataError
from mitobench.file_cache import remembered
from mitobench.foreign import open_regular
from mitobench.foreign.limits import MAX_IMAGE_BYTES
from mitobench.slides.reader import optional, pixels, plain
from mitobench.slides.reader.image import Image, undecodable
from mitobench.slides.reader.pixels import Box, Pixels
from mitobench.slides.reader.tiff_page import BAND, decode, has_8_bit_colours
from mitobench.slides.reader.tiff_plan import load_tifffile, plan_of, reading


class TiffImage(Image):
    """An image in a TIFF file."""

    def __init__(self, path: Path, page: int | None = None) -> None:
        self._file: BinaryIO | None = None
        self._tiff: Any = None
        self._whole: Pixels | None = None
        self._found: str | None = None
        self._page = "" if page is None else f" page {page}"
        with reading(path) as tiff:
            plan = plan_of(path, tiff, page)
            self._levels, self._planes, self._kind = plan.levels, plan.planes, plan.kind
            self.mode = plan.kind.mode
            self._by_pillow, self._by_parts = plan.by_pillow, plan.by_parts
        if not self._by_pillow:
            self.decoder = optional.version("tifffile")
            if optional.is_installed("imagecodecs"):
                self.decoder += f", {optional.version('imagecodecs')}"
        super().__init__(path, tuple(level.size for level in plan.levels), plan.mpp, plan.notes, plan.orientation)

    @property
    def notes(self) -> tuple[str, ...]:
        """As for every image; reads the pixels of those with more than 8 bits or transparency."""
        kind = ["image is inverted grey (0 is white), turned into grey"] if self._kind.inverted else []
        conversion = plain.conversion_notes(self.mode, self._findings)
        return (*conversion, *kind, *self._kind.notes, *self._header_notes)

    @property
    def has_parts(self) -> bool:
        """Whether tiles or strips are decoded, not the whole image."""
        return self._by_parts or not self._by_pillow

    @property
    def is_partly_transparent(self) -> bool:
        """As for every image; reads the pixels of those with transparency."""
        return self._findings().endswith("some")

    def close(self) -> None:
        """Closes the file and drops decoded pixels."""
        if self._tiff is not None:
            self._tiff.close()
        if self._file is not None:
            self._file.close()
        self._tiff = self._file = self._whole = None

    def _read_stored(self, level: int, box: Box) -> Pixels:
        x, y, width, height = box
        if level == 0 and self._by_pillow and self._whole is None:
            self._decode_whole()
        if level == 0 and self._whole is not None:
            return self._whole[y : y + height, x : x + width]
        return self._convert(self._samples(level, box), level)

    def _decode_whole(self) -> None:
        """Decodes the image as a whole. If a part of it is damaged, the parts are read one by one from then on."""
        try:
            self._whole = self._decode_by_pillow()
        except (DataError, MemoryError):
            raise
        except Exception:
            if not self._by_parts:
                raise
            self._by_pillow = False

    def _decode_by_pillow(self) -> Pixels:
        with plain.opened(self.path, ("TIFF",), self._levels[0].index) as image:
            samples = plain.decode(self.path, image, self.mode)
        self._found = self._found or plain.findings(samples, self.mode)
        return plain.to_rgb(samples, self.mode, self._found)

    def _convert(self, samples: np.ndarray[Any, Any], level: int) -> Pixels:
        kind = self._kind
        if kind.mode == "P":
            page = self._levels[level].page(self._opened())
            return pixels.palette_to_rgb(samples[..., 0], page.colormap, 8 if has_8_bit_colours(page) else 16)
        bits = int(self._findings().partition(".")[0]) if samples.dtype == np.uint16 else kind.bits
        eight = pixels.to_bytes(samples, bits)
        if kind.mode == "YCbCr":
            return pixels.ycbcr_to_rgb(np.ascontiguousarray(eight[..., :3]))
        if kind.inverted:
            eight = 255 - eight
        if kind.mode.startswith("CMYK"):
            return pixels.cmyk_to_rgb(np.ascontiguousarray(eight[..., :4]))
        colour = eight[..., :3] if kind.mode.startswith("RGB") else np.repeat(eight[..., :1], 3, axis=2)
        if kind.alpha is None or self._findings().endswith("none"):
            return np.ascontiguousarray(colour)
        alpha = pixels.to_bytes(samples[..., kind.alpha : kind.alpha + 1], kind.bits)
        return pixels.on_white(np.concatenate([colour, alpha], axis=2), kind.premultiplied)

    def _findings(self) -> str:
        if self._found is None:
            self._found = remembered(f"findings 3{self._page}", [("image", self.path)], self._look)
        return self._found

    def _look(self) -> str:
        """Returns `plain.findings` of the whole image; of a large one, of its smallest stored resolution."""
        try:
            if self._by_pillow:
                with plain.opened(self.path, ("TIFF",), self._levels[0].index) as image:
                    return plain.findings(plain.decode(self.path, image, self.mode), self.mode)
            return self._look_at_samples()
        except DataError:
            raise
        except Exception as reason:
            raise undecodable(self.path, reason) from reason

    def _look_at_samples(self) -> str:
        level = len(self._levels) - 1
        width, height = self._levels[level].size
        rows = max(1, BAND // width)
        colours = 4 if self.mode.startswith("CMYK") else 3 if self.mode.startswith("RGB") else 1
        greatest, alphas, deep = 0, set[int](), False
        for top in range(0, height, rows):
            samples = self._samples(level, (0, top, width, min(rows, height - top)))
            greatest = max(greatest, int(samples[..., :colours].max(initial=0)))
            if self._kind.alpha is not None:
                alphas |= {int(samples[..., self._kind.alpha].min()), int(samples[..., self._kind.alpha].max())}
            deep = samples.dtype == np.uint16
        bits = pixels.true_bits(greatest) if deep else 8
        if 8 < self._kind.bits < 16:
            bits = self._kind.bits
        elif bits in (14, 16) and (self._kind.inverted or colours == 4):
            bits = 16  # these images are bright where their values are small, so a small greatest value proves nothing
        return f"{bits}.{plain.opacity(min(alphas), max(alphas))}" if alphas else f"{bits}"

    def _samples(self, level: int, box: Box) -> np.ndarray[Any, Any]:
        """Decodes a box of a level: [h, w, samples]. Reads only the tiles or strips that it touches."""
        tiff = self._opened()
        if self._planes:
            planes = [decode(self.path, tiff.pages[index], self._file, box) for index in self._planes]
            return np.concatenate(planes, axis=2)
        return decode(self.path, self._levels[level].page(tiff), self._file, box)

    def _opened(self) -> Any:
        if self._tiff is None:
            self._file = open_regular(self.path, MAX_IMAGE_BYTES, "image", DataError)
            self._tiff = load_tifffile(self.path).TiffFile(self._file, name=self.path.name)
        return self._tiff

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_file": None, "_tiff": None, "_whole": None}
