"""SlideRunner databases, and whole slides that are read by region."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from mitobench.api import DataError
from mitobench.datasets import available, load, whole_slides
from mitobench.datasets.images import write_rgb
from mitobench.datasets.sliderunner import meaning, read_database

pytestmark = pytest.mark.slow

CLASSES = "INSERT INTO Classes VALUES (1, 'Granulocytes'), (2, 'Mitosis'), (7, 'Mitosislike');"
TABLES = """
CREATE TABLE Slides (uid INTEGER, filename TEXT, width INTEGER, height INTEGER);
CREATE TABLE Annotations (uid INTEGER, slide INTEGER, type INTEGER, agreedClass INTEGER, deleted INTEGER);
CREATE TABLE Annotations_coordinates (coordinateX, coordinateY, slide, annoId, orderIdx);
CREATE TABLE Annotations_label (uid INTEGER, person INTEGER, class INTEGER, annoId INTEGER);
CREATE TABLE Classes (uid INTEGER, name TEXT);
"""
ROWS = """
INSERT INTO Slides VALUES (1, 'be10fa37ad6e88e1f406.svs', 300, 200), (2, 'other.svs', 90, 80);
INSERT INTO Annotations VALUES (1, 1, 2, 2, 0), (2, 1, 1, 7, 0), (3, 1, 1, 2, 1), (4, 1, 1, 1, 0), (5, 2, 1, 2, 0);
INSERT INTO Annotations_coordinates VALUES
  (100, 20, 1, 1, 1), (150, 70, 1, 1, 2), (140, 150, 1, 2, 1), (9, 9, 1, 3, 1), (8, 8, 1, 4, 1), (40, 50, 2, 5, 1);
