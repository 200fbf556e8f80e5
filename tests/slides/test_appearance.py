"""What is measured of an image follows its stain, sharpness and colour, and not its um/px."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from mitobench.slides.appearance import MAX_PATCHES, MEASURES, PATCH_PX, measure, patches_of, patches_of_slide
from mitobench.slides.reader import open_image
from mitobench.slides.tissue import Tissue
from slides.reader.pictures import picture

pytestmark = pytest.mark.slow

PIXELS = picture(512, 512)


def measured(pixels: NDArray[np.uint8]) -> dict[str, float]:
    values = measure(pixels)
    assert values is not None
    assert set(values) == set(MEASURES)
    return values


def test_more_stain_is_a_higher_density() -> None:
    dark = (255 * (PIXELS / 255) ** 1.6).astype(np.uint8)
    pale, strong = measured(PIXELS), measured(dark)
    assert strong["eosin"] > pale["eosin"]
    assert strong["haematoxylin"] + strong["eosin"] > 1.3 * (pale["haematoxylin"] + pale["eosin"])
    assert strong["saturation"] > pale["saturation"]


def test_blur_lowers_the_sharpness_alone() -> None:
    blurred = measured(np.array(Image.fromarray(PIXELS).filter(ImageFilter.GaussianBlur(2))))
    sharp = measured(PIXELS)
    assert blurred["sharpness"] < sharp["sharpness"] - 1
    assert blurred["eosin"] == pytest.approx(sharp["eosin"], rel=0.05)


def test_glass_is_not_measured() -> None:
    assert measure(np.full((64, 64, 3), 245, dtype=np.uint8)) is None
    assert measure(np.full((64, 64, 3), 128, dtype=np.uint8)) is None


@pytest.mark.parametrize(
    ("size", "mpp", "model_mpp", "number", "side"),
    [
        ((2000, 2000), (0.25, 0.25), 0.25, 9, (256, 256)),
        ((2000, 2000), (0.25, 0.25), 0.5, 9, (256, 256)),
        ((700, 300), (0.25, 0.25), 0.25, 2, (256, 256)),
        ((100, 80), (0.25, 0.25), 0.25, 1, (100, 80)),
        ((2000, 2000), (0.5, 0.25), 0.5, 9, (256, 256)),
    ],
)
def test_parts_of_a_field_have_the_um_per_px_of_the_model(
    size: tuple[int, int], mpp: tuple[float, float], model_mpp: float, number: int, side: tuple[int, int]
) -> None:
    found = patches_of(picture(size[1], size[0]), mpp, model_mpp)
    assert len(found) == number
    assert {(part.shape[1], part.shape[0]) for part in found} == {side}


def test_parts_of_a_slide_lie_on_its_tissue(tmp_path: Path) -> None:
    pixels = np.full((2000, 3000, 3), 255, dtype=np.uint8)
    pixels[:, 2000:] = picture(2000, 1000)
    Image.fromarray(pixels).save(tmp_path / "slide.png")
    mask = np.zeros((125, 188), dtype=bool)
    mask[:, 160:] = True  # at .5 um/px, 8 um are 16 px
    with open_image(tmp_path / "slide.png") as image:
        found = patches_of_slide(image, (0.5, 0.5), Tissue(mask, 8.0), 0.5)
        none = patches_of_slide(image, (0.5, 0.5), Tissue(mask & False, 8.0), 0.5)
    assert len(found) == MAX_PATCHES
    assert {part.shape for part in found} == {(PATCH_PX, PATCH_PX, 3)}
    assert all(part.mean() < 240 for part in found)
    assert none == []
