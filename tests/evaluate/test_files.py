"""Files of other tools are read in the one way that they can be meant, or refused with the place."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mitobench.errors import MitobenchError
from mitobench.evaluate.files import FrameInfo, alternatives, read

FRAMES = {id: FrameInfo((400, 300), (0.25, 0.25)) for id in ("A00_00", "A00_08", "007")}


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def _write(content: Any, name: str = "d.csv") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(
            content
            if isinstance(content, bytes)
            else content.encode()
            if isinstance(content, str)
            else json.dumps(content).encode()
        )
        return path

    return _write


def centres(path: Path, **options: Any) -> dict[str, list[list[float]]]:
    return {id: found.xy.tolist() for id, found in read(path, FRAMES, **options).detections.items()}


# -------------------------------------------------------------------------------------------------------------- CSV


@pytest.mark.parametrize(
    "text",
    [
        "frame,x,y,score\nA00_00,30,40,.5\n",
        "image,x,y,confidence\nfolder/A00_00.ome.tif,30,40,.5\n",
        "file_name,col,row,probability\nA00_00.BMP,30,40,.5\n",
        "frame,x1,y1,x2,y2,score\nA00_00,10,20,50,60,.5\n",
        "frame,xmin,ymin,xmax,ymax,conf\na00_00,10,20,50,60,.5\n",
        "frame,x,y,w,h,score\nA00_00,10,20,40,40,.5\n",
        "frame,x,y,width,height,score\nA00_00,10,20,40,40,.5\n",
        "frame,x_center,y_center,width,height,score\nA00_00,30,40,40,40,.5\n",
        "frame,x_mm,y_mm,score\nA00_00,0.0075,0.01,.5\n",
        "Image,Centroid X \u00b5m,Centroid Y \u00b5m,Score\nA00_00.tif,7.5,10,.5\n",
        "frame;x;y;score\nA00_00;30,0;40;0,5\n",
        "frame\tx\ty\tscore\nA00_00\t30\t40\t.5\n",
        "sep=;\nframe;x;y;score\nA00_00;30;40;.5\n",
        "frame,x,y,score\rA00_00,30,40,.5\r",
        ",frame,x,y,score\n0,A00_00,30,40,.5\n",
        "frame,x,y,score\nA00_00,30,40,.5\n".encode("utf-16"),
    ],
)
def test_one_detection_in_many_spellings(write: Callable[..., Path], text: str | bytes) -> None:
    assert centres(write(text)) == {"A00_00": [[pytest.approx(30), pytest.approx(40)]]}


def test_a_number_may_lack_its_zeros(write: Callable[..., Path]) -> None:
    assert list(centres(write("case,x,y,score\n7.tiff,1,2,.5\n"))) == ["007"]


IN_FOLDERS = ("tile_1", "b__tile_1", "b__tile_2", "c__tile_3", "d__tile_3", "07__01")


@pytest.mark.parametrize(
    ("name", "frame"),
    [
        ("tile_1.png", "tile_1"),
        ("b/tile_1.png", "b__tile_1"),
        ("b__tile_1", "b__tile_1"),
        (r"C:\mine\B\Tile_1.PNG", "b__tile_1"),
        ("./b/tile_2.ome.tif", "b__tile_2"),
        ("tile_2.png", "b__tile_2"),
        ("7/1.png", "07__01"),
        ("v1.2/d/tile_3.png", "d__tile_3"),
    ],
)
def test_frames_in_folders_are_named_by_their_path(write: Callable[..., Path], name: str, frame: str) -> None:
    text = f"frame,x,y,score\n{name},1,2,.5\n"
    assert list(read(write(text), dict.fromkeys(IN_FOLDERS, FrameInfo())).detections) == [frame]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a/tile_1.png", "d.csv:2: unknown frame 'a/tile_1.png'"),
        ("b/tile_3.png", "d.csv:2: unknown frame 'b/tile_3.png'"),
        ("tile_3", "d.csv:2: 'tile_3' may be c__tile_3 or d__tile_3. Write the folders in the file too"),
    ],
)
def test_a_frame_of_another_folder_is_not_taken(write: Callable[..., Path], name: str, message: str) -> None:
    with pytest.raises(MitobenchError, match=message):
        read(write(f"frame,x,y,score\n{name},1,2,.5\n"), dict.fromkeys(IN_FOLDERS, FrameInfo()))


@pytest.mark.parametrize("name", ["s1__t0", "s1__t0.png", "/home/me/images/s1__t0.png"])
def test_names_of_images_may_hold_what_stands_for_a_folder(write: Callable[..., Path], name: str) -> None:
    frames = {"s1__t0": FrameInfo(stem="s1__t0"), "s2__t0": FrameInfo(stem="s2__t0")}
    assert list(read(write(f"frame,x,y,score\n{name},1,2,.5\n"), frames).detections) == ["s1__t0"]
    with pytest.raises(MitobenchError, match="unknown frame 't0'"):
        read(write("frame,x,y,score\nt0,1,2,.5\n"), frames)


@pytest.mark.parametrize("suffix", [".geojson", ".json", "/mitotic-figures.json"])
def test_files_in_folders_are_of_the_frames_in_these_folders(write: Callable[..., Path], suffix: str) -> None:
    frames = dict.fromkeys(IN_FOLDERS, FrameInfo((400, 300), (0.25, 0.25)))
    path = write([feature()] if suffix == ".geojson" else POINTS, f"out/b/tile_1{suffix}")
    assert list(read(path.parents[suffix.count("/") + 1], frames).detections) == ["b__tile_1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A00_00,1,2,.5\n", "d.csv:1: the header must have .* looks like data: add a header"),
        ("frame,x,y,score\nA00_00,1_0,2,.5\n", "d.csv:2: x is '1_0', which is not a number"),
        ("frame,x,y,score\nA00_00,1,2,\n", "d.csv:2: score is '', which is not a number"),
        ("frame,x,y,score\nA00_00,1,2,.5\n\0\0", "d.csv:3: contains NUL"),
        ("frame,x,y,confidence,probability\nA00_00,1,2,.5,.6\n", "confidence and probability could both be the score"),
        ("frame,x,y,width,height,score\nA00_00,1,2,-3,4,.5\n", "d.csv:2: width or height is negative"),
        (
            "frame,x1,y1,x2,y2,score\nA00_00,30,40,20,20,.5\n",
            "d.csv:2: the box ends before it starts.* width and height",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(write: Callable[..., Path], text: str, message: str) -> None:
    with pytest.raises(MitobenchError, match=message):
        read(write(text), FRAMES)


# ---------------------------------------------------------------------------------------------------------- classes


@pytest.mark.parametrize("mitosis", ["mitosis", "Mitotic figure", "mitotic_figure", "MF"])
@pytest.mark.parametrize(
    "other", ["non-mitosis", "non-mitotic figure", "not mitotic figure", "hard negative", "Imposter"]
)
def test_clear_classes_are_used(write: Callable[..., Path], mitosis: str, other: str) -> None:
    text = f"frame,x,y,score,class\nA00_00,1,2,.5,{mitosis}\nA00_00,3,4,.6,{other}\n"
    found = read(write(text), FRAMES)
    assert found.detections["A00_00"].xy.tolist() == [[1, 2]]
    assert found.notes[0].endswith(f"column class: 1 detections of other classes are left out: {other} (1)")


@pytest.mark.parametrize("labels", [("0", "0"), ("0", "1"), ("1", "2"), ("", "mitosis"), ("mitosis", "cell")])
def test_classes_that_are_not_clear_are_asked_about(write: Callable[..., Path], labels: tuple[str, str]) -> None:
    path = write("frame,x,y,score,label\n" + "".join(f"A00_00,{n},2,.5,{label}\n" for n, label in enumerate(labels)))
    with pytest.raises(MitobenchError, match=r"d\.csv: column label is .*--class"):
        read(path, FRAMES)
    if "mitosis" in labels:
        with pytest.raises(MitobenchError, match="for example --class mitosis"):
            read(path, FRAMES)
    named = labels[0] or labels[1]
    kept = [[float(n), 2.0] for n, label in enumerate(labels) if label == named]
    assert centres(path, classes=[named]) == {"A00_00": kept}


def test_a_class_that_no_row_has_is_an_error(write: Callable[..., Path]) -> None:
    with pytest.raises(MitobenchError, match=r"never is 'mitosis'.* It is: 0"):
        read(write("frame,x,y,score,label\nA00_00,1,2,.5,0\n"), FRAMES, classes=["mitosis"])
    with pytest.raises(MitobenchError, match="has no classes"):
        read(write("frame,x,y,score\nA00_00,1,2,.5\n"), FRAMES, classes=["mitosis"])


def test_a_column_mitosis_is_a_class_unless_predict_wrote_it(write: Callable[..., Path]) -> None:
    rows = "A00_00,1,2,.5,1\nA00_00,3,4,.4,0\n"
    assert centres(write(f"frame,x,y,score,mitosis\n{rows}")) == {"A00_00": [[1, 2]]}
    predicted = "image,x,y,score,mitosis,detector_score\nA00_00,1,2,.5,1,.5\nA00_00,3,4,.4,0,.4\n"
    assert centres(write(predicted)) == {"A00_00": [[1, 2], [3, 4]]}


CLASS_COLUMNS = [
    *("labels", "type", "pred", "pred_class", "predicted_class", "agreedClass", "object_type", "Name"),
    *("class_name", "Category Name", "category-id", "annotation", "Cell type"),
]


@pytest.mark.parametrize("column", CLASS_COLUMNS)
def test_a_column_of_classes_is_used_in_every_spelling(write: Callable[..., Path], column: str) -> None:
    path = write(f"frame,x,y,{column},score\nA00_00,1,2,Hard negative,.5\nA00_00,3,4,Mitotic figure,.5\n")
    assert centres(path) == {"A00_00": [[3, 4]]}
    features = [feature(**{column: "hard_negative"}), feature(**{column: "MF"})]
    assert len(centres(write(features, "A00_00.geojson"))["A00_00"]) == 1
    result = {"image_id": "A00_00", "bbox": [10, 20, 40, 40], "score": 0.5}
    results = [{**result, column: "hard negative"}, {**result, column: "mitosis"}]
    assert len(centres(write(results, "r.json"))["A00_00"]) == 1
    with pytest.raises(MitobenchError, match=r"is 2 \(2\).*--class 2"):
        read(write(f"frame,x,y,{column},score\nA00_00,1,2,2,.5\nA00_00,3,4,2,.5\nA00_00,3,4,7,.5\n"), FRAMES)


def test_a_column_that_looks_like_classes_is_asked_about(write: Callable[..., Path]) -> None:
    path = write("frame,x,y,score,Stage 2\nA00_00,1,2,.5,accepted\nA00_00,3,4,.5,rejected\nA00_00,5,6,.5,fp\n")
    with pytest.raises(MitobenchError, match=r"column Stage 2 may say .*--class-column 'Stage 2'.*--class-column none"):
        read(path, FRAMES)
    assert len(centres(path, class_column="none")["A00_00"]) == 3
    with pytest.raises(MitobenchError, match="--class accepted"):
        read(path, FRAMES, class_column="stage_2")
    assert centres(path, class_column="stage_2", classes=["Accepted"]) == {"A00_00": [[1, 2]]}
    with pytest.raises(MitobenchError, match="called 'stage'"):
        read(path, FRAMES, class_column="stage")


def test_a_column_cannot_be_named_where_the_format_has_one(write: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(MitobenchError, match="Leave --class-column out"):
        read(write(POINTS, "A00_00.json"), FRAMES, class_column="name")


def test_the_files_of_a_folder_name_their_classes_alike(write: Callable[..., Path], tmp_path: Path) -> None:
    write("frame,x,y,score,label\nA00_00,1,2,.5,mitosis\n", "all/a.csv")
    write("frame,x,y,score,label\n", "all/b.csv")
    assert centres(tmp_path / "all") == {"A00_00": [[1, 2]]}
    write("frame,x,y,score,type\nA00_08,1,2,.5,imposter\n", "all/b.csv")
    with pytest.raises(MitobenchError, match="column label holds the classes, in another column type"):
        read(tmp_path / "all", FRAMES)


def test_odd_files_have_notes(write: Callable[..., Path]) -> None:
    def note(text: str) -> str:
        (one, *_) = read(write(text), FRAMES).notes
        return one

    assert "1 of 2 detections repeat" in note("frame,x,y,score\nA00_00,1,2,.5\nA00_00,1,2,.5\n")
    assert "all 2 detections have the score 0.5" in note("frame,x,y,score\nA00_00,1,2,.5\nA00_00,3,2,.5\n")
    assert "holds no detections" in note("frame,x,y,score\n")
    assert "1 detections are marked as not above" in note("frame,x,y,score,above_gate\nA00_00,1,2,.5,0\n")
    both = "frame,x,y,x1,y1,x2,y2,score\nA00_00,100,100,0,0,2,2,.5\n"
    assert "the boxes of 1 detections have another centre" in note(both)


# --------------------------------------------------------------------------------------------------- other formats

POINTS = {
    "type": "Multiple points",
    "points": [
        {"name": "mitotic figure", "point": [0.0075, 0.01, 0], "probability": 0.9},
        {"name": "non-mitotic figure", "point": [0.02, 0.02, 0], "probability": 0.2},
    ],
}


@pytest.mark.parametrize(
    "name", ["out/A00_00/mitotic-figures.json", "out/A00_00/output/mitotic-figures.json", "out/A00_00.json"]
)
def test_midog_json_in_mm(write: Callable[..., Path], tmp_path: Path, name: str) -> None:
    write(POINTS, name)
    assert centres(tmp_path / "out") == {"A00_00": [[pytest.approx(30), pytest.approx(40)]]}
    both = centres(tmp_path / "out", classes=["mitotic figure", "non-mitotic figure"])
    assert len(both["A00_00"]) == 2
    assert centres(tmp_path / name) == centres(tmp_path / "out")


def test_midog_json_of_no_frame(write: Callable[..., Path]) -> None:
    with pytest.raises(MitobenchError, match="none of 'x' and 'out' is a frame: unknown frame"):
        read(write(POINTS, "out/x/mitotic-figures.json"), FRAMES)


def feature(name: str | None = None, score: Any = 0.5, **properties: Any) -> dict[str, Any]:
    square = [[10.5, 20.5], [50.5, 20.5], [50.5, 60.5], [10.5, 60.5], [10.5, 20.5]]
    measured = {} if score is None else {"measurements": {"score": score}}
    classified = {} if name is None else {"classification": {"name": name}}
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [square]},
        "properties": {**measured, **classified, **properties},
    }


@pytest.mark.parametrize("wrapped", [lambda f: {"type": "FeatureCollection", "features": f}, lambda f: f])
def test_geojson(write: Callable[..., Path], wrapped: Callable[[list], Any]) -> None:
    path = write(wrapped([feature("Mitosis"), feature("Imposter")]), "A00_00.tif.geojson")
    assert centres(path) == {"A00_00": [[30, 40]]}
    path = write(wrapped([feature(image="A00_08.png")]), "all.geojson")
    assert centres(path) == {"A00_08": [[30, 40]]}


def test_what_predict_writes_for_qupath_is_read_without_candidates_and_hot_spots(write: Callable[..., Path]) -> None:
    hot_spot = feature("Hot spot", None, objectType="annotation", measurements={"mitoses": 1})
    path = write([feature("Mitosis"), feature("Candidate", 0.2), hot_spot], "A00_00.geojson")
    found = read(path, FRAMES)
    assert found.detections["A00_00"].score.tolist() == [0.5]
    assert found.notes[0] == "1 outline of hot spots left out"
    assert found.notes[1].endswith("1 detections of other classes are left out: Candidate (1)")
    assert len(centres(path, classes=["Candidate"])["A00_00"]) == 1


def test_candidates_without_mitoses_are_asked_about(write: Callable[..., Path]) -> None:
    path = write([feature("Candidate"), feature("Candidate", 0.2)], "A00_00.geojson")
    with pytest.raises(MitobenchError, match=r"is Candidate \(2\).*for example --class mitosis"):
        read(path, FRAMES)
    assert centres(path, classes=["mitosis"]) == {}
    assert len(centres(path, classes=["Candidate"])["A00_00"]) == 2


def test_every_point_and_every_outline_is_a_detection(write: Callable[..., Path]) -> None:
    def square(x: float) -> list[list[list[float]]]:
        return [[[x, 10.5], [x + 20, 10.5], [x + 20, 30.5], [x, 30.5], [x, 10.5]], [[x + 1, 11], [x + 2, 12], [x, 12]]]

    shapes = [
        {"type": "MultiPoint", "coordinates": [[10.5, 20.5], [200.5, 100.5], [5.5, 5.5]]},
        {"type": "MultiPolygon", "coordinates": [square(0.5), square(100.5)]},
        {"type": "Point", "coordinates": [1.5, 2.5, 0]},
    ]
    features = [
        {**feature(name, 0.7), "geometry": shape} for shape, name in zip(shapes, ("MF", "MF", "HN"), strict=True)
    ]
    path = write(features, "A00_00.geojson")
    assert centres(path) == {"A00_00": [[10, 20], [200, 100], [5, 5], [10, 20], [110, 20]]}
    assert centres(path, classes=["HN"]) == {"A00_00": [[1, 2]]}


@pytest.mark.parametrize(
    ("geometry", "message"),
    [
        ({"type": "LineString", "coordinates": [[1, 2], [3, 4]]}, "is a LineString"),
        ({"type": "MultiPoint", "coordinates": []}, "no geometry with coordinates"),
        ({"type": "MultiPoint", "coordinates": [[1, 2], [3]]}, r"not pairs of numbers: \[3\]"),
        ({"type": "Point", "coordinates": [[1, 2]]}, "not pairs of numbers"),
        ({"type": "Polygon", "coordinates": [[1, 2], [3, 4]]}, "not pairs of numbers"),
        ({"type": "MultiPolygon", "coordinates": [[[1, 2], [3, 4]]]}, "not pairs of numbers"),
        ({"coordinates": [1, 2]}, "no geometry with a type"),
    ],
)
def test_other_geometries_are_refused(write: Callable[..., Path], geometry: Any, message: str) -> None:
    with pytest.raises(MitobenchError, match=f"feature 0: .*{message}"):
        read(write([{**feature(), "geometry": geometry}], "A00_00.geojson"), FRAMES)


def test_geojson_scores_are_all_or_none(write: Callable[..., Path]) -> None:
    found = read(write([feature(score=None)], "A00_00.geojson"), FRAMES)
    assert found.detections["A00_00"].score.tolist() == [1.0]
    assert "no score" in found.notes[0]
    for bad, message in (
        ([feature(), feature(score=None)], "feature 1: has no score"),
        ([feature(score="high")], "feature 0: score is 'high'"),
        ([{**feature(), "geometry": None}], "feature 0: has no geometry"),
        ([feature("Mitosis"), feature()], "unclassified"),
    ):
        with pytest.raises(MitobenchError, match=message):
            read(write(bad, "A00_00.geojson"), FRAMES)


def test_coco_results(write: Callable[..., Path]) -> None:
    result = {"image_id": "A00_00", "bbox": [10, 20, 40, 40], "score": 0.5, "category_id": 1}
    assert centres(write([result], "r.json")) == {"A00_00": [[30, 40]]}
    whole = {
        "images": [{"id": 3, "file_name": "A00_00.tif"}],
        "categories": [{"id": 1, "name": "mitotic figure"}, {"id": 2, "name": "hard negative"}],
        "annotations": [{**result, "image_id": 3}, {**result, "image_id": 3, "category_id": 2}],
    }
    assert centres(write(whole, "r.json")) == {"A00_00": [[30, 40]]}
    for bad, message in (
        ([result, {**result, "category_id": 2}], "--class"),
        ([{**result, "bbox": [1, 2, 3]}], r"result 0: `bbox` must be four numbers: \[x, y, width, height\]"),
        ([result, {"image_id": "A00_00", "bbox": [1, 2, 3, 4]}], "result 1: 'score' is missing"),
        (
            [{**result, "image_id": 12}],
            "result 0: image_id 12 is a number.*--images FILE.* write file names as image_id",
        ),
        ([{**result, "image_id": 7}], "result 0: image_id 7 is a number"),
        ([{**result, "image_id": "12"}], "result 0: unknown frame '12'"),
        ({**whole, "annotations": [{**result, "image_id": "A00_00"}]}, "annotations 0: image_id 'A00_00' is not in"),
        ({**whole, "images": whole["images"] * 2}, r"images\[1\]: the id 3 occurs twice"),
    ):
        with pytest.raises(MitobenchError, match=message):
            read(write(bad, "r.json"), FRAMES)


def test_coco_results_with_the_images_of_another_file(write: Callable[..., Path]) -> None:
    result = {"image_id": 3, "bbox": [10, 20, 40, 40], "score": 0.5, "category_id": 2}
    listing = {"images": [{"id": 3, "file_name": "val/A00_00.tif"}], "categories": [{"id": 2, "name": "mitosis"}]}
    path, images = write([result], "r.json"), write({**listing, "annotations": "not read"}, "images.json")
    assert centres(path, images=images) == {"A00_00": [[30, 40]]}
    assert centres(path, images=write(listing["images"], "list.json"), classes=["2"]) == {"A00_00": [[30, 40]]}
    wrong = write([{**result, "image_id": 4}], "wrong.json")
    for detections, message in (
        (wrong, r"wrong\.json: result 0: image_id 4 is not in `images` of .*images\.json"),
        (write({**listing, "annotations": [result]}, "whole.json"), r"whole\.json: has `images` of its own"),
        (write("frame,x,y,score\nA00_00,30,40,.5\n"), r"--images .*images\.json: only COCO results need it"),
    ):
        with pytest.raises(MitobenchError, match=message):
            read(detections, FRAMES, images=images)
    with pytest.raises(MitobenchError, match="lists no images"):
        read(path, FRAMES, images=write({"images": []}, "none.json"))


def database(path: Path, classes: bool = True) -> Path:
    with sqlite3.connect(path) as db:
        db.executescript(
            "CREATE TABLE Slides (uid INTEGER, filename TEXT);"
            "CREATE TABLE Annotations (uid INTEGER, slide INTEGER, agreedClass INTEGER, deleted INTEGER);"
            "CREATE TABLE Annotations_coordinates (coordinateX INT, coordinateY INT, annoId INT, orderIdx INT);"
            "INSERT INTO Slides VALUES (5, 'A00_00.tif');"
            "INSERT INTO Annotations VALUES (1, 5, 1, 0), (2, 5, 2, 0), (3, 5, 1, 1);"
            "INSERT INTO Annotations_coordinates VALUES (10, 20, 1, 1), (50, 60, 1, 2), (0, 0, 2, 1);"
            "INSERT INTO Annotations_coordinates VALUES (9, 9, 2, 2), (1, 1, 3, 1);"
        )
        if classes:
            db.executescript(
                "CREATE TABLE Classes (uid INTEGER, name TEXT);"
                "INSERT INTO Classes VALUES (1, 'mitotic figure'), (2, 'hard negative');"
            )
    db.close()
    return path


def test_sliderunner(tmp_path: Path) -> None:
    assert centres(database(tmp_path / "a.sqlite")) == {"A00_00": [[30, 40]]}
    without = database(tmp_path / "b.sqlite", classes=False)
    with pytest.raises(MitobenchError, match=r"agreedClass is 1 .*--class"):
        read(without, FRAMES)
    assert centres(without, classes=["1"]) == {"A00_00": [[30, 40]]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("UPDATE Annotations_coordinates SET coordinateX = 'a' WHERE annoId = 2", "2: one of its coordinateX is not a"),
        ("UPDATE Annotations SET agreedClass = 'one' WHERE uid = 1", "1: agreedClass is 'one', which is not a whole"),
        ("INSERT INTO Annotations VALUES (4, 5, 1, 0)", "annotation 4 has no coordinates"),
        ("INSERT INTO Annotations VALUES (1, 5, 1, 0)", "several rows of Annotations have the uid 1"),
    ],
)
def test_a_sliderunner_database_is_read_as_strictly_as_a_data_set(tmp_path: Path, change: str, message: str) -> None:
    path = database(tmp_path / "a.sqlite")
    with sqlite3.connect(path) as db:
        db.execute(change)
    db.close()
    with pytest.raises(MitobenchError, match=rf"a\.sqlite: .*{message}"):
        read(path, FRAMES)


def test_annotations_on_a_slide_that_the_database_does_not_list_are_noted(tmp_path: Path) -> None:
    path = database(tmp_path / "a.sqlite")
    with sqlite3.connect(path) as db:
        db.execute("INSERT INTO Annotations VALUES (4, 99, 1, 0)")
    db.close()
    found = read(path, FRAMES)
    assert len(found.detections["A00_00"]) == 1
    assert f"{path}: 1 annotations are on slides that it does not list, and are left out" in found.notes


def test_what_is_not_a_sliderunner_database(tmp_path: Path) -> None:
    (tmp_path / "text.sqlite").write_text("not a database at all")
    with pytest.raises(MitobenchError, match="cannot be read as a SlideRunner database"):
        read(tmp_path / "text.sqlite", FRAMES)
    with sqlite3.connect(tmp_path / "other.sqlite") as db:
        db.execute("CREATE TABLE Slides (uid INTEGER)")
    db.close()
    with pytest.raises(MitobenchError, match="it has no table Annotations"):
        read(tmp_path / "other.sqlite", FRAMES)
    locked = database(tmp_path / "locked.sqlite")
    with sqlite3.connect(locked, isolation_level=None) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(MitobenchError, match=r"is locked\. Close the program"):
            read(locked, FRAMES)
    writer.close()


def test_a_folder_that_predict_wrote(write: Callable[..., Path], tmp_path: Path) -> None:
    columns = "image,x,y,x1,y1,x2,y2,detector_score,verifier_score,score,mitosis"
    write(f"{columns}\nimg/A00_00.tif,30,40,10,20,50,60,.5,,.5,1\n", "found/A00_00.csv")
    write(f"{columns}\nimg/A00_08.tif,3,4,0,0,6,8,.4,,.4,0\n", "found/A00_08.csv")
    write("image,mitoses\nimg/A00_00.tif,1\n", "found/summary.csv")
    write({"type": "FeatureCollection", "features": []}, "found/A00_00.geojson")
    found = read(tmp_path / "found", FRAMES)
    assert {id: one.xy.tolist() for id, one in found.detections.items()} == {"A00_00": [[30, 40]], "A00_08": [[3, 4]]}
    assert found.detections["A00_00"].boxes.tolist() == [[10, 20, 50, 60]]


@pytest.mark.parametrize(
    ("name", "content"), [("x.json", {"a": 1}), ("x.json", [1]), ("x.json", "{"), ("x.geojson", {})]
)
def test_json_of_no_known_format(write: Callable[..., Path], name: str, content: Any) -> None:
    path = write(content, name)
    if content == {} and name == "x.geojson":
        assert read(path, FRAMES).notes[0].endswith("no detections")
        return
    with pytest.raises(MitobenchError, match=r"x\.json"):
        read(path, FRAMES)


@pytest.mark.parametrize(
    ("name", "content"),
    [("r.json", []), ("r.json", {"type": "FeatureCollection", "features": []}), ("r.geojson", [])],
)
def test_an_empty_list_has_no_detections(write: Callable[..., Path], name: str, content: Any) -> None:
    found = read(write(content, name), FRAMES)
    assert (found.detections, found.notes) == ({}, (f"{write(content, name)}: holds no detections",))


def test_formats_and_empty_folders(tmp_path: Path) -> None:
    with pytest.raises(MitobenchError, match="--format qupath: unknown format"):
        read(tmp_path, FRAMES, format="qupath")
    with pytest.raises(MitobenchError, match="holds no detections"):
        read(tmp_path, FRAMES)


# ------------------------------------------------------------------------------------------------------------- hints


@pytest.mark.parametrize(
    ("text", "change"),
    [
        ("frame,x,y,score\nA00_00,40,30,.5\n", "swapped"),
        ("frame,x,y,score\nA00_00,15,20,.5\n", "double them"),
        ("frame,x,y,score\nA00_00,60,80,.5\n", "halve them"),
        ("frame,x,y,score\nA00_00,.0075,.01,.5\n", "in mm"),
        ("frame,x,y,score\nA00_00,.075,.13333333,.5\n", "fractions"),
        ("frame,x,y,score\nA00_00,5,15,.5\n", "upper left corners of boxes of 50 px"),
        ("frame,x1,y1,x2,y2,score\nA00_00,20,25,20,30,.5\n", "x1,y1,x2,y2 are x,y,width,height"),
        ("frame,x,y,width,height,score\nA00_00,30,40,20,20,.5\n", "x,y are the centres"),
        ("frame,x,y,width,height,score\nA00_00,20,30,40,50,.5\n", "x,y,width,height are x1,y1,x2,y2"),
    ],
)
def test_another_reading_leads_to_the_mitosis(write: Callable[..., Path], text: str, change: str) -> None:
    found = read(write(text), FRAMES)
    good = [
        other.change for other in alternatives(found, FRAMES) if np.allclose(other.detections["A00_00"].xy, [[30, 40]])
    ]
    assert len(good) == 1
    assert change in good[0]


# -------------------------------------------------------------------------------------------------------- any bytes


@given(st.one_of(st.binary(max_size=80), st.text(max_size=80).map(lambda text: f"frame,x,y,score\n{text}".encode())))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(content)
    for name in ("any.csv", "any.json", "any.geojson", "any.sqlite"):
        path = path.with_name(name)
        path.write_bytes(content)
        with suppress(MitobenchError):
            read(path, FRAMES)
