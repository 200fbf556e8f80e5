"""The files of an image: CSV, GeoJSON, and its line of the summary."""

from __future__ import annotations

import csv
import json
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mitobench.api import Detections, mask_box
from mitobench.model import Prediction
from mitobench.model.outputs import ImageSummary, feature, header, write_csv, write_geojson, write_summary
from model.toy_models import findings


@pytest.fixture
def found() -> Prediction:
    """A mitosis, and a candidate that is not a mitosis."""
    detections = Detections.from_boxes([[10, 20, 40.125, 50], [60, 60, 90, 90]], [0.9, 0.3])
    return Prediction(detections, np.array([0.7, 0.1]), np.array([0.8, 0.2]), np.array([True, False]))


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def features(path: Path, found: Prediction) -> list[dict[str, Any]]:
    write_geojson(path, findings(found))
    collection = json.loads(path.read_text())
    assert collection.keys() == {"type", "features"}
    assert collection["type"] == "FeatureCollection"
    written: list[dict[str, Any]] = collection["features"]
    return written


def test_ids_are_uuids_of_version_5() -> None:
    for key in ("a", "slide µ 3 1.5 2.5", "b" * 300):
        one = feature("detection", "Mitosis", "#000000", [], {}, key)
        assert one["id"] == str(uuid.uuid5(uuid.NAMESPACE_OID, key))


def test_scores_that_are_not_numbers_are_an_error(tmp_path: Path, found: Prediction) -> None:
    wrong = replace(found, score=np.array([np.nan, 0.2]))
    with pytest.raises(ValueError, match="must be finite"):
        write_geojson(tmp_path / "a.geojson", findings(wrong))


def test_the_csv_has_every_candidate_with_all_digits_of_its_scores(tmp_path: Path, found: Prediction) -> None:
    write_csv(tmp_path / "a.csv", findings(found))
    first, second = read(tmp_path / "a.csv")
    assert first == {
        "image": "slides/a.png",
        "x": "25.06",
        "y": "35.00",
        "x1": "10.00",
        "y1": "20.00",
        "x2": "40.12",
        "y2": "50.00",
        "detector_score": "0.9",
        "verifier_score": "0.7",
        "score": "0.8",
        "mitosis": "1",
        "x_um": "6.39",
        "y_um": "8.88",
    }
    assert (second["score"], second["mitosis"]) == ("0.2", "0")


def test_the_geojson_can_be_read_by_qupath(tmp_path: Path, found: Prediction) -> None:
    (feature,) = features(tmp_path / "a.geojson", found)
    assert uuid.UUID(feature.pop("id")).version == 5
    assert feature == {
        "type": "Feature",
        "geometry": {
            "type": "Polygon",
            "coordinates": [[[10.5, 20.5], [40.62, 20.5], [40.62, 50.5], [10.5, 50.5], [10.5, 20.5]]],
        },
        "properties": {
            "objectType": "detection",
            "classification": {"name": "Mitosis", "color": [0, 230, 64]},
            "measurements": {"score": 0.8, "detector score": 0.9, "verifier score": 0.7},
        },
    }


def test_the_box_of_pixels_is_their_outline_in_qupath(tmp_path: Path) -> None:
    pixels = np.array([[0, 0], [3, 0], [0, 1]])
    found = Prediction(Detections.from_boxes([mask_box(pixels)], [0.5]), None, np.array([0.5]), np.array([True]))
    ((outline,),) = (feature["geometry"]["coordinates"] for feature in features(tmp_path / "a.geojson", found))
    assert outline == [[0, 0], [4, 0], [4, 2], [0, 2], [0, 0]]


def test_a_mitosis_has_a_stable_unique_id(tmp_path: Path, found: Prediction) -> None:
    both = Prediction(found.detections, found.verifier, found.score, np.array([True, True]))
    ids = [feature["id"] for feature in features(tmp_path / "a.geojson", both)]
    assert len(set(ids)) == 2
    assert ids[0] == features(tmp_path / "b.geojson", found)[0]["id"]


def test_without_a_verifier_there_is_no_verifier_score(tmp_path: Path, found: Prediction) -> None:
    alone = Prediction(found.detections, None, found.score, found.is_mitosis)
    assert features(tmp_path / "a.geojson", alone)[0]["properties"]["measurements"].keys() == {
        "score",
        "detector score",
    }
    write_csv(tmp_path / "a.csv", findings(alone))
    assert [row["verifier_score"] for row in read(tmp_path / "a.csv")] == ["", ""]


