"""GeoJSON that was corrected in QuPath becomes a data set with the same figures at the same places."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from slides.reader.pictures import picture

from mitobench.api import DataError, MitobenchError
from mitobench.datasets import Dataset, load
from mitobench.model import corrections
from mitobench.model.corrected_files import Pair
from mitobench.model.corrections import Classes, Written
from mitobench.model.outputs import write_geojson
from model.pages.slides import findings

MPP = 0.25
SIZE = (600, 400)


def feature(kind: str, name: str | None, *corners: tuple[float, float], point: bool = False) -> dict[str, Any]:
    ring = [*map(list, corners), list(corners[0])]
    geometry = {"type": "Point", "coordinates": ring[0]} if point else {"type": "Polygon", "coordinates": [ring]}
    classification = {} if name is None else {"classification": {"name": name, "color": [1, 2, 3]}}
    return {"type": "Feature", "geometry": geometry, "properties": {"objectType": kind, **classification}}


def box(x: float, y: float, half: float = 10) -> tuple[tuple[float, float], ...]:
    return (x - half, y - half), (x + half, y - half), (x + half, y + half), (x - half, y + half)


def detection(name: str | None, x: float, y: float) -> dict[str, Any]:
    return feature("detection", name, *box(x, y))


MITOSIS, CANDIDATE = detection("Mitosis", 100.5, 80.5), detection("Candidate", 300.5, 200.5)
REGION = feature("annotation", None, (50, 40), (350, 40), (350, 140), (50, 140))
HOT_SPOT = feature("annotation", "Hot spot", *box(300, 200, 90))


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., tuple[Written, Dataset]]:
    """Writes an image with these features, makes a data set of it, and reads it."""

    def run(*features: dict[str, Any], classes: Classes | None = None) -> tuple[Written, Dataset]:
        Image.fromarray(picture(SIZE[1], SIZE[0])).save(tmp_path / "slide.png")
        (tmp_path / "slide.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
        pairs = [Pair(tmp_path / "slide.geojson", tmp_path / "slide.png")]
        written = corrections.write_dataset(pairs, tmp_path / "out", MPP, classes or Classes())
        return written, load("folder", tmp_path / "out")

    return run


def test_without_regions_the_whole_image_is_labelled(write: Callable[..., tuple[Written, Dataset]]) -> None:
    written, dataset = write(MITOSIS, CANDIDATE, HOT_SPOT, feature("annotation", "Mitosis", (20.5, 30.5), point=True))
    (item,) = dataset.items.values()
    assert (written.images, written.mitoses, written.imposters, written.notes) == (1, 2, 1, ())
    assert sorted(item.mitoses.xy.tolist()) == [[20, 30], [100, 80]]
    assert item.mitoses.imposters.tolist() == [[300, 200]]
    assert item.mitoses.labelled
    assert item.frame.mpp == pytest.approx((MPP, MPP))
    assert item.frame.group == "slide"
    assert np.array_equal(item.frame.read(), picture(SIZE[1], SIZE[0]))


@pytest.mark.parametrize("features", [(), (REGION,), (HOT_SPOT,)])
def test_a_file_without_a_figure_is_warned_of(
    write: Callable[..., tuple[Written, Dataset]], features: tuple[dict[str, Any], ...]
) -> None:
    """A field may have no mitosis. It is also what the file of another image, or one that was not saved, looks like."""
    written, dataset = write(*features)
    (note,) = written.notes
    assert "slide.geojson: warning: has no mitosis and no imposter" in note
    assert [len(item.mitoses.xy) for item in dataset.items.values()] == [0]


def test_a_region_limits_the_labelled_area(write: Callable[..., tuple[Written, Dataset]]) -> None:
    written, dataset = write(MITOSIS, CANDIDATE, REGION)
    (item,) = dataset.items.values()
    assert (written.mitoses, written.imposters) == (1, 0)
    assert "1 figure outside the regions is left out" in written.notes[0]
    assert item.mitoses.xy.tolist() == [[50, 40]]
    assert item.frame.size == (300, 100)
    assert np.array_equal(item.frame.read(), picture(SIZE[1], SIZE[0])[40:140, 50:350])


def test_beside_a_region_that_is_not_a_rectangle_the_image_is_white(
    write: Callable[..., tuple[Written, Dataset]],
) -> None:
    triangle = feature("annotation", "my region", (0, 0), (400, 0), (0, 400))
    _, dataset = write(MITOSIS, detection("Mitosis", 380, 380), triangle)
    (item,) = dataset.items.values()
    pixels = item.frame.read()
    assert len(item.mitoses) == 1
    assert (pixels[300:, 300:] == 255).all()
    assert np.array_equal(pixels[:150, :150], picture(SIZE[1], SIZE[0])[:150, :150])


def test_a_region_without_figures_was_searched(write: Callable[..., tuple[Written, Dataset]]) -> None:
    written, dataset = write(REGION, feature("annotation", None, (0, 200), (100, 200), (100, 300), (0, 300)))
    assert (written.images, written.mitoses) == (2, 0)
    assert all(item.mitoses.labelled for item in dataset.items.values())


def test_hot_spots_are_regions_where_they_are_asked_for(write: Callable[..., tuple[Written, Dataset]]) -> None:
    written, dataset = write(MITOSIS, CANDIDATE, HOT_SPOT, REGION, classes=Classes(region=("Hot spot",)))
    (item,) = dataset.items.values()
    assert item.frame.size == (180, 180)
    assert (written.mitoses, written.imposters) == (0, 1)


def test_further_classes_are_named(write: Callable[..., tuple[Written, Dataset]]) -> None:
    features = [detection(name, x, 100) for name, x in (("Teilung", 100), ("Apoptose", 200), ("Fett", 300))]
    written, _ = write(*features, classes=Classes(("teilung",), ("Apoptose",), ("FETT",)))
    assert (written.mitoses, written.imposters) == (1, 1)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (detection("Fett", 9, 9), "has the class 'fett'. Give it a class in QuPath"),
        (detection(None, 9, 9), "has no class. Give it a class"),
        (feature("annotation", None, (0, 0), (5, 0), (5, 5)), "a region needs at least 64"),
        (feature("annotation", None, (900, 0), (1000, 0), (1000, 90)), "a region needs at least 64"),
        ({**REGION, "geometry": {"type": "Polygon", "coordinates": []}}, "is an area without corners"),
        ({**REGION, "geometry": {"type": "MultiPolygon", "coordinates": [[]]}}, "is an area without corners"),
        ({"type": "Feature", "geometry": None, "properties": {}}, "is not an object of QuPath"),
        ({**MITOSIS, "geometry": {"type": "LineString", "coordinates": [[0, 0], [9, 9]]}}, "is a LineString"),
        ({**MITOSIS, "geometry": {"type": "Point", "coordinates": ["a"]}}, "are not pairs of numbers"),
    ],
)
def test_what_has_no_meaning_is_an_error_and_nothing_is_written(
    write: Callable[..., tuple[Written, Dataset]], tmp_path: Path, bad: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        write(MITOSIS, bad)
    assert not (tmp_path / "out").exists()


def test_an_existing_folder_is_not_touched(write: Callable[..., tuple[Written, Dataset]], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(MitobenchError, match="exists already"):
        write(MITOSIS)


def test_what_predict_wrote_comes_back(tmp_path: Path) -> None:
    xy, scores = np.array([[100.0, 80.0], [300.0, 200.0], [500.0, 300.0]]), np.array([0.9, 0.4, 0.01])
    image = tmp_path / "slide.png"
    Image.fromarray(picture(SIZE[1], SIZE[0])).save(image)
    write_geojson(tmp_path / "slide.geojson", findings(image, xy, scores, size=SIZE, mpp=(MPP, MPP)))
    corrections.write_dataset([Pair(tmp_path / "slide.geojson", image)], tmp_path / "out", MPP)
    (item,) = load("folder", tmp_path / "out").items.values()
    assert item.mitoses.xy == pytest.approx(xy[:1])
    assert item.mitoses.imposters == pytest.approx(xy[1:2])


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """A z-stack of three pages that differ."""
    path = tmp_path / "stack.tif"
    with tifffile.TiffWriter(path) as tiff:
        for page in range(3):
            tiff.write(picture(SIZE[1], SIZE[0], seed=page), photometric="rgb", metadata=None)
    return path


def test_the_page_that_was_annotated_is_written(stack: Path, tmp_path: Path) -> None:
    geojson = tmp_path / "stack.geojson"
    geojson.write_text(json.dumps([MITOSIS, CANDIDATE]))
    with pytest.raises(DataError, match=r"holds 3 images of the same size.* Choose one with --page"):
        corrections.write_dataset([Pair(geojson, stack)], tmp_path / "out", MPP)
    for page in (2, 3):
        out = tmp_path / f"out{page}"
        corrections.write_dataset([Pair(geojson, stack, page)], out, MPP)
        (item,) = load("folder", out).items.values()
        assert np.array_equal(item.frame.read(), picture(SIZE[1], SIZE[0], seed=page - 1))
        assert f"'stack.geojson' of 'stack.tif', page {page}" in (out / "dataset.toml").read_text()


def test_objects_on_another_plane_than_the_page_are_refused(stack: Path, tmp_path: Path) -> None:
    drawn = detection("Mitosis", 50, 50)
    drawn["geometry"]["plane"] = {"c": -1, "z": 1, "t": 0}
    geojson = tmp_path / "stack.geojson"
    geojson.write_text(json.dumps([MITOSIS, drawn]))
    assert corrections.write_dataset([Pair(geojson, stack, 2)], tmp_path / "out", MPP).mitoses == 2
    with pytest.raises(DataError, match=r"features\[1\]: is on plane 2 of the stack, and page 3 is read"):
        corrections.write_dataset([Pair(geojson, stack, 3)], tmp_path / "other", MPP)
