"""Files made after public reports, and small real whole slides: right pixels, or refused by name and reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mitobench.errors import DataError
from mitobench.slides.reader import oddities, open_image

pytestmark = pytest.mark.slow

SHARED = Path(__file__).parents[4] / "shared"
ENCODINGS = SHARED / "cases" / "01-encodings"
SLIDES = SHARED / "data" / "slides"

# file: greatest mean difference from reference.png, and what the notes must say
READ = {
    "alpha_all_zero.tif": (0, "transparent everywhere"),
    "cmyk16.tif": (0, "16-bit CMYK"),
    "jpeg_trailing_9kB.jpg": (4, "9,000 bytes after the end"),
    "mpp_in_tags_0.5.tif": (0, ""),
    "png_trailing_9kB.png": (0, "9,000 bytes after the end"),
    "rgb16_planar_uncompressed.tif": (0, "16-bit RGB"),
    "rgb_12bit_in_16.tif": (0, "12 bits"),
    "thumbnail_first.tif": (0, "the largest page"),
}


@pytest.fixture(autouse=True)
def present() -> None:
    if not ENCODINGS.is_dir() or not SLIDES.is_dir():
        pytest.skip("no public cases in ../shared")


def reference() -> np.ndarray:
    with open_image(ENCODINGS / "reference.png") as image:
        return image.read().astype(int)


@pytest.mark.parametrize("name", READ)
def test_the_pixels_are_those_of_the_reference(name: str) -> None:
    difference, note = READ[name]
    with open_image(ENCODINGS / name) as image:
        assert np.abs(image.read() - reference()).mean() <= difference
        assert note in "; ".join(image.notes)
        assert bool(note) == bool(image.notes)


def test_the_orientation_tag_is_applied() -> None:
    with open_image(ENCODINGS / "tiff_orientation6.tif") as image:
        np.testing.assert_array_equal(image.read(), np.rot90(reference()[:200], -1))
        assert "orientation tag (6)" in "; ".join(image.notes)


def test_um_px_come_from_the_tags() -> None:
    with open_image(ENCODINGS / "mpp_in_tags_0.5.tif") as image:
        assert image.mpp == pytest.approx((0.5, 0.5))


def test_inverted_colours_are_noticed() -> None:
    with open_image(ENCODINGS / "inverted.png") as image:
        assert "inverted" in oddities(image.read())[0]
    assert oddities(reference().astype(np.uint8)) == []


def test_channels_without_names_are_refused() -> None:
    with pytest.raises(DataError, match=r"ome_channels_as_pages\.ome\.tif.*does not say which are red"):
        open_image(ENCODINGS / "ome_channels_as_pages.ome.tif")


def test_no_file_of_the_folder_is_left_out_of_these_tests() -> None:
    others = {"reference.png", "inverted.png", "tiff_orientation6.tif", "ome_channels_as_pages.ome.tif", "README"}
    assert {path.name for path in ENCODINGS.iterdir()} == {*READ, *others}


@pytest.mark.parametrize(
    ("name", "library", "size", "mpp", "levels"),
    [
        ("CMU-1-Small-Region.svs", "openslide", (2220, 2967), (0.499, 0.499), 1),
        ("tcga-no-mpp.svs", "openslide", (4443, 3567), None, 2),
        ("HE_example.ome.tif", "imagecodecs", (1380, 1484), (0.5001, 0.5001), 1),
        ("small_dicom.dcm", "pydicom", (3236, 2638), (4.6354, 5.6861), 1),
    ],
)
def test_whole_slides(
    name: str, library: str, size: tuple[int, int], mpp: tuple[float, float] | None, levels: int
) -> None:
    pytest.importorskip(library)
    with open_image(SLIDES / name) as image:
        assert (image.size, len(image.levels)) == (size, levels)
        assert image.mpp == (pytest.approx(mpp, abs=1e-4) if mpp else None)
        whole = image.read()
        assert oddities(whole) == []
        np.testing.assert_array_equal(image.region(700, 800, 333, 222), whole[800:1022, 700:1033])
        if mpp and mpp[0] == mpp[1]:
            half = image.region(0, 0, 1000, 1000, mpp=2 * image.mpp[0]) if image.mpp else whole
            assert np.abs(half - whole[:1000, :1000].reshape(500, 2, 500, 2, 3).mean(axis=(1, 3))).mean() < 4


def test_the_tiles_of_the_dicom_slide_fit_together() -> None:
    """At the seams of tiles, neighbours differ no more than elsewhere."""
    pytest.importorskip("pydicom")
    with open_image(SLIDES / "small_dicom.dcm") as image:
        whole = image.read().astype(int)
    steps = np.abs(np.diff(whole, axis=1)).mean(axis=(0, 2))
    assert steps[499::500].mean() < 2 * steps.mean()
    assert whole.std(axis=(0, 1)).min() > 5


@pytest.mark.parametrize(
    ("name", "reason"),
    [("broken.svs", "not of a known image format"), ("multi-channel-z-series.ome.tif", r"5 planes \(a z-stack\)")],
)
def test_what_is_no_slide_is_refused(name: str, reason: str) -> None:
    with pytest.raises(DataError, match=rf"{name}.*{reason}"):
        open_image(SLIDES / name)
