"""`folder`: any images with one CSV, GeoJSON or COCO file; `data init` writes its dataset.toml."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mitobench.api import DataError
from mitobench.datasets import available, load
from mitobench.datasets.folder_init import guess_slides, write_settings
from mitobench.datasets.images import write_rgb
from mitobench.results.record import read_all

WIDTH, HEIGHT = 100, 80


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two images without um/px, and a dataset.toml that gives it."""
    for number, name in enumerate(("a.png", "b.png")):
        pixels = np.random.default_rng(number).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        write_rgb(tmp_path / name, pixels)
    settings(tmp_path)
    return tmp_path


def settings(folder: Path, *lines: str) -> None:
    (folder / "dataset.toml").write_text("\n".join(("mpp = 0.25", *lines)) + "\n")


def read(folder: Path, name: str, content: Any) -> dict[str, Any]:
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return {id: item.mitoses for id, item in load("folder", folder).items.items()}


@pytest.mark.parametrize(
    "content",
    [
        "image,x,y\na.png,10,20\n",
        "Frame;X;Y\na;10,0;20,0\n",
        "file\tx\ty\nA.PNG\t10\t20\n",
        "image,x1,y1,x2,y2,class\na.png,5,15,15,25,Mitotic figure\n",
        "image,x,y,label\na.png,10,20,mitosis\na.png,50,60,Granulocyte\n",
    ],
)
def test_csv_files_of_points_and_corners(folder: Path, content: str) -> None:
    settings(folder, 'ignore = ["granulocyte"]')
    found = read(folder, "labels.tsv" if "\t" in content else "labels.csv", content)
    assert found["a"].xy.tolist() == [[10, 20]]
    assert (found["a"].labelled, found["b"].labelled) == (True, False)


def test_an_image_that_is_listed_without_a_point_is_free_of_mitoses(folder: Path) -> None:
    found = read(folder, "labels.csv", "image,x,y\na.png,10,20\nb.png,,\n")
    assert (len(found["b"]), found["b"].labelled) == (0, True)


def test_unannotated_images_are_empty_only_if_the_settings_say_so(folder: Path) -> None:
    content = "image,x,y\na.png,10,20\n"
    assert not read(folder, "labels.csv", content)["b"].labelled
    assert any(
        "1 of 2 images has no annotation, and counts as unlabelled: b" in n for n in load("folder", folder).notes
    )
    settings(folder, 'unannotated = "empty"')
    assert read(folder, "labels.csv", content)["b"].labelled


