"""Tissue is found by its colours; glass and marks of pens are not; what is found does not depend on the rest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow

from mitobench.datasets.synthesis import make_frame
from mitobench.slides import tissue
from mitobench.slides.overview import overview
from mitobench.slides.reader import open_image
from mitobench.slides.tissue import STEP_UM, Tissue

pytestmark = pytest.mark.slow

PENS = {"green": (30, 140, 70), "blue": (30, 60, 180), "black": (15, 15, 18), "red": (215, 25, 35)}
GLASS = (243, 241, 244)
PINK = (226, 160, 200)


def find(folder: Path, pixels: NDArray[np.uint8], mpp: float = 1.0) -> Tissue:
    path = folder / "image.png"
    Pillow.fromarray(pixels).save(path)
    with open_image(path) as image:
        return tissue.find(image, (mpp, mpp))


def glass(height: int = 400, width: int = 600) -> NDArray[np.uint8]:
    return np.full((height, width, 3), GLASS, dtype=np.uint8)


def test_an_area_of_eosin_is_found_with_its_size(tmp_path: Path) -> None:
    pixels = glass()
    pixels[80:240, 160:400] = PINK
    found = find(tmp_path, pixels)
    assert found.mask.shape == (400 / STEP_UM, 600 / STEP_UM)
    assert found.area_mm2 == pytest.approx(160 * 240 / 1e6, rel=0.05)
    assert found.mask[80 // 8 + 1 : 240 // 8 - 1, 160 // 8 + 1 : 400 // 8 - 1].all()


@pytest.mark.parametrize("seed", range(3))
def test_synthetic_tissue_is_tissue(tmp_path: Path, seed: int) -> None:
    assert find(tmp_path, make_frame(seed, seed, 0).image, 0.25).mask.mean() > 0.9


@pytest.mark.parametrize("colour", PENS)
def test_pens_are_not_tissue(tmp_path: Path, colour: str) -> None:
    pixels = glass()
    pixels[100:200, 100:500] = PENS[colour]
    pixels[300:380, 100:500] = PINK
    found = find(tmp_path, pixels)
    assert not found.mask[: 260 // 8].any()
    assert found.mask[310 // 8 : 370 // 8, 110 // 8 : 490 // 8].all()


@pytest.mark.parametrize("colour", [GLASS, (255, 255, 255), (128, 128, 128), (0, 0, 0), (250, 235, 248)])
def test_glass_and_grey_are_not_tissue(tmp_path: Path, colour: tuple[int, int, int]) -> None:
    assert find(tmp_path, np.full((200, 200, 3), colour, dtype=np.uint8)).area_mm2 == 0


def test_specks_are_dirt_and_small_holes_are_tissue(tmp_path: Path) -> None:
    pixels = glass()
    pixels[40:64, 40:64] = PINK
    pixels[100:380, 100:500] = PINK
    pixels[200:240, 200:240] = GLASS
    found = find(tmp_path, pixels)
    assert not found.mask[:10, :10].any()
    assert found.mask[200 // 8 : 240 // 8, 200 // 8 : 240 // 8].all()


@pytest.mark.parametrize("side", [400, 700, 1000])
@pytest.mark.parametrize("share", [0.5, 0.75])
@pytest.mark.parametrize("axis", [0, 1])
def test_glass_at_the_border_of_a_field_is_not_a_hole(tmp_path: Path, side: int, share: float, axis: int) -> None:
    """Fields of 100, 175 and 250 um. The border of the tissue is right to a cell, however small the field is."""
    pixels = make_frame(3, 1, 0, 1000).image[:side, :side].copy()
    width = round(side * (1 - share))
    np.moveaxis(pixels, axis, 0)[width:] = 255
    area = find(tmp_path, pixels, 0.25).area_mm2
    assert area * 1e6 / (side * 0.25) == pytest.approx(width * 0.25, abs=STEP_UM)


def test_glass_within_a_small_field_is_a_hole(tmp_path: Path) -> None:
    pixels = np.full((175, 175, 3), PINK, dtype=np.uint8)
    pixels[40:140, 40:140] = GLASS
    assert find(tmp_path, pixels).mask.all()
    pixels[40:, 40:140] = GLASS
    assert find(tmp_path, pixels).area_mm2 == pytest.approx((175 * 175 - 100 * 135) / 1e6, rel=0.1)


@pytest.mark.parametrize("offset", [(0, 0), (208, 64), (400, 304)])
def test_the_same_tissue_is_found_wherever_it_lies(tmp_path: Path, offset: tuple[int, int]) -> None:
    piece = make_frame(3, 1, 0, 512).image
    alone = find(tmp_path, piece, 0.5).mask
    pixels = glass(1024, 1024)
    x, y = offset
    pixels[y : y + 512, x : x + 512] = piece
    within = find(tmp_path, pixels, 0.5).mask[y // 16 :, x // 16 :][:32, :32]
    np.testing.assert_array_equal(within[4:-4, 4:-4], alone[4:-4, 4:-4])


def test_cells_at_the_border_count_as_far_as_they_lie_on_the_slide() -> None:
    found = Tissue(np.ones((2, 2), dtype=bool), 8.0, (12.0, 9.0))
    assert found.area_mm2 == pytest.approx(12 * 9 / 1e6)


def test_an_image_of_one_pixel_has_a_mask(tmp_path: Path) -> None:
    assert find(tmp_path, np.full((1, 1, 3), PINK, dtype=np.uint8), 0.25).mask.shape == (1, 1)


def test_an_overview_is_the_image_reduced_part_by_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mitobench.slides.overview._PART", 4096)
    pixels = make_frame(0, 0, 0).image
    Pillow.fromarray(pixels).save(tmp_path / "a.png")
    with open_image(tmp_path / "a.png") as image:
        same, decoded = overview(image, (256, 256))
        np.testing.assert_array_equal(same, pixels)
        assert decoded.all()
        small, _ = overview(image, (32, 16))
    wanted = pixels.reshape(16, 16, 32, 8, 3).mean(axis=(1, 3))
    assert np.abs(small - wanted).max() < 24, "parts are averaged, with a smooth filter"
