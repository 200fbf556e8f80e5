"""Any readable image becomes uint8 RGB, with a note on the conversion; any other is an error that names the file."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mitobench.api import DataError
from mitobench.datasets.images import probe, read_rgb, write_rgb

RGB = np.random.default_rng(1).integers(0, 255, (20, 30, 3), dtype=np.uint8)


def save_16_bit_rgb(path: Path, array: np.ndarray) -> None:
    """A 16-bit RGB PNG; Pillow reads but does not write it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width, _ = array.shape
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in array)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)


@pytest.mark.parametrize("suffix", [".bmp", ".tif", ".tiff", ".png", ".BMP", ".Tiff"])
def test_lossless_formats_come_back_as_written(tmp_path: Path, suffix: str) -> None:
    write_rgb(tmp_path / f"frame{suffix}", RGB)
    assert probe(tmp_path / f"frame{suffix}") == (30, 20, "RGB", None)
    np.testing.assert_array_equal(read_rgb(tmp_path / f"frame{suffix}"), RGB)


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG"])
def test_jpeg_is_read(tmp_path: Path, suffix: str) -> None:
    write_rgb(tmp_path / f"frame{suffix}", RGB)
    assert read_rgb(tmp_path / f"frame{suffix}").shape == (20, 30, 3)


def test_grey_is_repeated_and_noted(tmp_path: Path) -> None:
    path = tmp_path / "grey.png"
    Image.fromarray(RGB[..., 0]).save(path)
    assert "grey" in str(probe(path).note)
    np.testing.assert_array_equal(read_rgb(path), np.repeat(RGB[..., :1], 3, axis=2))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bit_grey_keeps_the_high_byte_and_is_noted(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"deep{suffix}"
    Image.fromarray(RGB[..., 0].astype(np.uint16) * 257).save(path)
    assert "16-bit grey" in str(probe(path).note)
    np.testing.assert_array_equal(read_rgb(path), np.repeat(RGB[..., :1], 3, axis=2))


def test_16_bit_rgb_keeps_the_high_byte_and_is_noted(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    save_16_bit_rgb(path, RGB.astype(np.uint16) * 257)
    assert "16-bit RGB" in str(probe(path).note)
    np.testing.assert_array_equal(read_rgb(path), RGB)


def test_transparency_is_composited_on_white_and_noted(tmp_path: Path) -> None:
    path = tmp_path / "alpha.png"
    alpha = np.full((20, 30, 1), 255, dtype=np.uint8)
    alpha[:, :10] = 0
    Image.fromarray(np.concatenate([RGB, alpha], axis=2)).save(path)
    assert "RGBA" in str(probe(path).note)
    assert (read_rgb(path)[:, :10] == 255).all()
    np.testing.assert_array_equal(read_rgb(path)[:, 10:], RGB[:, 10:])


def test_palette_is_looked_up_and_noted(tmp_path: Path) -> None:
    path = tmp_path / "palette.png"
    image = Image.fromarray(RGB).quantize(16)
    image.save(path)
    assert "palette" in str(probe(path).note)
    np.testing.assert_array_equal(read_rgb(path), np.array(image.convert("RGB")))


@pytest.mark.parametrize("suffix", [".bmp", ".tif", ".png", ".jpg"])
@pytest.mark.parametrize("look", [probe, read_rgb])
def test_a_truncated_image_is_detected_without_decoding(tmp_path: Path, suffix: str, look: object) -> None:
    path = tmp_path / f"cut{suffix}"
    write_rgb(path, RGB)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match=path.name):
        look(path)  # type: ignore[operator]


def test_pixels_that_do_not_decode_are_an_error_that_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "bad.png"
    write_rgb(path, RGB)
    content = bytearray(path.read_bytes())
    content[200:260] = bytes(60)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"bad\.png.*Copy the file again"):
        read_rgb(path)


def test_a_file_that_is_not_an_image_or_has_no_rgb_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "text.bmp").write_text("no image")
    Image.fromarray(RGB[..., 0].astype(np.float32)).save(tmp_path / "float.tif")
    for name in ("text.bmp", "float.tif", "absent.png"):
        with pytest.raises(DataError, match=name):
            probe(tmp_path / name)