@pytest.mark.parametrize(("boxes", "xy"), [("xywh", [15.0, 25.0]), ("centre", [10.0, 20.0])])
def test_boxes_of_width_and_height_need_a_word(folder: Path, boxes: str, xy: list[float]) -> None:
    content = "image,x,y,width,height\na,10,20,10,10\n"
    with pytest.raises(DataError, match=r'labels\.csv:1: x,y may be the upper left corner.*boxes = "xywh"'):
        read(folder, "labels.csv", content)
    settings(folder, f'boxes = "{boxes}"')
    assert read(folder, "labels.csv", content)["a"].xy.tolist() == [xy]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("image,x,y,class\na,1,2,what\n", r"csv:2: unknown class 'what'.*mitosis = \['what'\]"),
        ("image,x,y\na,1,two\n", r"csv:2: 'two' is not a number"),
        ("image,x,y\na,1\n", r"csv:2: 2 columns"),
        ("image,x,y,x\na,1,2,3\n", r"csv:1: the column 'x' occurs twice"),
        ("image,u,v\na,1,2\n", r"csv:1: has no columns x,y"),
        ("image,x,y\na,70,195\n", r"csv:2: \(70, 195\) is outside the image of 100 x 80 px"),
        ("image,x,y\nz,1,2\n", r"names no image of this folder: 'z'"),
        ("x,y\n1,2\n", "does not name its images, of which there are 2"),
        ("image,x,y,score\na,1,2,7\n", r"csv:2: the confidence 7 is outside 0-1"),
        ("image,x1,y1,x2,y2\na,40,50,20,20\n", r"csv:2: box .* corner before its first one"),
    ],
)
def test_a_wrong_csv_is_refused_with_its_line(folder: Path, content: str, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        read(folder, "labels.csv", content)


def feature(geometry: dict[str, Any], name: str | None = "Mitosis", **properties: Any) -> dict[str, Any]:
    classification = {} if name is None else {"classification": {"name": name}}
    return {"type": "Feature", "geometry": geometry, "properties": {**classification, **properties}}


def test_geojson_of_qupath_counts_from_the_corner_of_the_first_pixel(folder: Path) -> None:
    outline = [[[20, 20], [40, 20], [40, 30], [20, 30], [20, 20]]]
    features = [
        feature({"type": "Point", "coordinates": [10.5, 20.5]}, image="a.png"),
        feature({"type": "Polygon", "coordinates": outline}, "Hard negative", image="a.png"),
        feature({"type": "MultiPoint", "coordinates": [[1.5, 2.5], [60, 70]]}, image="b.png"),
    ]
    far = [[[x - 5 for x in pair] for pair in outline[0]]]
    features.append(feature({"type": "MultiPolygon", "coordinates": [outline, far]}, "Imposter", image="b.png"))
    found = read(folder, "labels.geojson", {"type": "FeatureCollection", "features": features})
    assert found["b"].imposters.tolist() == [[29.5, 24.5], [24.5, 19.5]]
    assert (found["a"].xy.tolist(), found["a"].imposters.tolist()) == ([[10, 20]], [[29.5, 24.5]])
    assert found["b"].xy.tolist() == [[1, 2], [59.5, 69.5]]


def test_one_geojson_for_each_image(folder: Path) -> None:
    (folder / "b.geojson").write_text(json.dumps({"features": []}))
    found = read(folder, "a.geojson", [feature({"type": "Point", "coordinates": [10.5, 20.5]}, None)])
    assert found["a"].xy.tolist() == [[10, 20]]
    assert (len(found["b"]), found["b"].labelled) == (0, True)


def coco(boxes: list[list[float]], name: str = "mitotic figure") -> dict[str, Any]:
    return {
        "images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}],
        "categories": [{"id": 5, "name": name}],
        "annotations": [{"image_id": 1, "category_id": 5, "bbox": box} for box in boxes],
    }


def test_coco_boxes_are_x_y_width_and_height(folder: Path) -> None:
    found = read(folder, "coco.json", coco([[10, 20, 10, 20]]))
    assert found["a"].xy.tolist() == [[15, 30]]


def test_corners_in_a_coco_file_are_named(folder: Path) -> None:
    content = coco([[60, 20, 90, 50], [70, 50, 95, 75], [55, 40, 80, 65]])
    with pytest.raises(DataError, match=r'all fit as xmin, ymin, xmax, ymax, as in MIDOG.*boxes = "corners"'):
        read(folder, "coco.json", content)
    settings(folder, 'boxes = "corners"')
    assert read(folder, "coco.json", content)["a"].xy.tolist() == [[75, 35], [82.5, 62.5], [67.5, 52.5]]


@pytest.mark.parametrize(
    ("size", "complaint"),
    [
        ({"width": 200, "height": 160}, r"a.png: has 100 x 80 px, and .*coco.json: images\[0\] says 200 x 160"),
        ({"width": 80, "height": 100}, "says 80 x 100"),
        ({"width": "100", "height": 80}, r"images\[0\]: width and height must be whole numbers"),
        ({"width": 100}, r"images\[0\]: width and height must be whole numbers"),
    ],
)
def test_a_coco_file_of_images_of_another_size_is_refused(folder: Path, size: dict[str, Any], complaint: str) -> None:
    content = coco([[10, 20, 11, 21]])
    content["images"][0] |= {"width": WIDTH, "height": HEIGHT}
    assert len(read(folder, "coco.json", content)["a"]) == 1
    with pytest.raises(DataError, match=r"images\[1\]: a.png is listed twice"):
        read(folder, "coco.json", {**content, "images": [{"id": n, "file_name": "a.png"} for n in (1, 2)]})
    del content["images"][0]["width"], content["images"][0]["height"]
    content["images"][0] |= size
    with pytest.raises(DataError, match=complaint):
        read(folder, "coco.json", content)


def test_images_too_coarse_for_mitoses_are_refused_with_their_um_px(folder: Path) -> None:
    (folder / "dataset.toml").unlink()
    (folder / "labels.csv").write_text("image,x,y\na,1,2\n")
    for path in folder.glob("*.png"):
        Image.open(path).save(path, dpi=(5_080, 5_080))
    with pytest.raises(DataError, match=r"a\.png: says 5 um/px, not 0\.1 to 1\. Write it in dataset\.toml"):
        load("folder", folder)
    settings(folder)
    (other, *_) = (item.other_mpp(load("folder", folder).card) for item in load("folder", folder).items.values())
    assert other == "5 um/px, not 0.25; 0.25 is used"


def test_a_folder_without_settings_is_read_only_when_it_is_named(folder: Path) -> None:
    (folder / "dataset.toml").unlink()
    (folder / "labels.csv").write_text("image,x,y\na,1,2\n")
    assert "folder" not in available(folder)
    with pytest.raises(DataError, match=r"a\.png: says no um/px.*mitobench data init"):
        load("folder", folder)


CLASS_COLUMNS = [
    *("labels", "class_name", "category_name", "category_id", "agreedClass", "annotation", "Type", "Object type"),
    *("predicted class", "Name"),
]


@pytest.mark.parametrize("column", CLASS_COLUMNS)
def test_a_column_of_classes_is_used_in_every_spelling(folder: Path, column: str) -> None:
    found = read(folder, "labels.csv", f"image,x,y,{column}\na,10,20,MF\na,50,60,non-mitotic figure\nb,,,\n")
    assert (found["a"].xy.tolist(), found["a"].imposters.tolist()) == ([[10, 20]], [[50, 60]])
    with pytest.raises(DataError, match=r"labels.csv:3: unknown class '2'.*mitosis = \['2'\]"):
        read(folder, "labels.csv", f"image,x,y,{column}\na,10,20,MF\na,50,60,2\n")
    (folder / "labels.csv").unlink()
    spots = [{"type": "Point", "coordinates": [x, x]} for x in (10.5, 50.5)]
    features = [feature(spot, None, **{column: name}) for spot, name in zip(spots, ("MF", "imposter"), strict=True)]
    found = read(folder, "a.geojson", features)
    assert (found["a"].xy.tolist(), found["a"].imposters.tolist()) == ([[10, 10]], [[50, 50]])


@pytest.mark.parametrize("column", ["mitosis", "is_mitosis", "Is mitotic"])
def test_a_flag_is_a_class(folder: Path, column: str) -> None:
    found = read(folder, "labels.csv", f"image,x,y,{column}\na,10,20,1\na,50,60,0\n")
    assert (found["a"].xy.tolist(), found["a"].imposters.tolist()) == ([[10, 20]], [[50, 60]])


def test_a_column_that_looks_like_classes_is_asked_about(folder: Path) -> None:
    content = "image,x,y,consensus\na,10,20,agreed\na,50,60,doubtful\na,1,1,agreed\na,5,5,doubtful\n"
    with pytest.raises(
        DataError, match=r'column consensus .*dataset\.toml: class_column = "consensus"\. If not: .*"none"'
    ):
        read(folder, "labels.csv", content)
    settings(folder, 'class_column = "none"')
    assert len(read(folder, "labels.csv", content)["a"]) == 4
    settings(folder, 'class_column = "Consensus"', 'mitosis = ["agreed"]', 'imposter = ["doubtful"]')
    assert len(read(folder, "labels.csv", content)["a"]) == 2


def test_an_object_without_a_class_among_others_is_asked_about(folder: Path) -> None:
    spots = [{"type": "Point", "coordinates": [x, x]} for x in (10.5, 50.5)]
    with pytest.raises(DataError, match=r"features\[1\]: unknown class 'unclassified'"):
        read(folder, "a.geojson", [feature(spots[0], "Mitosis"), feature(spots[1], None)])


def results(**changes: Any) -> list[dict[str, Any]]:
    return [{"image_id": 7, "category_id": 1, "bbox": [10, 20, 10, 20], **changes}]


LISTING = {
    "images": [{"id": 7, "file_name": "a.png", "width": 100, "height": 80}],
    "categories": [{"id": 1, "name": "mitosis"}],
}


def test_coco_results_are_read_with_the_images_of_another_file(folder: Path) -> None:
    (folder / "instances.json").write_text(json.dumps({**LISTING, "annotations": "not read"}))
    settings(folder, 'images = "instances.json"')
    found = read(folder, "results.json", results(score=0.5))["a"]
    assert (found.xy.tolist(), found.confidence) == ([[15, 30]], [0.5])
    for changed, complaint in (
        (results(image_id=8), r"results\.json: annotations\[0\]: image_id 8 is not in `images`"),
        (results(score=2), r"annotations\[0\]: the confidence 2 is not a number within 0-1"),
        (coco([[10, 20, 11, 21]]), r"results\.json: names its images itself, so images = 'instances\.json'"),
    ):
        with pytest.raises(DataError, match=complaint):
            read(folder, "results.json", changed)
    (folder / "instances.json").write_text("[]")
    with pytest.raises(DataError, match=r"instances\.json: lists no images"):
        read(folder, "results.json", results())
    (folder / "instances.json").unlink()
    with pytest.raises(DataError, match=r"dataset\.toml: images = 'instances\.json'"):
        read(folder, "results.json", results())


def test_coco_results_without_images_must_name_files(folder: Path) -> None:
    with pytest.raises(DataError, match=r'annotations\[0\]: image_id 7 is a number.*images = "NAME\.json"'):
        read(folder, "results.json", results())
    with pytest.raises(DataError, match=r"unknown class '1'\. Write in dataset\.toml"):
        read(folder, "results.json", results(image_id="a.png"))
    settings(folder, 'mitosis = ["1"]')
    assert read(folder, "results.json", results(image_id="a.png"))["a"].xy.tolist() == [[15, 30]]


def test_a_key_of_coco_that_contradicts_the_category_is_asked_about(folder: Path) -> None:
    content = coco([[10, 20, 11, 21], [30, 30, 9, 9]])
    for entry, kind in zip(content["annotations"], ("mitosis", "hard negative"), strict=True):
        entry["type"] = kind
    with pytest.raises(DataError, match=r"columns .*category_id.* may both hold classes"):
        read(folder, "coco.json", content)
    settings(folder, 'class_column = "type"')
    assert len(read(folder, "coco.json", content)["a"]) == 1


@pytest.mark.parametrize("factor", [0.00025, 1 / WIDTH], ids=["mm", "fractions"])
def test_coordinates_that_are_not_px_are_refused(folder: Path, factor: float) -> None:
    rows = [(12, 15), (40, 60), (80, 30), (95, 75)]
    text = "image,x,y\n" + "".join(f"{'ab'[n % 2]},{x * factor},{y * factor}\n" for n, (x, y) in enumerate(rows))
    with pytest.raises(DataError, match=r"labels.csv: all 4 figures lie within .* of at least 80 px.*are these mm"):
        read(folder, "labels.csv", text)
    (folder / "labels.csv").write_text("\n".join(text.splitlines()[:3]))
    assert any("all 2 figures lie within" in note for note in load("folder", folder).notes)


@pytest.mark.parametrize(("factor", "odd"), [(0.25, True), (0.5, True), (1.0, False)])
def test_coordinates_of_another_resolution_are_noted(folder: Path, factor: float, odd: bool) -> None:
    places = np.random.default_rng(1).uniform(5, (WIDTH - 5, HEIGHT - 5), (24, 2)) * factor
    read(folder, "labels.csv", "image,x,y\n" + "".join(f"a,{x:.1f},{y:.1f}\n" for x, y in places))
    found = [note for note in load("folder", folder).notes if "are the coordinates um, or px of another" in note]
    assert len(found) == odd


def test_many_figures_that_coincide_are_noted(folder: Path) -> None:
    places = [(20, 20), (20.5, 21), (21, 20), (50, 50), (50, 51), (70, 10)]
    text = "image,x,y\n" + "".join(f"a,{x},{y}\n" for x, y in places)
    read(folder, "labels.csv", text)
    (note,) = [note for note in load("folder", folder).notes if "of another resolution or unit" in note]
    assert "3 of 6 figures are within 2 px of another one" in note
    read(folder, "labels.csv", "image,x,y\n" + "".join(f"a,{x},{y}\n" for x, y in places[2:]))
    assert not any("resolution or unit" in note for note in load("folder", folder).notes)


def test_slides_come_from_folders_or_a_pattern(folder: Path) -> None:
    (folder / "s1").mkdir()
    (folder / "a.png").rename(folder / "s1" / "a.png")
    (folder / "labels.csv").write_text("image,x,y\ns1/a.png,1,2\nb,3,4\n")
    assert {i.frame.group for i in load("folder", folder).items.values()} == {"s1", "b"}
    settings(folder, "slide = '^(.)'")
    assert {i.frame.group for i in load("folder", folder).items.values()} == {"a", "b"}


def spread(folder: Path, *names: str) -> None:
    """Writes these images, without a suffix; those of the fixture are removed."""
    for name in ("a.png", "b.png"):
        (folder / name).unlink()
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_rgb(folder / f"{name}.png", np.full((HEIGHT, WIDTH, 3), 180, dtype=np.uint8))


def test_the_annotation_of_a_missing_image_is_not_given_to_another_of_its_name(folder: Path) -> None:
    spread(folder, "s2/tile_0", "s3/tile_0", "s4/tile_9")
    found = read(folder, "a.csv", "image,x,y\ns1/tile_9.png,10,20\ns2/tile_0.png,30,40\ns3/tile_0,50,60\n")
    assert {id: of.xy.tolist() for id, of in found.items()} == {
        "s2__tile_0": [[30, 40]],
        "s3__tile_0": [[50, 60]],
        "s4__tile_9": [],
    }
    assert any(note.endswith("1 of its images is missing: s1/tile_9.png") for note in load("folder", folder).notes)


@pytest.mark.parametrize(
    ("name", "id"),
    [
        ("tile_1.png", "tile_1"),
        ("b/tile_1.png", "b__tile_1"),
        ("/home/me/scans/B/Tile_1.PNG", "b__tile_1"),
        ("./b/tile_2", "b__tile_2"),
        ("b__tile_2", "b__tile_2"),
        ("tile_2.png", "b__tile_2"),
    ],
)
def test_an_exact_path_names_an_image_and_a_file_name_only_if_it_is_unique(folder: Path, name: str, id: str) -> None:
    spread(folder, "tile_1", "b/tile_1", "b/tile_2", "c/tile_3", "d/tile_3")
    assert [of for of, mitoses in read(folder, "a.csv", f"image,x,y\n{name},10,20\n").items() if len(mitoses)] == [id]


def test_a_file_name_of_two_images_is_refused_with_both(folder: Path) -> None:
    spread(folder, "c/tile_3", "d/tile_3")
    with pytest.raises(DataError, match=r"called tile_3\.png: c/tile_3\.png and d/tile_3\.png\. Write their folders"):
        read(folder, "a.csv", "image,x,y\ntile_3.png,10,20\n")


def test_images_of_one_folder_may_have_folders_before_them_but_only_one(folder: Path) -> None:
    assert len(read(folder, "a.csv", "image,x,y\n/home/me/a.png,10,20\n/home/me/b.png,10,20\n")["a"]) == 1
    with pytest.raises(DataError, match=r"s1/a\.png and s2/a\.png would both be .*a\.png\."):
        read(folder, "a.csv", "image,x,y\ns1/a.png,10,20\ns2/a.png,30,40\n")


def test_a_path_before_the_names_of_a_flat_folder_of_images_does_not_count(folder: Path) -> None:
    spread(folder, "images/a", "images/b")
    found = read(folder, "a.csv", "image,x,y\n/scans/a.png,10,20\nb,30,40\n")
    assert {id: of.xy.tolist() for id, of in found.items()} == {"images__a": [[10, 20]], "images__b": [[30, 40]]}


def test_a_geojson_beside_its_image_is_not_of_an_image_elsewhere(folder: Path) -> None:
    spread(folder, "s1/t", "s2/t", "s2/u")
    settings(folder, 'annotations = "**/*.geojson"')
    for name, x in (("s1/t", 10), ("s2/t", 20), ("s1/u", 30)):
        (folder / f"{name}.geojson").write_text(json.dumps([feature({"type": "Point", "coordinates": [x, 9]})]))
    found = {id: item.mitoses.xy.tolist() for id, item in load("folder", folder).items.items()}
    assert found == {"s1__t": [[9.5, 8.5]], "s2__t": [[19.5, 8.5]], "s2__u": []}


@pytest.mark.parametrize(
    ("name", "content", "place"),
    [
        ("a.csv", "image,x,y,confidence\na,10,20,.5\na,30,40,\nb,50,60,.7\n", "a.csv:3"),
        (
            "coco.json",
            {
                **coco([[10, 20, 9, 9], [30, 40, 9, 9]]),
                "annotations": [
                    {"image_id": 1, "bbox": [n, n, 9, 9], "category_id": 5, **score}
                    for n, score in ((10, {"score": 0.5}), (40, {}))
                ],
            },
            "coco.json: annotations[1]",
        ),
    ],
)
def test_confidences_that_are_dropped_are_noted(folder: Path, name: str, content: Any, place: str) -> None:
    assert read(folder, name, content)["a"].confidence is None
    dataset = load("folder", folder)
    (note,) = (note for note in dataset.notes if "confidence" in note)
    assert re.search(rf"1 of [23] figures have no confidence \(the first: .*{re.escape(place)}\)", note)
    assert "1 of 2 frames: a figure has no confidence, so none of its kind in the frame has one" in dataset.remarks


def test_where_no_figure_has_a_confidence_nothing_is_dropped(folder: Path) -> None:
    assert read(folder, "a.csv", "image,x,y\na,10,20\nb,30,40\n")["a"].confidence is None
    assert not any("confidence" in note for note in load("folder", folder).notes)


def groups(folder: Path) -> list[str]:
    return [item.frame.group for item in load("folder", folder).items.values()]


GROUPED = {
    "a.csv": "slide,Patient ID,image,x,y\n1,P1,a.png,10,20\n2,P1,b.png,10,20\n",
    "coco.json": {
        "images": [{"id": 1, "file_name": "a.png", "case": "P1"}, {"id": 2, "file_name": "b.png", "case": "P1"}],
        "annotations": [{"image_id": 1, "bbox": [10, 20, 50, 50], "category_id": 1}],
        "categories": [{"id": 1, "name": "mitosis"}],
    },
    "q.geojson": [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [9, 9]},
            "properties": {"image": name, "case": "P1"},
        }
        for name in ("a", "b")
    ],
}


