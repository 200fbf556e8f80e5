"""Large images are read part by part where their file allows it; otherwise a note says what memory they take."""

from __future__ import annotations

import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from mitobench.errors import DataError
from mitobench.slides.reader import memory, open_image

from .pictures import picture

NOTE = "the image is decoded as a whole, which takes up to"


@pytest.fixture
def small_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Images of more than 10,000 px count as large."""
    monkeypatch.setattr(memory, "MIN_PIXELS", 10_000)


def strips(path: Path, rows: int, **options: Any) -> np.ndarray:
    pixels = picture(150, 200)
    tifffile.imwrite(path, pixels, photometric="rgb", rowsperstrip=rows, **options)
    return pixels


@pytest.mark.usefixtures("small_limit")
@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "jpeg"])
def test_a_large_tiff_of_strips_is_read_strip_by_strip(tmp_path: Path, compression: str | None) -> None:
    path = tmp_path / "a.tif"
    pixels = strips(path, 8, compression=compression)
    with open_image(path) as image:
        assert image.decoder.startswith("tifffile")
        assert not any(NOTE in note for note in image.notes)
        region = image.region(20, 30, 100, 60)
    with Image.open(path) as whole:
        np.testing.assert_array_equal(region, np.asarray(whole.convert("RGB"))[30:90, 20:120])
    assert np.abs(region.astype(int) - pixels[30:90, 20:120]).mean() <= (8 if compression == "jpeg" else 0)


def test_memory_does_not_grow_with_a_tiff_of_strips(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    bands = (zlib.compress(np.full((64, 8192, 3), value, dtype=np.uint8), 1) for value in range(129))
    tifffile.imwrite(
        path, bands, shape=(64 * 129, 8192, 3), dtype=np.uint8, photometric="rgb", rowsperstrip=64, compression="zlib"
    )
    with open_image(path) as image:
        assert image.size[0] * image.size[1] > memory.MIN_PIXELS
        tracemalloc.start()
        part = image.region(4000, 4000, 500, 500)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert part[-1, 0, 0] == 4499 // 64
    assert peak < 40e6, "the image has 203 MB"


@pytest.mark.usefixtures("small_limit")
@pytest.mark.parametrize("suffix", ["one_strip.tif", "a.png", "a.jpg", "a.jp2", "a.webp"])
def test_what_must_be_decoded_as_a_whole_is_noted_and_refused_before_memory_runs_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    path = tmp_path / suffix
    if suffix.endswith("tif"):
        strips(path, 150)
        monkeypatch.setattr("mitobench.slides.reader.tiff_page.BAND", 1000)
    else:
        Image.fromarray(picture(150, 200)).save(path)
    with open_image(path) as image:
        assert any(NOTE in note for note in image.notes)
        image.region(0, 0, 10, 10)
    monkeypatch.setattr(memory, "available", lambda: 100_000)
    with (
        open_image(path) as image,
        pytest.raises(DataError, match=r"as a whole takes up to 0.\d GB of memory, and 0.0"),
    ):
        image.region(0, 0, 10, 10)


def test_a_small_image_has_no_note_and_is_always_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available", lambda: 0)
    Image.fromarray(picture(150, 200)).save(tmp_path / "a.png")
    with open_image(tmp_path / "a.png") as image:
        assert image.notes == ()
        assert image.read().shape == (150, 200, 3)


def test_the_limit_of_a_container_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in (("_MEMINFO", "MemTotal: 9 kB\nMemAvailable:    2000 kB\n"), ("_LIMIT", "1000000\n")):
        (tmp_path / name).write_text(text)
        monkeypatch.setattr(memory, name, tmp_path / name)
    (tmp_path / "stat").write_text("anon 400000\nfile 500000\n")
    monkeypatch.setattr(memory, "_USED", tmp_path / "stat")
    assert memory.available() == 600_000
    (tmp_path / "_LIMIT").write_text("max\n")
    assert memory.available() == 2_048_000
    (tmp_path / "_MEMINFO").unlink()
    assert memory.available() is None


@pytest.mark.parametrize("form", [{"tile": (64, 64)}, {"rowsperstrip": 16}])
def test_a_damaged_part_of_a_small_tiff_costs_that_part_only(tmp_path: Path, form: Any) -> None:
    path, pixels = tmp_path / "a.tif", picture(150, 200)
    tifffile.imwrite(path, pixels, photometric="rgb", compression="zlib", **form)
    with tifffile.TiffFile(path) as tiff:
        offset = tiff.pages[0].dataoffsets[-1]
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\x55" * 20)
    with open_image(path) as image:
        with pytest.raises(DataError, match="cannot be read as an image"):
            image.read()
        np.testing.assert_array_equal(image.region(0, 0, 200, 128), pixels[:128])
