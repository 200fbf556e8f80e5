"""Where mitoses are searched for: the user's masks and outlines, and what is wrong with them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mitobench.errors import DataError, MitobenchError
from mitobench.model.batch import Options, predict_files
from mitobench.model.search_area import SearchArea, read_polygons, search_area_of_array, within
from model.toy_models import dots

SIZE = (300, 200)  # px of 1 um
DOTS = np.array([[40, 50], [150, 100], [260, 150]])
SQUARE = [[100, 60], [200, 60], [200, 140], [100, 140], [100, 60]]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    pixels = np.full((SIZE[1], SIZE[0], 3), (228, 168, 205), np.uint8)
    pixels[:2] = (200, 120, 190)  # an image of one colour is not judged
    pixels[DOTS[:, 1], DOTS[:, 0]] = 255
    Image.fromarray(pixels).save(tmp_path / "image.png")
    return tmp_path / "image.png"


def geojson(path: Path, *geometries: Any, bare: bool = False) -> Path:
    features = [{"type": "Feature", "geometry": geometry, "properties": {}} for geometry in geometries]
    path.write_text(json.dumps(features if bare else {"type": "FeatureCollection", "features": features}))
    return path


def polygon(*rings: Any) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": list(rings)}


def found(image: Path, **options: Any) -> tuple[list[float], str, float]:
    """x of the dots that are found, the note, and the area of tissue."""
    (row,) = predict_files(dots(), [image], image.parent / "out", options=Options(mpp=1.0, overwrite=True, **options))
    assert row.done, row.note
    lines = (image.parent / "out" / "image.csv").read_text().splitlines()[1:]
    return sorted(float(line.split(",")[1]) for line in lines), row.note, row.tissue_mm2 or 0


def area_within(folder: Path, geometry: Any) -> SearchArea:
    """The area within a polygon on an array of SIZE px of 1 um."""
    return search_area_of_array(SIZE, (1.0, 1.0), None, geojson(folder / "roi.geojson", geometry))


def test_everything_on_tissue_is_found(image: Path) -> None:
    xs, _, area = found(image)
    assert xs == [40, 150, 260]
    assert area == pytest.approx(300 * 200 / 1e6)


def test_only_what_lies_within_the_region_is_found(image: Path) -> None:
    xs, note, area = found(image, roi=geojson(image.parent / "roi.geojson", polygon(SQUARE)))
    assert xs == [150]
    assert "only the region of interest was searched" in note
    assert area == pytest.approx(100 * 80 / 1e6, rel=0.05), "to the cells of the mask"


def test_the_area_of_outlines_is_not_biased(tmp_path: Path) -> None:
    """Mitoses per mm2 refer to it. A cell on an outline is tissue if its centre lies within."""
    rng = np.random.default_rng(0)
    squares = [[[x, y], [x + 90, y], [x + 90, y + 70], [x, y + 70]] for x, y in rng.uniform(0, 130, (100, 2))]
    areas = [area_within(tmp_path, polygon(ring)).tissue.area_mm2 for ring in squares]
    assert np.mean(areas) == pytest.approx(90 * 70 / 1e6, rel=0.02)


def test_another_area_of_tissue_is_another_search(tmp_path: Path) -> None:
    """Its mitoses per mm2 differ, also where the same cells are searched."""
    area = area_within(tmp_path, polygon([[0, 0], [400, 0], [400, 300], [0, 300], [0, 0]]))
    smaller = area.tissue.mask.copy()
    smaller[0] = False
    assert replace(area, tissue=replace(area.tissue, mask=smaller)).digest != area.digest


@pytest.mark.parametrize(("left", "inside"), [(150.4, True), (150.6, False)])
def test_outlines_are_exact(image: Path, left: float, inside: bool) -> None:
    """The centre of pixel 150 is 150.5 px from the left border of the image."""
    ring = [[left, 60], [200, 60], [200, 140], [left, 140], [left, 60]]
    xs, _, _ = found(image, roi=geojson(image.parent / "roi.geojson", polygon(ring)))
    assert (150 in xs) == inside


def test_a_hole_is_not_searched(image: Path) -> None:
    hole = [[140, 90], [160, 90], [160, 110], [140, 110], [140, 90]]
    all_of_it = [[0, 0], [300, 0], [300, 200], [0, 200], [0, 0]]
    xs, _, _ = found(image, roi=geojson(image.parent / "roi.geojson", polygon(all_of_it, hole), bare=True))
    assert xs == [40, 260]


def test_overlapping_regions_are_searched_once_where_they_overlap(image: Path) -> None:
    left, right = ([[a, 0], [b, 0], [b, 200], [a, 200], [a, 0]] for a, b in ((0, 200), (100, 300)))
    several = {"type": "MultiPolygon", "coordinates": [[left], [right]]}
    for number, regions in enumerate(([polygon(left), polygon(right)], [polygon(left)] * 2, [several])):
        xs, _, area = found(image, roi=geojson(image.parent / "roi.geojson", *regions))
        assert xs == ([40, 150] if number == 1 else [40, 150, 260])
        assert area == pytest.approx((200 if number == 1 else 300) * 200 / 1e6, rel=0.1)
    everything = [[0, 0], [300, 0], [300, 200], [0, 200], [0, 0]]
    hole_in_one = geojson(image.parent / "roi.geojson", polygon(everything, SQUARE), polygon(right))
    assert found(image, roi=hole_in_one)[0] == [40, 150, 260], "the hole of one region lies in another"


@pytest.mark.parametrize("option", ["roi", "tissue"])
def test_detections_in_a_file_of_regions_are_left_out(image: Path, option: str) -> None:
    """An export of QuPath with our own detections does not cut a hole at every mitosis."""
    path = geojson(image.parent / "export.geojson", polygon(SQUARE))
    content = json.loads(path.read_text())
    boxes = [[[x - 5, y - 5], [x + 5, y - 5], [x + 5, y + 5], [x - 5, y + 5], [x - 5, y - 5]] for x, y in DOTS.tolist()]
    detections = [
        {"type": "Feature", "geometry": polygon(box), "properties": {"objectType": "detection"}} for box in boxes
    ]
    path.write_text(json.dumps({**content, "features": [*detections, *content["features"]]}))
    xs, note, _ = found(image, **{option: path})
    assert xs == [150]
    assert "left out of export.geojson, as it is not the outline of a region: 3 detections" in note
    path.write_text(json.dumps({**content, "features": detections}))
    with pytest.raises(DataError, match="no polygon of a region, only 3 detections"):
        read_polygons(path)


def test_tissue_can_be_given_as_a_mask_of_any_size(image: Path) -> None:
    mask = np.zeros((20, 30), np.uint8)
    mask[:, :10] = 255
    Image.fromarray(mask).save(image.parent / "mask.bmp")
    xs, _, area = found(image, tissue=image.parent / "mask.bmp")
    assert xs == [40]
    assert area == pytest.approx(100 * 200 / 1e6, rel=0.1)


@pytest.mark.parametrize(("small", "large", "noted"), [(100, 200, True), (0, 255, False), (1, 2, False)])
def test_a_mask_whose_smaller_values_are_not_used_is_noted(image: Path, small: int, large: int, noted: bool) -> None:
    mask = np.zeros((20, 30), np.uint8)
    mask[:, :10], mask[:, 20:] = small, large
    Image.fromarray(mask).save(image.parent / "mask.bmp")
    xs, note, _ = found(image, tissue=image.parent / "mask.bmp")
    assert xs == ([40, 260] if small == 1 else [260])
    text = "mask.bmp: values below 128 are not taken for tissue, as it has larger ones: 33% of the image"
    assert (text in note) == noted


@pytest.mark.parametrize("name", ["mask.png", "mask.tif", "mask.webp"])
@pytest.mark.parametrize("colour", [0, 255])
def test_a_mask_that_is_drawn_by_transparency_is_refused(image: Path, name: str, colour: int) -> None:
    """On a white background, all of it would be tissue."""
    mask = np.full((20, 30, 4), colour, np.uint8)
    mask[..., 3] = 0
    mask[:, :10, 3] = 255
    Image.fromarray(mask).save(image.parent / name, lossless=True)
    (row,) = predict_files(dots(), [image], image.parent / "out", options=Options(1.0, tissue=image.parent / name))
    assert f"{name}: is transparent in part" in row.note
    assert not row.done


@pytest.mark.parametrize("name", ["mask.png", "mask.tif"])
@pytest.mark.parametrize("alpha", [0, 255])
def test_a_mask_that_is_as_transparent_everywhere_is_read(image: Path, name: str, alpha: int) -> None:
    mask = np.zeros((20, 30, 4), np.uint8)
    mask[:, :10] = 255
    mask[..., 3] = alpha
    Image.fromarray(mask).save(image.parent / name)
    assert found(image, tissue=image.parent / name)[0] == [40]


def test_tissue_can_be_given_as_outlines(image: Path) -> None:
    xs, _, _ = found(image, tissue=geojson(image.parent / "tissue.json", polygon(SQUARE)))
    assert xs == [150]


OUTSIDE = [[1000, 1000], [1100, 1000], [1100, 1100], [1000, 1000]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"type": "FeatureCollection", "features": []}, "holds no polygon"),
        (polygon(OUTSIDE), r"lies outside image\.png.*300 x 200 px"),
        ({"type": "Point", "coordinates": [1, 2]}, "is a Point, not a polygon"),
        ({"type": "LineString", "coordinates": [[1, 2], [3, 4]]}, "not a polygon"),
        (polygon([[1, 2], ["a", 3], [4, 5]]), "not pairs of numbers"),
        (polygon([[1, 2], [3], [4, 5]]), "not pairs of numbers|at least 3 corners"),
        (polygon([[1, 2], [3, 4]]), "at least 3 corners"),
        (polygon([[1, 2], [3, 1e30], [4, 5]]), "at least 3 corners"),
        (polygon([1, 2, 3]), "not pairs of numbers"),
        ({"type": "Polygon", "coordinates": 3}, "holds no polygon"),
        ({"type": "Polygon"}, "holds no polygon"),
        (3, "holds no polygon"),
    ],
)
def test_a_faulty_region_is_named(image: Path, content: Any, message: str) -> None:
    path = image.parent / "roi.geojson"
    path.write_text(json.dumps(content))
    options = Options(mpp=1.0, roi=path)
    (row,) = predict_files(dots(), [image], image.parent / "out", options=options)
    assert not row.done
    assert re.search(message, row.note), row.note
    assert "roi.geojson" in row.note


def test_regions_on_several_sides_of_the_image_lie_outside(image: Path, tmp_path: Path) -> None:
    before, behind = ([[a, a], [a + 90, a], [a + 90, a + 90], [a, a + 90]] for a in (-91, 301))
    path = geojson(tmp_path / "roi.geojson", polygon(before), polygon(behind))
    (row,) = predict_files(dots(), [image], tmp_path / "out", options=Options(mpp=1.0, roi=path))
    assert "lies outside image.png" in row.note


@pytest.mark.parametrize("text", ["", "{", '{"type": NaN}', "[" * 100 + "]" * 100])
def test_a_file_that_is_not_json_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.geojson").write_text(text)
    with pytest.raises(MitobenchError, match=r"a\.geojson"):
        read_polygons(tmp_path / "a.geojson")


def test_outlines_have_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mitobench.model.search_area.MAX_CORNERS", 4)
    with pytest.raises(DataError, match="more than 4 corners"):
        read_polygons(geojson(tmp_path / "a.geojson", polygon(SQUARE)))


@pytest.mark.parametrize(("size", "value", "message"), [((100, 100), 255, "not the form"), ((30, 20), 0, "is 0 every")])
def test_a_faulty_mask_is_named(image: Path, size: tuple[int, int], value: int, message: str) -> None:
    Image.new("L", size, value).save(image.parent / "mask.bmp")
    options = Options(mpp=1.0, tissue=image.parent / "mask.bmp")
    (row,) = predict_files(dots(), [image], image.parent / "out", options=options)
    assert message in row.note


@given(st.integers(0, 2**32 - 1))
def test_a_point_is_within_outlines_if_a_line_from_it_crosses_them_an_odd_number_of_times(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rings = [rng.integers(0, 12, (rng.integers(3, 9), 2)).astype(float) for _ in range(rng.integers(1, 4))]
    rings += [np.vstack([rings[0] + 2, rings[0][:1] + 2])]  # closed, as in GeoJSON
    xy = rng.uniform(-2, 14, (50, 2))
    crossings = np.zeros(len(xy), dtype=int)
    for ring in rings:
        for (x1, y1), (x2, y2) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
            if y1 != y2:
                beside = (y1 > xy[:, 1]) != (y2 > xy[:, 1])
                crossings += beside & (xy[:, 0] < (x2 - x1) * (xy[:, 1] - y1) / (y2 - y1) + x1)
    np.testing.assert_array_equal(within(tuple(rings), xy), crossings % 2 == 1)


def test_what_lies_within_outlines_of_any_form_is_searched(tmp_path: Path) -> None:
    """Also beside their corners, at crossings and in thin tips, whose cells have their centres outside."""
    rng = np.random.default_rng(0)
    for number in range(50):
        rings = [rng.uniform(-80, 400, (rng.integers(3, 9), 2)) for _ in range(rng.integers(1, 4))]
        area = area_within(tmp_path, polygon(*(ring.tolist() for ring in rings)))
        xy = rng.uniform((0, 0), SIZE, (1000, 2))
        column, row = (xy[within(tuple(rings), xy)] / 8).astype(int).T
        assert area.mask[row, column].all(), number
        rows, columns = np.indices(area.tissue.mask.shape).reshape(2, -1)
        centres = (np.stack([columns, rows], axis=1) + 0.5) * 8
        np.testing.assert_array_equal(area.tissue.mask.ravel(), within(tuple(rings), centres), str(number))


def test_mitoses_on_glass_beside_tissue_are_found(tmp_path: Path) -> None:
    """As far as 32 um from it. Glass at the image's border is not tissue, and is not searched farther away."""
    pixels = np.full((200, 200, 3), 245, np.uint8)
    pixels[:, :100] = (228, 168, 205)
    pixels[100, [50, 118, 170]] = (255, 255, 255)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    xs, _, area = found(tmp_path / "image.png")
    assert xs == [50, 118]
    assert area == pytest.approx(200 * 100 / 1e6, rel=0.1)