@pytest.mark.parametrize("name", GROUPED)
def test_patient_case_or_slide_beside_the_image_is_the_slide(
    folder: Path, name: str, mitobench: Callable[..., Any]
) -> None:
    read(folder, name, GROUPED[name])
    assert groups(folder) == ["P1", "P1"]
    key = "patient id" if name == "a.csv" else "case"
    assert f"{folder / name}: 1 slide by its `{key}`" in load("folder", folder).notes
    settings(folder, "slide = '^(.)'")
    assert groups(folder) == ["a", "b"], "the setting comes first"
    (folder / "dataset.toml").unlink()
    made = mitobench("data", "init", folder, "--mpp", "0.25").out
    assert f"Images of one slide are those of one `{key}` in the annotation." in made
    assert "counts as a slide of its own" not in made
    assert groups(folder) == ["P1", "P1"]


def test_a_column_slide_without_image_is_the_image(folder: Path) -> None:
    read(folder, "a.csv", "slide,x,y\na,10,20\nb,10,20\n")
    assert groups(folder) == ["a", "b"]


def test_a_column_without_a_name_is_no_slide(folder: Path) -> None:
    """pandas writes the numbers of rows into one."""
    read(folder, "a.csv", ",image,x,y\n0,a.png,10,20\n1,a.png,30,40\n2,b.png,10,20\n")
    assert groups(folder) == ["a", "b"]


