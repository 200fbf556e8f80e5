"""Reduced copies of an image: a large one is decoded once for all of them, and the tissue is found as without it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from mitobench.slides import overview as module
from mitobench.slides.overview import Copies, fitting, overview
from mitobench.slides.reader import Image, open_image
from mitobench.slides.tissue import find
from slides.reader.pictures import picture

SIZE = (900, 600)
SIDE = 256  # of the large copy
MPP = (0.5, 0.5)


@pytest.fixture(autouse=True)
def small_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SIDE_PX", SIDE)
    monkeypatch.setattr(module, "_PART", 1 << 14)


def slide(path: Path, *levels: int) -> NDArray[np.uint8]:
    """Writes a tiled slide with these reductions; returns its pixels."""
    pixels = np.full((SIZE[1], SIZE[0], 3), 244, dtype=np.uint8)
    pixels[100:500, 150:700] = picture(400, 550)
    with tifffile.TiffWriter(path) as tiff:
        for level in levels:
            more: dict[str, Any] = {"subfiletype": 1} if level > 1 else {}
            tiff.write(pixels[::level, ::level], tile=(64, 64), compression="zlib", photometric="rgb", **more)
    return pixels


class Decoded:
    """Adds up the pixels that are decoded of each stored resolution."""

    def __init__(self, image: Image, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pixels: dict[int, int] = {}
        read = image._read_stored

        def counted(level: int, box: tuple[int, int, int, int]) -> Any:
            self.pixels[level] = self.pixels.get(level, 0) + box[2] * box[3]
            return read(level, box)

        monkeypatch.setattr(image, "_read_stored", counted)


@pytest.mark.parametrize("levels", [(1,), (1, 4), (1, 2, 8)])
def test_each_stored_resolution_is_decoded_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, levels: tuple[int, ...]
) -> None:
    slide(tmp_path / "a.tif", *levels)
    with open_image(tmp_path / "a.tif") as image:
        decoded, copies = Decoded(image, monkeypatch), Copies(image)
        find(image, MPP, copies)
        for longest in (SIDE, SIDE // 2, 100, 50):
            copies.within(longest)
        for level, pixels in decoded.pixels.items():
            width, height = image.levels[level]
            assert pixels < 1.2 * width * height, "the borders of parts are read twice"


@pytest.mark.parametrize("levels", [(1,), (1, 4)])
def test_the_tissue_is_the_same_as_without_other_copies(tmp_path: Path, levels: tuple[int, ...]) -> None:
    slide(tmp_path / "a.tif", *levels)
    with open_image(tmp_path / "a.tif") as image:
        copies = Copies(image)
        np.testing.assert_array_equal(copies.exactly((57, 38))[0], overview(image, (57, 38))[0])
        np.testing.assert_array_equal(find(image, MPP, copies).mask, find(image, MPP).mask)
        assert find(image, MPP, copies).mask.any()


@pytest.mark.parametrize("first", [True, False])
def test_copies_show_the_image(tmp_path: Path, first: bool) -> None:
    slide(tmp_path / "a.tif", 1)
    with open_image(tmp_path / "a.tif") as image:
        copies = Copies(image)
        if first:
            copies.exactly((57, 38))
        for longest in (SIDE, 60):
            size = fitting(SIZE, longest)
            pixels, decoded = copies.within(longest)
            assert (pixels.shape, decoded.shape) == ((size[1], size[0], 3), (size[1], size[0]))
            assert decoded.all()
            assert np.abs(pixels.astype(int) - overview(image, size)[0]).mean() < 2


def test_what_cannot_be_decoded_is_white_in_all_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.tif"
    slide(path, 1)
    with tifffile.TiffFile(path) as tiff:
        columns = -(-SIZE[0] // 64)
        start = tiff.pages[0].dataoffsets[4 * columns + 6]  # x 384 to 447, y 256 to 319
    content = bytearray(path.read_bytes())
    content[start : start + 20] = b"\xff" * 20
    path.write_bytes(content)
    monkeypatch.setattr(module, "_MIN_SIDE", 64)
    with open_image(path) as image:
        copies = Copies(image)
        exact = copies.exactly((57, 38))
        for pixels, decoded in (exact, copies.within(SIDE), copies.within(100)):
            x, y = round(415 / SIZE[0] * decoded.shape[1]), round(287 / SIZE[1] * decoded.shape[0])
            assert not decoded[y, x]
            assert (pixels[y, x] == 255).all()
            assert decoded[: decoded.shape[0] // 4].all()