INSERT INTO Annotations_label VALUES (1, 1, 2, 1), (2, 2, 7, 1), (3, 1, 7, 2), (4, 2, 7, 2);
"""


def database(root: Path, script: str = TABLES + CLASSES + ROWS, name: str = "MITOS_WSI_CCMCT_ODAEL.sqlite") -> Path:
    root.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(root / name)
    connection.executescript(script)
    connection.commit()
    connection.close()
    return root / name


def test_classes_have_the_meaning_of_their_names(tmp_path: Path) -> None:
    slides = read_database(database(tmp_path))
    figures = {(f.x, f.y): (f.is_mitosis, f.confidence) for f in slides["be10fa37ad6e88e1f406"].figures}
    assert figures == {(125.0, 45.0): (True, 0.5), (140.0, 150.0): (False, 0.0)}


@pytest.mark.parametrize(
    ("name", "is_mitosis"),
    [
        *(("Mitosis", True), ("mitotic figure", True), ("Nonmitosis", False), ("non-mitotic cell", False)),
        *(("Mitosislike", False), ("Mitotic figure look-alike", False), ("hard negative", False)),
        *(("Granulocytes", None), ("Tumorcells", None)),
    ],
)
def test_names_of_classes(name: str, is_mitosis: bool | None) -> None:
    assert meaning(name) is is_mitosis


def test_frames_are_regions_of_the_slide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_slides.regions, "__defaults__", (128,))
    database(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 255, (200, 300, 3), dtype=np.uint8)
    write_rgb(tmp_path / "be10fa37ad6e88e1f406.tif", pixels)
    assert available(tmp_path) == ["ccmct"]
    dataset = load("ccmct", tmp_path)
    assert len(dataset.items) == 6
    assert list(dataset.without_image) == ["other"]
    first, low = dataset.items["be10fa37ad6e88e1f406_0_0"], dataset.items["be10fa37ad6e88e1f406_128_128"]
    assert (first.mitoses.xy.tolist(), low.mitoses.imposters.tolist()) == ([[125, 45]], [[12, 22]])
    assert sum(len(item.mitoses) for item in dataset.items.values()) == 1
    np.testing.assert_array_equal(low.frame.read(), pixels[128:200, 128:256])
    assert {item.frame.group for item in dataset.items.values()} == {"be10fa37ad6e88e1f406"}
    assert first.part == "test"


def test_of_several_variants_one_is_read(tmp_path: Path) -> None:
    database(tmp_path, name="MITOS_WSI_CCMCT_MEL.sqlite")
    database(tmp_path)
    dataset = load("ccmct", tmp_path, labels_only=True)
    assert any("ODAEL" in note for note in dataset.notes)
    database(tmp_path / "copy")
    with pytest.raises(DataError, match="has several databases"):
        load("ccmct", tmp_path, labels_only=True)


def test_cmc_is_not_ccmct(tmp_path: Path) -> None:
    names = "INSERT INTO Classes VALUES (1, 'Nonmitosis'), (2, 'Mitosis');"
    database(tmp_path, TABLES + names + ROWS, "MITOS_WSI_CMC_CODAEL_TR_ROI.sqlite")
    assert available(tmp_path, labels_only=True) == ["cmc"]


def test_what_is_not_a_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ccmct.sqlite"
    path.write_bytes(b"no database" * 100)
    with pytest.raises(DataError, match=r"ccmct\.sqlite: cannot be read as a SlideRunner database"):
        read_database(path)


def test_a_locked_database_is_named(tmp_path: Path) -> None:
    path = database(tmp_path)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(DataError, match=r"is locked\. Close the program"):
            read_database(path)
    finally:
        holder.close()


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        ("CREATE TABLE Slides (uid, filename);", "it has no table Annotations"),
        (TABLES.replace("agreedClass INTEGER, ", "") + CLASSES, "table Annotations has no column agreedClass"),
        (TABLES + ROWS, "no entry of its table Classes is called mitosis"),
        (TABLES + CLASSES, "lists no slide"),
        (TABLES + CLASSES + ROWS.replace("(40, 50, 2, 5, 1)", "(4, 5, 2, 6, 1)"), "annotation 5 has no coordinates"),
    ],
)
def test_a_database_of_another_form_is_refused(tmp_path: Path, script: str, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        read_database(database(tmp_path, script))


NO_NAMES = TABLES.replace("CREATE TABLE Classes (uid INTEGER, name TEXT);", "")


def test_classes_without_names_are_never_taken_for_none(tmp_path: Path) -> None:
    ones = (
        ROWS.replace("1, 2, 2, 0)", "1, 2, 1, 0)")
        .replace("1, 1, 7, 0)", "1, 1, 3, 0)")
        .replace("1, 2, 0);", "1, 1, 0);")
    )
    database(tmp_path, NO_NAMES + ones)
    with pytest.raises(DataError, match=r"that is agreedClass 2\. Its other annotations: class 1 \(3\), class 3 \(1\)"):
        load("ccmct", tmp_path, labels_only=True)


def test_classes_that_are_left_out_are_listed(tmp_path: Path) -> None:
    notes: list[str] = []
    path = database(tmp_path)
    read_database(path, None, notes)
    assert notes[0] == f"{path}: 1 annotations of other classes are left out: Granulocytes (1)"
    assert notes[1].startswith(f"{path}: 1 of 3 figures have no confidence (the first: {path}: annotation ")
    assert notes[0] in load("ccmct", tmp_path, labels_only=True).notes
    odd = "INSERT INTO Annotations VALUES (8, 99, 1, 2, 0), (9, 1, 1, NULL, 0);"
    read_database(database(tmp_path / "odd", TABLES + CLASSES + ROWS + odd), None, notes)
    assert "on a slide not listed (1)" in notes[-2]
    assert "class None (1)" in notes[-2]


def test_a_database_without_a_mitosis_is_warned_of(tmp_path: Path) -> None:
    notes: list[str] = []
    read_database(database(tmp_path, TABLES + CLASSES + ROWS.split("INSERT INTO Annotations")[0]), None, notes)
    assert "WARNING: has no annotation of a mitosis" in notes[0]


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("(1, 1, 2, 2, 0)", "(1, 1, 2, '2a', 0)", "annotation 1: agreedClass is '2a', which is not a whole number"),
        ("(1, 1, 2, 2, 0)", "(1, 1, 2, 2, 'no')", "annotation 1: deleted is 'no'"),
        ("(1, 1, 2, 2, 0)", "(1, 'one', 2, 2, 0)", "annotation 1: slide is 'one'"),
        ("(140, 150,", "('140,7', 150,", "annotation 2: one of its coordinateX is not a number"),
        ("(150, 70,", "(150, 'a',", "annotation 1: one of its coordinateY is not a number"),
        ("(150, 70,", "(NULL, 70,", "annotation 1: one of its coordinateX is not a number"),
        ("(150, 70,", "(150, 9e999,", "annotation 1: one of its coordinateY is not a number"),
        ("(2, 1, 1, 7, 0)", "(1, 1, 1, 7, 0)", "several rows of Annotations have the uid 1"),
        ("'other.svs', 90, 80", "'other.svs', 'wide', 80", "slide other.svs: width is 'wide'"),
    ],
)
def test_text_in_place_of_numbers_is_refused(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    assert old in ROWS
    with pytest.raises(DataError, match=complaint):
        read_database(database(tmp_path, TABLES + CLASSES + ROWS.replace(old, new)))


def test_a_vote_that_is_a_text_is_refused(tmp_path: Path) -> None:
    text = TABLES.replace("class INTEGER, annoId", "class, annoId")
    with pytest.raises(DataError, match="a rater's class of annotation 1 in Annotations_label is 'seven'"):
        read_database(database(tmp_path, text + CLASSES + ROWS.replace("(2, 2, 7, 1)", "(2, 2, 'seven', 1)")))


def test_a_class_that_is_a_text_is_refused(tmp_path: Path) -> None:
    text = TABLES.replace("agreedClass INTEGER", "agreedClass TEXT").replace(CLASSES, "")
    with pytest.raises(DataError, match="annotation 1: agreedClass is '2', which is not a whole number"):
        read_database(database(tmp_path, text + ROWS), {2: True})


def test_the_database_is_not_changed(tmp_path: Path) -> None:
    path = database(tmp_path)
    before = path.read_bytes()
    path.chmod(0o400)
    read_database(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