def test_an_image_without_a_slide_is_noted_and_one_of_two_slides_is_refused(folder: Path) -> None:
    read(folder, "a.csv", "slide,image,x,y\nS,a.png,10,20\n,a.png,30,40\n,b.png,10,20\n")
    assert groups(folder) == ["S", "b"]
    assert any("1 image without `slide`; folder or name is the slide: b" in n for n in load("folder", folder).notes)
    with pytest.raises(DataError, match=r"a\.csv:3: slide of a\.png is 'T', and 'S' in .*a\.csv:2\. Correct one"):
        read(folder, "a.csv", "slide,image,x,y\nS,a.png,10,20\nT,a,30,40\n")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('colour = "red"', "colour"),
        ("slide = '('", "slide"),
        ('domains = { planet = "earth" }', "Unknown domain 'planet'"),
        ('annotations = "../x.csv"', "must be a file in the folder"),
        ('annotations = "x.csv"', "no file matches"),
        (f'title = "{"a" * 101}"', "title"),
        (r'title = "a\u202Eb"', "one line without control characters"),
    ],
)
def test_wrong_settings_are_refused_with_their_key(folder: Path, line: str, complaint: str) -> None:
    settings(folder, line)
    with pytest.raises(DataError, match=rf"dataset\.toml: .*{complaint}"):
        read(folder, "labels.csv", "image,x,y\na,1,2\n")


