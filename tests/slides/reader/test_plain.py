"""PNG, JPEG, BMP, WebP and JPEG 2000: depth, transparency, orientation, and what follows the image in the file."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow

from mitobench.errors import DataError
from mitobench.slides.reader import oddities, open_image

RGB = NDArray[np.uint8]
FORMATS = [".png", ".jpg", ".bmp", ".webp", ".jp2"]


def notes(path: Path) -> str:
    with open_image(path) as image:
        return "; ".join(image.notes)


def pixels(path: Path) -> RGB:
    with open_image(path) as image:
        return image.read()


def save_16_bit_png(path: Path, array: np.ndarray) -> None:
    """A 16-bit RGB (or RGBA) PNG, which Pillow does not write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width, samples = array.shape
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in array)
    header = struct.pack(">IIBBBBB", width, height, 16, {3: 2, 4: 6}[samples], 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)


@pytest.mark.parametrize("bits", [8, 10, 12, 14])
def test_fewer_bits_in_16_are_scaled_from_their_own_range(tmp_path: Path, rgb: RGB, bits: int) -> None:
    path = tmp_path / "deep.png"
    deep = rgb.astype(np.uint16) << (bits - 8)
    deep[0, 0] = (1 << bits) - 1
    save_16_bit_png(path, deep)
    np.testing.assert_array_equal(pixels(path)[1:], rgb[1:])
    assert f"values use {bits} bits" in notes(path)


@pytest.mark.parametrize("depth", [8, 16])
def test_transparency_everywhere_is_taken_for_an_error(tmp_path: Path, rgb: RGB, depth: int) -> None:
    path = tmp_path / "alpha.png"
    rgba = np.concatenate([rgb, np.zeros((*rgb.shape[:2], 1), np.uint8)], axis=2)
    if depth == 8:
        Pillow.fromarray(rgba).save(path)
    else:
        save_16_bit_png(path, rgba.astype(np.uint16) * 257)
    np.testing.assert_array_equal(pixels(path), rgb)
    assert "transparent everywhere" in notes(path)


def test_16_bit_grey_with_transparency_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "grey.png"
    save_16_bit_png(path, np.zeros((4, 5, 4), np.uint16))
    content = bytearray(path.read_bytes())
    content[25] = 4  # the colour type: grey with transparency
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    path.write_bytes(content)
    with pytest.raises(DataError, match="16-bit grey with transparency cannot be converted"):
        open_image(path)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp"])
@pytest.mark.parametrize("further", [b"\0" * 5_000 + b"x" * 3_000, b"comment", bytes(range(256)) * 60])
def test_bytes_after_the_end_are_ignored_with_a_note(tmp_path: Path, rgb: RGB, suffix: str, further: bytes) -> None:
    path = tmp_path / f"field{suffix}"
    Pillow.fromarray(rgb).save(path)
    before = pixels(path)
    path.write_bytes(path.read_bytes() + further)
    np.testing.assert_array_equal(pixels(path), before)
    assert notes(path) == f"{len(further):,} bytes after the end of the image are ignored"


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp"])
def test_padding_with_zeros_is_not_worth_a_note(tmp_path: Path, rgb: RGB, suffix: str) -> None:
    path = tmp_path / f"field{suffix}"
    Pillow.fromarray(rgb).save(path)
    path.write_bytes(path.read_bytes() + bytes(700))
    assert notes(path) == ""


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_truncated_files_are_refused(tmp_path: Path, rgb: RGB, suffix: str, share: float) -> None:
    path = tmp_path / f"field{suffix}"
    Pillow.fromarray(rgb).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(DataError, match=f"field{suffix}"):
        pixels(path)


def test_a_truncated_jpeg_is_not_saved_by_its_thumbnail(tmp_path: Path, rgb: RGB) -> None:
    """A JPEG's thumbnail is a JPEG with an end of its own."""
    small = tmp_path / "small.jpg"
    Pillow.fromarray(rgb[:8, :8]).save(small)
    thumbnail = b"Exif\0\0" + small.read_bytes()
    path = tmp_path / "field.jpg"
    Pillow.fromarray(rgb).save(path)
    content = path.read_bytes()
    path.write_bytes(content[:2] + b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail + content[2:-40])
    with pytest.raises(DataError, match="truncated"):
        open_image(path)


def test_progressive_jpeg_with_bytes_after_the_end(tmp_path: Path, rgb: RGB) -> None:
    path = tmp_path / "field.jpg"
    Pillow.fromarray(rgb).save(path, progressive=True, quality=90)
    path.write_bytes(path.read_bytes() + b"\xff\xd8" + b"0123456789")
    assert notes(path) == "12 bytes after the end of the image are ignored"


def test_an_animation_is_refused(tmp_path: Path, rgb: RGB) -> None:
    path = tmp_path / "moving.png"
    Pillow.fromarray(rgb).save(path, save_all=True, append_images=[Pillow.fromarray(rgb[::-1])])
    with pytest.raises(DataError, match="2 images"):
        open_image(path)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp"])
@pytest.mark.parametrize(("dpi", "mpp"), [(101_600, (0.25, 0.25)), (96, None), (300, None)])
def test_um_px_from_dots_per_inch(tmp_path: Path, rgb: RGB, suffix: str, dpi: int, mpp: object) -> None:
    path = tmp_path / f"field{suffix}"
    if suffix == ".jpg" and dpi > 65_535:
        dpi, mpp = 50_800, (0.5, 0.5)
    Pillow.fromarray(rgb).save(path, dpi=(dpi, dpi))
    with open_image(path) as image:
        assert image.mpp == (pytest.approx(mpp, rel=1e-3) if mpp else None)
        assert not image.notes


def test_a_folder_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a directory, not an image"):
        open_image(tmp_path)
    with pytest.raises(DataError, match=r"gone\.png: cannot be read"):
        open_image(tmp_path / "gone.png")


# ------------------------------------------------------------------------------------------- oddities


def test_tissue_is_not_odd(rgb: RGB) -> None:
    assert oddities(rgb) == []


def test_inverted_colours_are_odd(rgb: RGB) -> None:
    assert "inverted" in oddities(255 - rgb)[0]


@pytest.mark.parametrize("value", [0, 15, 255])
def test_one_colour_is_odd(value: int) -> None:
    assert "one colour" in oddities(np.full((30, 40, 3), value, np.uint8))[0]


def test_values_of_12_bits_read_as_16_are_odd(rgb: RGB) -> None:
    assert "black" in oddities(rgb >> 4)[0]


def test_grey_is_odd(rgb: RGB) -> None:
    assert "no colour" in oddities(np.repeat(rgb[..., 1:2], 3, axis=2))[0]
