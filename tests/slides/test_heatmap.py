"""The heat map shows what was counted, where it was counted, and its files can be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from mitobench.slides.areas import Circle
from mitobench.slides.heatmap import MIN_TOP, HeatMap, heat_map, write_ome_tiff
from mitobench.slides.hotspot import find_hot_spots
from mitobench.slides.reader import open_image
from mitobench.slides.tissue import Tissue

STEP, AREA = 8.0, Circle(2.0)


def heat(mitoses: int = 30, rows: int = 1201, columns: int = 1602) -> HeatMap:
    """Mitoses at one place of a slide whose left quarter is glass."""
    mask = np.ones((rows, columns), dtype=bool)
    mask[:, : columns // 4] = False
    tissue = Tissue(mask, STEP)
    places = np.full((mitoses, 2), [STEP * columns * 0.6, STEP * rows * 0.4])
    return heat_map(find_hot_spots(places, tissue, AREA).counts, tissue, AREA)


def test_it_has_the_density_around_each_place() -> None:
    shown = heat()
    assert shown.per_mm2.shape == (301, 401)
    assert shown.step_um == 32
    assert shown.per_mm2.max() == 15
    assert shown.top == 15
    inside = np.count_nonzero(shown.per_mm2 >= 7.5) * shown.step_um**2 / 1e6
    assert inside == pytest.approx(2, rel=0.01)
    assert not shown.tissue[:, :100].any()
    assert shown.tissue[:, 101:].all()


def test_few_mitoses_do_not_get_the_darkest_colour() -> None:
    shown = heat(1)
    assert shown.top == MIN_TOP
    assert shown.shades.max() == round(0.5 / MIN_TOP * 255)
    assert heat(0).shades.max() == 0


def test_over_the_slide_only_tissue_with_mitoses_is_coloured() -> None:
    shown = heat()
    slide = np.full((150, 200, 3), [220, 150, 200], dtype=np.uint8)
    picture = shown.over(slide).astype(int)
    grey = np.ptp(picture, axis=2) <= 1
    assert picture.shape == slide.shape
    assert grey[:, :45].all()
    assert grey[-10:].all()
    assert not grey[60, 120]
    assert picture[60, 120, 0] > picture[60, 120, 2]


def test_the_ome_tiff_is_read_back_with_its_resolutions_and_um_per_px(tmp_path: Path) -> None:
    shown, path = heat(), tmp_path / "heat.ome.tif"
    write_ome_tiff(path, shown)
    with open_image(path) as image:
        assert image.size == (401, 301)
        assert image.levels == ((401, 301), (200, 150))
        assert np.array_equal(image.read(), shown.rgb())
    with tifffile.TiffFile(path) as tiff:
        assert 'PhysicalSizeX="32.0" PhysicalSizeXUnit="µm"' in (tiff.ome_metadata or "")
        assert "from 0 (pale yellow) to 15 (dark red)" in (tiff.ome_metadata or "")
        x, unit = tiff.pages.first.tags["XResolution"].value, tiff.pages.first.tags["ResolutionUnit"].value
        assert x[0] / x[1] == pytest.approx(1e4 / 32)
        assert unit == 3


def test_equal_maps_give_equal_files(tmp_path: Path) -> None:
    for name in ("a.ome.tif", "b.ome.tif"):
        write_ome_tiff(tmp_path / name, heat())
    assert (tmp_path / "a.ome.tif").read_bytes() == (tmp_path / "b.ome.tif").read_bytes()


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (1, 7)])
def test_images_of_few_cells_have_a_map(shape: tuple[int, int], tmp_path: Path) -> None:
    shown = heat(2, *shape)
    write_ome_tiff(tmp_path / "heat.ome.tif", shown)
    assert shown.over(np.zeros((5, 9, 3), dtype=np.uint8)).shape == (5, 9, 3)
