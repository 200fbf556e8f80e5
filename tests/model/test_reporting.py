"""From what was found on an image to its files: report, heat map, QuPath's outlines, a line of the index."""

from __future__ import annotations

import uuid
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mitobench.model import reporting
from mitobench.model.deviation import NOTHING_ODD, Judgement
from mitobench.model.pages import Report
from mitobench.slides.areas import area_of
from mitobench.slides.overview import Copies
from mitobench.slides.reader import open_image
from model.pages.slides import MPP, SIZE, findings, pixels
from model.toy_models import card

XY = np.array([[300.0, 300.0], [310.0, 320.0], [900.0, 500.0], [600.0, 600.0]])
SCORES = np.array([0.9, 0.8, 0.7, 0.2])


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "slide.png"
    Image.fromarray(pixels()).save(path)
    return path


def report(image: Path, judgement: Judgement = NOTHING_ODD) -> Report:
    return reporting.report_on(findings(image, XY, SCORES), card(), area_of("circle", 0.01), judgement)


def test_mitoses_count_from_the_corner_of_the_first_pixel_in_um(image: Path) -> None:
    first, second = report(image).hot.spots
    assert (first.count, second.count) == (2, 1)
    middle = (np.array([[300.0, 300.0], [310.0, 320.0]]) + 0.5).mean(axis=0) * MPP
    assert np.hypot(*(np.array(first.centre_um) - middle)) < first.area.reach_um


def test_its_files_can_be_read(image: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with open_image(image) as opened:
        reporting.write_files(out, Copies(opened), report(image))
    assert sorted(path.name for path in out.iterdir()) == sorted(f"slide{ending}" for ending in reporting.ENDINGS)
    assert Image.open(out / "slide.heat.png").size == SIZE
    with open_image(out / "slide.heat.ome.tif") as heat:
        assert heat.size == (19, 13)


def test_the_report_says_what_computed_it(image: Path, tmp_path: Path) -> None:
    by = "cpu; ONNX Runtime runs a network"
    made = reporting.report_on(findings(image, XY, SCORES), card(), area_of("circle", 0.01), computed_on=by)
    with open_image(image) as opened:
        reporting.write_files(tmp_path, Copies(opened), made)
    assert f"<dt>computed on</dt><dd>{by}</dd>" in (tmp_path / "slide.html").read_text()


def test_an_image_that_was_not_judged_has_a_report_only(image: Path, tmp_path: Path) -> None:
    out, grey = tmp_path / "out", report(image, Judgement(False, ("no colour",)))
    out.mkdir()
    with open_image(image) as opened:
        reporting.write_files(out, Copies(opened), grey)
    assert [path.name for path in out.iterdir()] == ["slide.html"]
    assert list(reporting.hot_spot_features(grey)) == []
    row = reporting.index_row(grey)
    assert (row.status, row.mitoses, row.hot_spot, row.notes) == ("not judged", None, None, ("no colour",))


def test_the_line_of_the_index_has_the_counts(image: Path) -> None:
    row = reporting.index_row(report(image))
    assert (row.status, row.hot_spot, row.mitoses) == ("judged", 2, 3)
    assert row.tissue_mm2 == pytest.approx(40 * 61 * 64e-6)
    assert row.per_mm2 == pytest.approx(3 / (40 * 61 * 64e-6))


def test_an_image_smaller_than_the_hot_spot_has_its_files_and_no_outline_of_one(image: Path, tmp_path: Path) -> None:
    small = reporting.report_on(findings(image, XY, SCORES), card(), area_of("circle", 2.0))
    assert list(reporting.hot_spot_features(small)) == []
    row = reporting.index_row(small)
    assert (row.hot_spot, row.mitoses) == (3, 3)
    assert row.notes[0].startswith("the image is smaller than the 2 mm2 of a hot spot")
    with open_image(image) as opened:
        reporting.write_files(tmp_path, Copies(opened), small)
    assert all((tmp_path / f"slide{ending}").is_file() for ending in reporting.ENDINGS)


def test_hot_spots_are_annotations_of_qupath_in_px(image: Path) -> None:
    first, second = reporting.hot_spot_features(report(image))
    assert first["properties"]["objectType"] == "annotation"
    assert first["properties"]["classification"]["name"] == "Hot spot"
    assert first["properties"]["measurements"]["mitoses"] == 2
    assert uuid.UUID(first["id"]) != uuid.UUID(second["id"])
    ring = np.array(first["geometry"]["coordinates"][0])
    assert (ring[0] == ring[-1]).all()
    spot = report(image).hot.spots[0]
    assert ring[:-1].mean(axis=0) == pytest.approx(np.array(spot.centre_um) / MPP, abs=0.1)
    assert np.hypot(*(ring * MPP - spot.centre_um).T) == pytest.approx(spot.area.reach_um, abs=0.025)
