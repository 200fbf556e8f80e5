"""TUPAC16 and AMIDA13: rows of y and x, two label sets, stitched images."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from mitobench.api import DataError
from mitobench.datasets import available, load
from mitobench.datasets.images import write_rgb

PIXELS = np.random.default_rng(1).integers(0, 255, (60, 90, 3), dtype=np.uint8)


def put(root: Path, name: str, rows: str | None = None) -> None:
    """Writes an image, or a label file if there are rows."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if rows is None:
        write_rgb(path, PIXELS)
    else:
        path.write_text(rows)


def votes(confidence: np.ndarray | None) -> list[float] | None:
    return None if confidence is None else confidence.tolist()


@pytest.fixture
def original(tmp_path: Path) -> Path:
    for name in ("images/01/01.tif", "images/01/02.tif", "images/24/01.tif", "images/80/01.tif"):
        put(tmp_path, name)
    put(tmp_path, "labels/01/01.csv", "50,80\n10,20\n")
    put(tmp_path, "labels/24/01.csv", "")
    return tmp_path


def test_rows_are_y_and_x(original: Path) -> None:
    dataset = load("tupac16", original)
    assert dataset.items["01_01"].mitoses.xy.tolist() == [[80, 50], [20, 10]]


def test_an_image_of_a_case_without_labels_is_unlabelled(original: Path) -> None:
    items = load("tupac16", original).items
    assert {id: (len(item.mitoses), item.mitoses.labelled) for id, item in items.items()} == {
        "01_01": (2, True),
        "01_02": (0, True),  # the case has another label file
        "24_01": (0, True),  # its label file is empty
        "80_01": (0, False),
    }


def test_the_number_of_missing_cases_is_said(original: Path) -> None:
    assert load("tupac16", original).coverage == "2 of 73 slides"  # the images of case 80 have no labels


def test_scanner_and_laboratory_depend_on_the_case(original: Path) -> None:
    items = load("tupac16", original).items
    assert dict(items["01_01"].frame.domains) == {
        "lab": "UMC Utrecht",
        "region": "hot spot",
        "scanner": "Aperio ScanScope XT",
        "species": "human",
        "tumour": "human breast cancer",
    }
    assert items["24_01"].frame.domains["scanner"] == "Leica SCN400"


def test_swapped_rows_are_named(original: Path) -> None:
    put(original, "labels/01/01.csv", "10,20\n88,12\n")
    with pytest.raises(DataError, match=r"01\.csv:2: \(12, 88\) is outside.*x and y are swapped"):
        load("tupac16", original)


def test_amida13_is_known_by_its_folder_and_is_not_tupac16(tmp_path: Path) -> None:
    put(tmp_path, "AMIDA13_train/01/01.tif")
    put(tmp_path, "AMIDA13_train/01/01.csv", "5,6\n")
    assert available(tmp_path) == ["amida13"]
    assert load("amida13", tmp_path).items["01_01"].mitoses.xy.tolist() == [[6, 5]]


def test_two_label_sets_give_votes(original: Path) -> None:
    put(original, "al/mitoses_ground_truth/01/01.csv", "51,81\n55,5\n")
    put(original, "al/nonmitoses_ground_truth/01/01.csv", "10,20\n")
    first = load("tupac16", original).items["01_01"].mitoses
    assert (first.xy.tolist(), votes(first.confidence)) == ([[80, 50], [20, 10]], [1.0, 0.5])
    other = load("tupac16-al", original).items["01_01"].mitoses
    assert (other.xy.tolist(), votes(other.confidence)) == ([[81, 51], [5, 55]], [1.0, 0.5])
    assert (other.imposters.tolist(), votes(other.imposter_confidence)) == ([[20, 10]], [0.5])


def test_a_table_of_stitched_images(tmp_path: Path) -> None:
    put(tmp_path, "images/01_stitched1.tif")
    put(tmp_path, "images/24.tif")
    put(tmp_path, "labels_augmented.csv", "case,x,y,class\n1,10,20,1\n1,30,40,2\n24,5,6,1\n30,7,8,1\n")
    put(tmp_path, "labels_manual.csv", "case,x,y,class\n01_stitched1,11,20,1\n")
    dataset = load("tupac16-al", tmp_path)
    assert list(dataset.items) == ["01", "24"]
    assert dataset.items["01"].mitoses.xy.tolist() == [[10, 20]]
    assert votes(dataset.items["01"].mitoses.confidence) == [1.0]
    assert dataset.items["01"].mitoses.imposters.tolist() == [[30, 40]]
    assert any("1 of 3 images are missing: 30" in note for note in dataset.notes)


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ("case,row,col,class\n1,2,3,1\n", r"csv:1: the header is 'case,row,col,class'"),
        ("case,x,y,class\n1,2,3,5\n", r"csv:2: class 5 is unknown"),
        ("case,x,y,class\n1,2,3\n", r"csv:2: 3 columns"),
        ("case,x,y,class\n1,2,x,1\n", r"csv:2: 'x' is not a number"),
        ("case,x,y,class\nfirst,2,3,1\n", r"csv:2: 'first' is not a case"),
    ],
)
def test_a_wrong_table_is_refused_with_its_line(tmp_path: Path, table: str, complaint: str) -> None:
    put(tmp_path, "labels_augmented.csv", table)
    with pytest.raises(DataError, match=complaint):
        load("tupac16-al", tmp_path, labels_only=True)


def test_a_database_of_stitched_images(tmp_path: Path) -> None:
    put(tmp_path, "01_stitched1.tif")
    path = tmp_path / "TUPAC_alternativeLabels.sqlite"
    with sqlite3.connect(path) as database:
        database.executescript(
            """
            CREATE TABLE Slides (uid INTEGER, filename TEXT);
            CREATE TABLE Annotations (uid INTEGER, slide INTEGER, agreedClass INTEGER, deleted INTEGER);
            CREATE TABLE Annotations_coordinates (coordinateX, coordinateY, annoId, orderIdx);
            INSERT INTO Slides VALUES (1, '01_stitched1.tif');
            INSERT INTO Annotations VALUES (1, 1, 1, 0), (2, 1, 2, 0), (3, 1, 1, 1);
            INSERT INTO Annotations_coordinates VALUES (10, 10, 1, 1), (20, 30, 1, 2), (50, 40, 2, 1), (5, 5, 3, 1);
            """
        )
    mitoses = load("tupac16-al", tmp_path).items["01"].mitoses
    assert (mitoses.xy.tolist(), mitoses.imposters.tolist()) == ([[15, 20]], [[50, 40]])
