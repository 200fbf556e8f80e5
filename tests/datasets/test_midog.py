"""The MIDOG layout: boxes by corners, both spellings of names, unlabelled images, votes, um/px, missing images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mitobench.api import DataError, Mitoses
from mitobench.datasets import Dataset, available, load, midog
from mitobench.datasets.check import check
from mitobench.datasets.images import write_rgb

TABLE = "Slide;Dataset;Tumor;Scanner;Origin;Species\n"
ROWS = (
    "1;train;canine lymphoma;Hamammatsu XR;VMU Vienna;Canine",
    "2;train;canine lymphoma;Hamamatsu XR;VMU Vienna;canine",
    "3;test;human melanoma;Aperio CS2;UMC Utrecht;Human",
)
SIZE = (200, 120)


def labels(**changes: Any) -> dict[str, Any]:
    """Four images: two with figures, one searched without any, and one that is not labelled."""
    tumours = ("canine lymphosarcoma", "canine lymphosarcoma", "human melanoma", "human melanoma")
    images = [
        {"id": n, "file_name": f"{n:03d}.tiff", "width": SIZE[0], "height": SIZE[1], "tumor_type": tumours[n - 1]}
        for n in (1, 2, 3, 4)
    ]
    annotations = [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [30, 40, 80, 90], "labels": [1, 2, 1]},
        {"id": 2, "image_id": 1, "category_id": 2, "bbox": [100.5, 10.0, 150.5, 60.0], "labels": [2, 2]},
        {"id": 3, "image_id": 2, "category_id": 1, "bbox": [-27, 60, 23, 110], "labels": [1, 1]},
    ]
    categories = [{"id": 1, "name": "mitotic figure"}, {"id": 2, "name": "not mitotic figure"}]
    return {"images": images, "annotations": annotations, "categories": categories, **changes}


def write(
    root: Path, content: dict[str, Any], table: str | None = TABLE + "\n".join(ROWS), name: str = "MIDOG++.json"
) -> Path:
    folder = root / "set"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(content))
    if table is not None:
        (folder / "datasets_xvalidation.csv").write_text(table)
    return root


def images(root: Path, *names: str, mpp: float | None = None) -> None:
    from PIL import Image

    rng = np.random.default_rng(0)
    for name in names:
        path = root / "set" / name
        path.parent.mkdir(exist_ok=True)
        pixels = rng.integers(0, 255, (SIZE[1], SIZE[0], 3), dtype=np.uint8)
        tags = {} if mpp is None else {"resolution_unit": 3, "resolution": 10_000 / mpp}
        Image.fromarray(pixels).save(path, **tags)


@pytest.fixture
def whole(tmp_path: Path) -> Dataset:
    """A copy with all four images, and what was read of it."""
    write(tmp_path, labels())
    images(tmp_path, "images/001.tiff", "images/2.TIF", "images/003.tiff", "images/004.tiff", mpp=0.24)
    return load("midogpp", tmp_path)


def test_a_box_is_two_corners(whole: Dataset) -> None:
    mitoses = whole.items["001"].mitoses
    assert mitoses.xy.tolist() == [[55, 65]]
    assert mitoses.imposters.tolist() == [[125.5, 35]]


def test_boxes_of_width_and_height_are_refused_by_name(tmp_path: Path) -> None:
    boxes = [{"id": n, "image_id": 1, "category_id": 1, "bbox": [60 + n, 70, 50, 50]} for n in range(4)]
    with pytest.raises(DataError, match=r"annotations\[0\]: bbox \[60, 70, 50, 50\].*x, y, width, height.*`folder`"):
        load("midogpp", write(tmp_path, labels(annotations=boxes)), labels_only=True)


def test_an_image_without_annotation_is_unlabelled_unless_the_table_lists_it(whole: Dataset) -> None:
    assert {id: item.mitoses.labelled for id, item in whole.items.items()} == {
        "001": True,
        "002": True,
        "003": True,  # searched: it is in the table
        "004": False,
    }
    assert (whole.items["003"].part, whole.items["004"].part) == ("test", None)


def test_both_spellings_of_names_are_one(whole: Dataset) -> None:
    domains = [whole.items[id].frame.domains for id in ("001", "002")]
    assert (
        domains[0]
        == domains[1]
        == {
            "scanner": "Hamamatsu XR",
            "tumour": "canine lymphosarcoma",
            "lab": "VMU Vienna",
            "species": "canine",
        }
    )
    notes = "\n".join(whole.notes)
    assert "1 slides have 'Hamammatsu XR', which is read as 'Hamamatsu XR'" in notes
    assert "2 slides have 'canine lymphoma', which is read as 'canine lymphosarcoma'" in notes


def test_boxes_that_leave_the_image_are_counted_and_their_centres_moved_to_its_edge(whole: Dataset) -> None:
    assert whole.items["002"].mitoses.xy.tolist() == [[0, 85]]
    notes = "\n".join(whole.notes)
    assert "1 boxes leave their image (the first: annotations[2])" in notes
    assert "(-2, 85) is outside the frame, clipped" in notes


def test_votes_are_confidences(whole: Dataset) -> None:
    mitoses = whole.items["001"].mitoses
    assert mitoses.confidence is not None
    assert mitoses.confidence.tolist() == pytest.approx([2 / 3])
    assert mitoses.imposter_confidence is not None
    assert mitoses.imposter_confidence.tolist() == [0]


@pytest.mark.parametrize(
    ("votes", "complaint"),
    [
        ([1, 3], r"`labels` has 3, which is not the id of a category"),
        (["1", 2], r"`labels` has '1', which is not the id of a category"),
        ([True, 1], r"`labels` has True, which is not"),
        ([1.0], r"`labels` has 1\.0, which is not"),
        ([[1, 2]], r"`labels` has \[1, 2\], which is not"),
        ("1,2", r"`labels` must be a list with the category that each rater chose, not '1,2'"),
        (1, r"`labels` must be a list"),
    ],
)
def test_votes_that_are_not_categories_are_refused_with_their_entry(
    tmp_path: Path, votes: object, complaint: str
) -> None:
    content = labels()
    content["annotations"][1]["labels"] = votes
    with pytest.raises(DataError, match=rf"MIDOG\+\+\.json: annotations\[1\]: {complaint}"):
        load("midogpp", write(tmp_path, content), labels_only=True)


def test_annotations_without_votes_beside_others_are_noted(tmp_path: Path) -> None:
    content = labels()
    content["annotations"][0]["labels"] = []
    del content["annotations"][1]["labels"]
    dataset = load("midogpp", write(tmp_path, content), labels_only=True)
    assert dataset.without_image["001"].mitoses.confidence is None
    assert dataset.without_image["002"].mitoses.confidence is not None
    (note,) = (note for note in dataset.notes if "confidence" in note)
    assert "2 of 3 figures have no confidence (the first: " in note
    assert "annotations[0])" in note


def test_a_labelled_flag_that_is_not_true_or_false_is_refused(tmp_path: Path) -> None:
    content = labels()
    content["images"][3]["labelled"] = "no"
    with pytest.raises(DataError, match=r"MIDOG\+\+\.json: images\[3\]: `labelled` must be true or false, not 'no'"):
        load("midogpp", write(tmp_path, content), labels_only=True)


def test_um_per_px_comes_from_the_image(whole: Dataset) -> None:
    assert whole.items["001"].frame.mpp == pytest.approx((0.24, 0.24), abs=1e-4)
    assert not any("derived" in note for note in whole.notes)


@pytest.mark.parametrize(("size", "mpp"), [((7215, 5412), 0.2263), ((6577, 4933), 0.2483), ((6447, 4835), 0.2533)])
def test_um_per_px_is_derived_from_the_size_otherwise_and_the_note_says_so(
    tmp_path: Path, size: tuple[int, int], mpp: float
) -> None:
    one = {"id": 1, "file_name": "001.tiff", "width": size[0], "height": size[1]}
    dataset = load("midogpp", write(tmp_path, labels(images=[one], annotations=[])), labels_only=True)
    assert dataset.without_image["001"].frame.mpp == (mpp, mpp)
    assert any("um/px of 1 images is derived from the 2 mm2" in note for note in dataset.notes)


def test_missing_images_are_listed_with_where_to_get_them(tmp_path: Path) -> None:
    write(tmp_path, labels())
    images(tmp_path, "003.tiff")
    dataset = load("midogpp", tmp_path)
    assert (list(dataset.items), list(dataset.without_image)) == (["003"], ["001", "002", "004"])
    (note,) = (note for note in dataset.notes if "images are missing" in note)
    assert "3 of 4 images are missing: 001-002 004; available from https://doi.org/" in note


def test_labels_without_any_image_can_be_checked_and_not_run(tmp_path: Path) -> None:
    write(tmp_path, labels())
    assert (available(tmp_path), available(tmp_path, labels_only=True)) == ([], ["midogpp"])
    with pytest.raises(DataError, match="has the annotation of 4 midogpp frames, and none of their images"):
        load("midogpp", tmp_path)
    report = check("midogpp", tmp_path)
    assert [(row.tumour, row.slides, row.mitoses, row.imposters) for row in report.domains] == [
        ("canine lymphosarcoma", 2, 2, 1),
        ("human melanoma", 1, 0, 0),
        ("human melanoma", 1, 0, 0),
        ("all", 3, 2, 1),
    ]
    assert [row.labelled for row in report.domains] == [True, True, False, True]
    assert report.dataset.coverage == "annotation only, no images"


def test_the_annotation_is_part_of_the_digest(tmp_path: Path) -> None:
    write(tmp_path, labels())
    images(tmp_path, "001.tiff", "003.tiff")
    before = load("midogpp", tmp_path)
    digests = {id: before.frame_digest(id) for id in before.items}
    content = labels()
    content["annotations"][0]["labels"] = [1, 1, 1]
    write(tmp_path, content)
    after = load("midogpp", tmp_path)
    assert after.frame_digest("001") != digests["001"]
    assert after.frame_digest("003") == digests["003"]


def test_an_image_of_another_size_is_refused(tmp_path: Path) -> None:
    write(tmp_path, labels())
    write_rgb(tmp_path / "set" / "001.tiff", np.zeros((60, 100, 3), dtype=np.uint8))
    with pytest.raises(DataError, match=r"001\.tiff: has 100 x 60 px.*200 x 120"):
        load("midogpp", tmp_path)


def test_midog21_is_not_taken_for_midogpp(tmp_path: Path) -> None:
    write(tmp_path, labels(), name="MIDOG.json")
    assert available(tmp_path, labels_only=True) == ["midog21"]
    card = midog_card("midogpp")
    assert card.contains["midog21"] == ("001-200",)


def midog_card(name: str) -> Any:
    from mitobench.datasets import reader

    return reader(name).card()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"annotations": [{"id": 1, "image_id": 9, "category_id": 1, "bbox": [0, 0, 50, 50]}]}, r"\[0\]: image_id 9"),
        (
            {"annotations": [{"id": 1, "image_id": 1, "category_id": 7, "bbox": [0, 0, 50, 50]}]},
            r"\[0\]: category_id 7",
        ),
        ({"annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 50]}]}, r"\[0\]: `bbox` must be"),
        (
            {"annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [60, 900, 110, 950]}]},
            "outside the image",
        ),
        ({"categories": [{"id": 1, "name": "nucleus"}]}, "unknown category"),
        ({"images": [{"id": 1, "file_name": "1.tiff"}]}, r"images\[0\]: needs id"),
        ({"version": {"major": 2}}, "and version 1 of a label file is read"),
        ({"images": None}, "is not a MIDOG label file"),
    ],
)
def test_a_wrong_json_is_refused_with_its_entry(tmp_path: Path, change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(DataError, match=rf"MIDOG\+\+\.json: .*{complaint}|{complaint}"):
        load("midogpp", write(tmp_path, labels(**change)), labels_only=True)


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ("Slide;Dataset\n1;train\n", r"csv:1: has no column 'tumor'"),
        (TABLE + ROWS[0] + "\n" + ROWS[0], r"csv:3: slide 001 occurs twice"),
        (TABLE + "1;holdout;a;b;c;d", r"csv:2: 'holdout' is not a part"),
        (TABLE + "1;train;a;b;c", r"csv:2: 5 columns"),
    ],
)
def test_a_wrong_table_is_refused_with_its_line(tmp_path: Path, table: str, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        load("midogpp", write(tmp_path, labels(), table), labels_only=True)


def test_figures_listed_twice_count_once(tmp_path: Path) -> None:
    content = labels()
    content["annotations"].append({"id": 9, "image_id": 1, "category_id": 1, "bbox": [31, 40, 81, 90]})
    dataset = load("midogpp", write(tmp_path, content), labels_only=True)
    assert len(dataset.without_image["001"].mitoses) == 1
    assert any("annotations[3]: repeats the mitosis of" in note for note in dataset.notes)


def test_a_figure_that_is_a_mitosis_and_an_imposter_is_noted(tmp_path: Path) -> None:
    content = labels()
    content["annotations"].append({"id": 9, "image_id": 1, "category_id": 2, "bbox": [30, 40, 80, 90]})
    dataset = load("midogpp", write(tmp_path, content), labels_only=True)
    assert any("is annotated as a mitosis here and as an imposter in" in note for note in dataset.notes)


@settings(deadline=None, max_examples=20)
@given(
    xy=st.lists(
        st.tuples(st.integers(30, 160), st.integers(30, 90)), max_size=5, unique_by=lambda p: (p[0] // 9, p[1] // 9)
    )
)
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, xy: list[tuple[int, int]]) -> None:
    points = np.array([p for n, p in enumerate(xy) if all(np.hypot(*np.subtract(p, q)) > 3 for q in xy[:n])])
    mitoses = Mitoses(points.reshape(-1, 2).astype(float))
    root = tmp_path_factory.mktemp("midog")
    pixels = np.zeros((SIZE[1], SIZE[0], 3), dtype=np.uint8)
    midog.write(root, [("007", pixels, mitoses, "test")], {"007": 0.3}, {"007": {"tumour": "a", "scanner": "B 2"}})
    dataset = midog.read_layout(root, midog_card("synthetic-domains"), root / "MIDOG.json")
    item = dataset.items["007"]
    np.testing.assert_allclose(item.mitoses.xy, points.reshape(-1, 2))
    assert item.mitoses.labelled
    assert (item.part, item.frame.scanner, item.frame.domains["tumour"]) == ("test", "b-2", "a")
    assert item.frame.mpp == pytest.approx((0.3, 0.3), abs=1e-4)