def test_without_a_mitosis_there_is_an_empty_collection(tmp_path: Path, found: Prediction) -> None:
    none = Prediction(found.detections, found.verifier, np.array([0.2, 0.1]), np.array([False, False]))
    assert features(tmp_path / "a.geojson", none) == []


def test_the_summary_has_a_line_per_image_including_failed_ones(tmp_path: Path) -> None:
    rows = [
        ImageSummary("a.png", 2000, 1000, 0.25, 0.125, 3, 24.0, 9, 1.5),
        ImageSummary("b.png", note="b.png: does not exist."),
    ]
    write_summary(tmp_path / "summary.csv", rows)
    done, failed = read(tmp_path / "summary.csv")
    assert list(done) == header()
    assert (done["area_mm2"], done["mitoses"], done["mitoses_per_mm2"], done["note"]) == ("0.125", "3", "24", "")
    assert (failed["image"], failed["mitoses"], failed["note"]) == ("b.png", "", "b.png: does not exist.")
    assert [row.done for row in rows] == [True, False]


def test_kind_and_single_extra_values_of_detections_follow_in_further_columns(tmp_path: Path) -> None:
    detections = Detections.from_points(
        [[10, 20], [30, 40]],
        [0.9, 0.2],
        kind=["=mitosis", "cell"],
        extra={"votes": np.array([3, 1]), "embedding": np.zeros((2, 8), np.float32)},
    )
    found = Prediction(detections, None, detections.score, np.array([True, False]))
    write_csv(tmp_path / "a.csv", findings(found))
    rows = read(tmp_path / "a.csv")
    assert list(rows[0])[-3:] == ["y_um", "kind", "extra_votes"]
    assert [row["extra_votes"] for row in rows] == ["3", "1"]
    assert rows[0]["kind"] == "'=mitosis", "a spreadsheet must not run it"


def qupath_rules(collection: dict[str, Any]) -> None:
    """What QuPath 0.4 to 0.6 export, and therefore import: the rules that its exports keep."""
    assert collection["type"] == "FeatureCollection"
    ids = [uuid.UUID(feature["id"]) for feature in collection["features"]]
    assert len(set(ids)) == len(ids)
    for one in collection["features"]:
        assert one.keys() == {"type", "id", "geometry", "properties"}
        assert one["type"] == "Feature"
        assert one["geometry"]["type"] == "Polygon"
        for ring in one["geometry"]["coordinates"]:
            assert ring[0] == ring[-1], "a ring is closed"
            assert len(ring) >= 4
            assert all(len(corner) == 2 for corner in ring)
        properties = one["properties"]
        assert properties.keys() == {"objectType", "classification", "measurements"}
        assert properties["objectType"] in ("annotation", "detection", "cell", "tile")
        assert properties["classification"].keys() == {"name", "color"}
        assert len(properties["classification"]["color"]) == 3
        assert all(0 <= value <= 255 for value in properties["classification"]["color"])
        assert isinstance(properties["measurements"], dict), "a list before QuPath 0.4"
        assert all(isinstance(value, float) for value in properties["measurements"].values())


def test_candidates_near_the_threshold_are_a_second_class_and_outlines_can_follow(tmp_path: Path) -> None:
    scores = np.array([0.9, 0.6, 0.59, 0.31, 0.3])
    detections = Detections.from_points(np.arange(10).reshape(5, 2) * 10, scores)
    outline = [[[0, 0], [9, 0], [9, 9], [0, 9], [0, 0]]]
    hot_spot = feature("annotation", "Hot spot", "#ff0000", outline, {"mitoses": 2.0}, "a hot spot")
    write_geojson(tmp_path / "a.geojson", findings(Prediction(detections, None, scores, scores >= 0.6)), [hot_spot])
    collection = json.loads((tmp_path / "a.geojson").read_text())
    qupath_rules(collection)
    kinds = [one["properties"]["objectType"] for one in collection["features"]]
    assert kinds == ["detection"] * 4 + ["annotation"]
    names = [one["properties"]["classification"]["name"] for one in collection["features"]]
    assert names == ["Mitosis", "Mitosis", "Candidate", "Candidate", "Hot spot"]