def test_cut_offs_of_grading_may_be_given(folder: Path) -> None:
    table = ("[[cut_offs]]", 'tumour = "lung"', "per_mm2 = [2, 5]", 'source = "a textbook"')
    settings(folder, *table)
    (folder / "a.csv").write_text("image,x,y\na.png,10,20\n")
    assert load("folder", folder).card.cut_offs_by_tumour == {"lung": [2, 5]}
    for wrong, complaint in (
        ((*table, *table), "must name each tumour type once"),
        ((*table[:2], "per_mm2 = [5, 2]", table[3]), "ascending"),
        ((*table[:2], "per_mm2 = []", table[3]), "cut_offs.0.per_mm2"),
        (table[:3], "cut_offs.0.source"),
    ):
        settings(folder, *wrong)
        with pytest.raises(DataError, match=complaint):
            load("folder", folder)


def test_init_asks_for_um_per_px_and_writes_ten_lines(folder: Path, mitobench: Callable[..., Any]) -> None:
    (folder / "dataset.toml").unlink()
    (folder / "labels.csv").write_text("image,x,y\na,10,20\nb,,\n")
    (folder / "c.jp2").write_bytes(b"")
    assert mitobench("data", "init", folder).code == 2
    assert not (folder / "dataset.toml").exists()
    path, seen = write_settings(folder, None, lambda question: 0.31)
    assert len(path.read_text().splitlines()) == 10
    assert (seen.images, seen.without_mpp, seen.annotations) == (2, 2, ("labels.csv",))
    assert "1 file is not read (.jp2): c.jp2" in seen.unread[0]
    dataset = load("folder", folder)
    assert dataset.items["a"].frame.mpp == (0.31, 0.31)
    assert available(folder) == ["folder"]
    again = mitobench("data", "init", folder, "--mpp", "0.3")
    assert (again.code, "exists already" in again.err) == (2, True)


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("my set", "my set"),
        ("a\nb", r"a\nb"),
        ('"', '"'),
        ("\U0001f52c" * 60, "\U0001f52c" * 60),
        ("\u202e", r"\u202e"),
    ],
)
def test_init_calls_the_data_set_as_its_folder(tmp_path: Path, name: str, title: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    write_rgb(folder / "a.png", np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    (folder / "labels.csv").write_text("image,x,y\na,10,20\n")
    write_settings(folder, 0.25, lambda question: 0.25)
    assert load("folder", folder).card.title == title


def test_the_leaderboard_calls_the_data_set_by_its_title(tmp_path: Path, mitobench: Callable[..., Any]) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    for number in range(6):
        pixels = np.random.default_rng(number).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        write_rgb(data / f"s{number}.png", pixels)
    settings(data, 'title = "Lab <b>3</b> [bold] $x$ | y"')
    (data / "labels.csv").write_text("image,x,y\n" + "".join(f"s{number}.png,10,20\n" for number in range(6)))
    run = ("run", "--dataset", "folder", "--data", data, "--detector", "blobs", "--verifier", "none", "--out", out)
    answer = mitobench(*run, "--store", tmp_path / "store")
    assert answer.code == 0, answer.err
    assert "Lab <b>3</b> [bold] $x$ | y, by slide" in answer.out
    (record,) = (record for _, record in read_all(out / "records"))
    assert record.data["folder"].title == "Lab <b>3</b> [bold] $x$ | y"
    page = (out / "LEADERBOARD.md").read_text()
    assert "<b>3" not in page
    assert r"$x$" in page or r"\$x\$" in page
    assert "Folder" not in page


def initialised(folder: Path, name: str, content: str | dict[str, Any], mitobench: Callable[..., Any]) -> Any:
    """Writes an annotation file and `dataset.toml`; returns what the command answered."""
    (folder / "dataset.toml").unlink(missing_ok=True)
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    answer = mitobench("data", "init", folder, "--mpp", "0.25")
    assert answer.code == 0
    return answer


def test_init_writes_the_classes_that_it_saw(folder: Path, mitobench: Callable[..., Any]) -> None:
    text = "image,x,y,label\na,10,20,MF\na,50,60,not mitosis\nb,30,30,Hard_Negative\n"
    answer = initialised(folder, "labels.csv", text, mitobench)
    assert "Classes: MF (mitosis), not mitosis (imposter), Hard_Negative (imposter)." in answer.out
    written = (folder / "dataset.toml").read_text()
    assert 'mitosis = ["MF"]' in written
    assert 'imposter = ["not mitosis", "Hard_Negative"]' in written
    found = load("folder", folder).items
    assert [(len(item.mitoses), len(item.mitoses.imposters)) for item in found.values()] == [(1, 1), (0, 1)]
    (folder / "labels.csv").write_text(text + "b,40,60,Mitotic figure\n")  # another usual name
    assert len(load("folder", folder).items["b"].mitoses) == 1


def test_init_says_what_it_does_not_know(folder: Path, mitobench: Callable[..., Any]) -> None:
    answer = initialised(folder, "labels.csv", "image,x,y,label\na,10,20,MF\na,50,60,cell\n", mitobench)
    assert "cell (not known)" in answer.out
    assert "First put the classes that are not known into mitosis, imposter or ignore" in answer.out
    assert (
        '# put each of these classes into mitosis, imposter or ignore: "cell"' in (folder / "dataset.toml").read_text()
    )
    with pytest.raises(DataError, match="unknown class 'cell'"):
        load("folder", folder)
    answer = initialised(folder, "labels.csv", "image,x,y,width,height\na,10,20,9,9\n", mitobench)
    assert "First: " in answer.out
    assert "may be the upper left corner of a box or its centre" in answer.out


def test_init_looks_at_boxes(folder: Path, mitobench: Callable[..., Any]) -> None:
    text = "image,x1,y1,x2,y2\na,40,50,20,10\na,60,20,10,10\na,1,2,10,20\n"
    initialised(folder, "labels.csv", text, mitobench)
    assert 'boxes = "xywh"' in (folder / "dataset.toml").read_text().splitlines()[4]
    assert load("folder", folder).items["a"].mitoses.xy.tolist() == [[50, 55], [65, 25], [6, 12]]
    (folder / "labels.csv").unlink()
    initialised(folder, "coco.json", coco([[60, 20, 90, 50], [70, 50, 95, 75], [55, 40, 80, 65]]), mitobench)
    assert load("folder", folder).items["a"].mitoses.xy.tolist() == [[75, 35], [82.5, 62.5], [67.5, 52.5]]


@pytest.mark.parametrize(("boxes", "xy"), [("xywh", [45.0, 52.5]), ("centre", [40.0, 50.0])])
def test_settings_decide_what_four_numbers_are(folder: Path, boxes: str, xy: list[float]) -> None:
    settings(folder, f'boxes = "{boxes}"')
    assert read(folder, "labels.csv", "image,x1,y1,x2,y2\na,40,50,10,5\n")["a"].xy.tolist() == [xy]


def test_a_run_without_masks_takes_an_estimator_that_needs_none(
    tmp_path: Path, mitobench: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        pixels = np.random.default_rng(number).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        write_rgb(tmp_path / f"s{number}.png", pixels)
    settings(tmp_path)
    read(tmp_path, "labels.csv", "image,x,y\n" + "".join(f"s{number}.png,10,20\n" for number in range(6)))
    monkeypatch.setenv("MITOBENCH_STORE", str(tmp_path / "store"))
    plan = ("run", "--dataset", "folder", "--data", tmp_path, "--detector", "frcnn", "--verifier", "none", "--dry-run")
    answer = mitobench(*plan, "--out", tmp_path / "out")
    assert answer.code == 0, answer.err
    assert "Default estimator: fixed, because fcn learns from masks, and no data set here has any." in answer.out
    assert "1 combination" in answer.out
    assert "folder: Few slides: `--protocol cv-by-slide-of3` tests every slide once." in answer.out
    without_boxes = [argument if argument != "frcnn" else "blobs" for argument in plan]
    assert "Default estimator" not in mitobench(*without_boxes, "--out", tmp_path / "out").out
    folds = mitobench(*without_boxes, "--protocol", "cv-by-slide-of3", "--out", tmp_path / "out").out
    assert folds.count("Plan: cv-by-slide, 3 folds") == folds.count("Plan") == 1
    assert "1 combination in 3 folds" in folds
    assert "Few slides" not in folds
    keys = [line.split()[-1] for line in folds.splitlines() if line.startswith("to run")]
    assert len(keys) == len(set(keys)), "a stage that several folds need is listed once"
    answer = mitobench(*plan, "--estimator", "fcn", "--out", tmp_path / "out")
    assert answer.code == 1, "an estimator that the user names is not replaced"
    assert "estimator fcn learns from masks" in " ".join(answer.out.split())


def test_a_run_says_which_slides_of_a_users_split_are_not_here(
    cases: Path, tmp_path: Path, mitobench: Callable[..., Any]
) -> None:
    parts = {part: {"groups": groups} for part, groups in (("train", ["case1", "case2"]), ("val", ["case3"]))}
    parts["test"] = {"groups": ["case4", "case_5"]}
    path = tmp_path / "own.json"
    path.write_text(json.dumps({"name": "own", "dataset": "folder", "protocol": "own", "parts": parts}))
    settings(cases, "slide = '^([^_]+)_'", 'annotations = "labels.csv"')
    data = "--dataset", "folder", "--data", cases, "--protocol", path
    out = tmp_path / "out"
    stored = "--store", tmp_path / "store", "--out", out
    answer = mitobench("run", *data, "--detector", "blobs", "--verifier", "none", *stored)
    assert answer.code == 0, answer.err
    missing = "the split own names slides case_5, which are not here"
    assert f"folder: {missing}." in answer.out + answer.err
    (record,) = (record for _, record in read_all(out / "records"))
    assert record.data["folder"].coverage == missing
    assert f"folder: {missing}" in record.notes
    (out / "d.csv").write_text("image,x,y,score\ncase4_0.png,40,60,.5\n")
    scored = mitobench("score", out / "d.csv", *data)
    assert f"The data set is incomplete: {missing}." in scored.out


@pytest.mark.parametrize(
    ("names", "pattern", "images"),
    [
        (["case1_f1.png", "case1_f2.png", "case2_f1.png"], "^([^_]+)_", {"case1": 2, "case2": 1}),
        (["k-1.tif", "k-2.tif", "m-1.tif"], "^([^-]+)-", {"k": 2, "m": 1}),
        (["he_1_a.png", "he_1_b.png", "he_2_a.png"], "^(.+)_", {"he_1": 2, "he_2": 1}),
        (["b-1_x.png", "b-1_y.png", "a-1_x.png"], "^([^_]+)_", {"a-1": 1, "b-1": 2}),
    ],
)
def test_names_that_share_a_prefix_look_like_slides(names: list[str], pattern: str, images: dict[str, int]) -> None:
    guess = guess_slides(names)
    assert guess is not None
    assert (guess.pattern, dict(guess.images)) == (pattern, images)


@pytest.mark.parametrize(
    "names",
    [
        ["a_1.png", "b_1.png", "c_1.png"],  # groups of one image each
        ["lab_1.png", "lab_2.png", "lab_3.png"],  # one group
        ["a.png", "b.png", "c.png"],
        ["a_1.png", "a_2.png", "b.png"],  # the pattern would not match the last
        ["a_1.png"],
    ],
)
def test_other_names_do_not_look_like_slides(names: list[str]) -> None:
    assert guess_slides(names) is None


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    """Eleven images of five cases in one folder, each with a mitosis."""
    lines = ["image,x,y"]
    for case, fields in enumerate((3, 2, 2, 2, 2), 1):
        for number in range(fields):
            pixels = np.random.default_rng(10 * case + number).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
            write_rgb(tmp_path / f"case{case}_{number}.png", pixels)
            lines.append(f"case{case}_{number}.png,{40 + 9 * number},60")
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_init_proposes_slides_and_check_shows_which_part_they_are_in(
    cases: Path, mitobench: Callable[..., Any]
) -> None:
    made = mitobench("data", "init", cases, "--mpp", "0.25").out
    assert "the names look like 5 slides of 2 to 3 images (case1, case2, case3, ...): if so, remove the #" in made
    assert "Few slides: `--protocol cv-by-slide-of3` tests every slide once." in made
    settings = cases / "dataset.toml"
    assert len({item.frame.group for item in load("folder", cases).items.values()}) == 11, "nothing is set silently"
    settings.write_text(settings.read_text().replace("# slide = ", "slide = "))
    shown = mitobench("data", "check", cases, "--dataset", "folder").out
    assert "60 % to fit on, 20 % to validate, 20 % to test" in shown
    assert "  split  frames  slides  positive  mitoses" in shown
    assert "unknown" not in shown, "a folder has no scanners"
    (slides,) = (line for line in shown.splitlines() if line.startswith("  slides: "))
    parts = dict(part.split(": ") for part in slides.removeprefix("  slides: ").split("; "))
    assert list(parts) == ["train", "val", "test"]
    assert sorted(" ".join(parts.values()).split()) == [f"case{number}" for number in range(1, 6)]
    (test,) = (line.split() for line in shown.splitlines() if line.startswith("  test "))
    assert test[2] == str(len(parts["test"].split()))
    assert "  Few slides: `--protocol cv-by-slide-of3` tests every slide once." in shown


def test_check_shows_each_fold_of_a_protocol(cases: Path, mitobench: Callable[..., Any]) -> None:
    settings(cases, "slide = '^([^_]+)_'")
    shown = mitobench("data", "check", cases, "--dataset", "folder", "--protocol", "cv-by-slide-of3").out
    assert [f"protocol cv-by-slide-{number}of3" in shown for number in (1, 2, 3)] == [True] * 3
    tested = [line.split("test: ")[1].split() for line in shown.splitlines() if line.startswith("  slides: ")]
    assert sorted(slide for slides in tested for slide in slides) == [f"case{number}" for number in range(1, 6)], (
        "each slide is tested once"
    )
    assert "Few slides" not in shown
    wrong = mitobench("data", "check", cases, "--dataset", "folder", "--protocol", "by-slid")
    assert (wrong.code, "Did you mean by-slide?" in wrong.err) == (2, True)


def test_check_cuts_a_long_list_of_slides(cases: Path, mitobench: Callable[..., Any]) -> None:
    for number in range(30):
        pixels = np.random.default_rng(number).integers(0, 255, (32, 32, 3), dtype=np.uint8)
        write_rgb(cases / f"more{number}.png", pixels)
    settings(cases, 'unannotated = "empty"')
    shown = mitobench("data", "check", cases, "--dataset", "folder").out
    (slides,) = (line for line in shown.splitlines() if line.startswith("  slides: "))
    assert len(slides.split("train: ")[1].split(" and ")[0].split()) == 10
    assert " and 15 more; val: " in slides, "41 slides: 25, 8 and 8"


def test_a_part_without_slides_says_which_protocol_has_some(cases: Path, mitobench: Callable[..., Any]) -> None:
    for path in (*cases.glob("case4*"), *cases.glob("case5*")):
        path.unlink()
    settings(cases, "slide = '^([^_]+)_'")
    shown = mitobench("data", "check", cases, "--dataset", "folder").out
    assert "part 'test' (20% of the slides, drawn) is empty" in shown
    assert "Few slides: `--protocol cv-by-slide-of3` tests every slide once." in shown


def test_if_nothing_is_annotated_check_says_how_to_declare_it_and_fails_as_run_does(
    cases: Path, mitobench: Callable[..., Any]
) -> None:
    for path in cases.glob("*.csv"):
        path.write_text("image,x,y\n")
    settings(cases, "slide = '^([^_]+)_'")
    answer = mitobench("data", "check", cases, "--dataset", "folder")
    assert answer.code == 1
    assert "  cannot be used: " in answer.out
    assert "of protocol by-slide has" in answer.out
    assert 'If such images were searched, write in dataset.toml: unannotated = "empty".' in answer.out
    assert "split" not in answer.out.split("cannot be used: ")[1].splitlines()[0], "nothing to edit in the package"


def test_two_images_of_one_name_are_refused_without_advice_for_other_data_sets(cases: Path) -> None:
    image = next(iter(cases.glob("*.png")))
    shutil.copy(image, image.with_suffix(".jpg"))
    with pytest.raises(DataError, match=r"Two files are image .*Keep one of them\.$"):
        load("folder", cases)


def test_a_folder_without_images_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"no frames of data set 'folder' found .*No other data set was found either\.$"
    ):
        load("folder", tmp_path)
    with pytest.raises(DataError, match="Give the folder that holds the data set with --data"):
        load("folder", tmp_path / "nowhere")


def test_a_misspelt_key_gets_a_suggestion_and_the_advice_can_be_followed(cases: Path) -> None:
    (cases / "dataset.toml").write_text("mmp = 0.25\n")
    with pytest.raises(DataError, match=r"dataset\.toml: mmp: unknown key\. Did you mean mpp\?") as error:
        load("folder", cases)
    assert str(error.value).endswith(f"delete it and make it anew: mitobench data init {cases}")
