"""The MITOS 2012 layout, with the variations found in copies of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mitobench.api import DataError, Mitoses
from mitobench.datasets import load
from mitobench.datasets.images import write_rgb
from mitobench.datasets.mask_checks import check_masks
from mitobench.datasets.mitos2012 import Mitos2012, read_layout, read_masks, write, write_masks

Write = Callable[..., Path]
MASKS = st.lists(
    hnp.arrays(np.int64, st.tuples(st.integers(1, 9), st.just(2)), elements=st.integers(0, 99)), max_size=6
)


def test_what_was_written_is_read_back(write2012: Write, pixels: np.ndarray, masks: tuple[np.ndarray, ...]) -> None:
    dataset = load("mitos2012", write2012("A00_01", "H00_01"))
    assert list(dataset.items) == ["A00_01", "H00_01"]
    item = dataset.items["H00_01"]
    assert (item.frame.dataset, item.frame.group, item.frame.scanner, item.frame.size) == (
        "mitos2012",
        "00",
        "H",
        (40, 40),
    )
    assert item.frame.mpp == (0.2273, 0.2275)
    np.testing.assert_array_equal(item.frame.read(), pixels)
    assert item.mitoses.masks is not None
    for mask, written in zip(item.mitoses.masks, masks, strict=True):
        np.testing.assert_array_equal(mask, written)
    np.testing.assert_array_equal(item.mitoses.xy, [[10.5, 20.5], [30, 5]])
    assert [path.name for path in item.files] == ["H00_01.bmp", "H00_01.csv"]
    assert item.field == "00_01"


def test_files_are_placed_as_in_the_contest(write2012: Write) -> None:
    root = write2012("A00_01", "H03_02")
    write2012("A00_00", part="test")
    assert sorted(path.relative_to(root).as_posix() for path in root.rglob("*.bmp")) == [
        "evaluation_aperio/A00_v2/A00_00.bmp",
        "training_aperio/A00_v2/A00_01.bmp",
        "training_hamamatsu/H03_v2/H03_02.bmp",
    ]


@given(masks=MASKS)
def test_any_masks_survive_a_round_trip(tmp_path_factory: pytest.TempPathFactory, masks: list[np.ndarray]) -> None:
    path = tmp_path_factory.getbasetemp() / "masks.csv"
    write_masks(path, masks)
    read, _ = read_masks(path, (100, 100))
    assert [mask.tolist() for mask in read] == [mask.tolist() for mask in masks]


def test_the_part_comes_from_the_folder_otherwise_from_the_card(write2012: Write) -> None:
    root = write2012("A00_01")
    write2012("A00_00", part="test")
    assert {id: item.part for id, item in load("mitos2012", root).items.items()} == {
        "A00_00": "test",
        "A00_01": "train",
    }
    (root / "evaluation_aperio" / "A00_v2").rename(root / "A00_v2")
    assert load("mitos2012", root).items["A00_00"].part == "test"


def test_a_frame_without_csv_has_no_mitosis_in_the_contest_folders_and_no_labels_elsewhere(write2012: Write) -> None:
    root = write2012("A00_01", "A00_02")
    csv = root / "training_aperio" / "A00_v2" / "A00_01.csv"
    csv.unlink()
    mitoses = load("mitos2012", root).items["A00_01"].mitoses
    assert (len(mitoses), mitoses.masks, mitoses.labelled) == (0, (), True)
    for elsewhere in ("loose", "test_aperio"):
        csv.parents[1].rename(root / elsewhere)
        csv = root / elsewhere / "A00_v2" / "A00_01.csv"
        assert not load("mitos2012", root).items["A00_01"].mitoses.labelled


def test_a_slide_without_any_csv_is_unlabelled_not_free_of_mitoses(write2012: Write) -> None:
    root = write2012("A00_01", "A00_02", "A01_00")
    for csv in (root / "training_aperio" / "A00_v2").glob("*.csv"):
        csv.unlink()
    dataset = load("mitos2012", root)
    assert {id: item.mitoses.labelled for id, item in dataset.items.items()} == {
        "A00_01": False,
        "A00_02": False,
        "A01_00": True,
    }
    assert "A00_v2: none of its 2 frames has an annotation file; all count as unlabelled" in "\n".join(dataset.notes)


@pytest.mark.parametrize("folder", ["ground_truth", "evaluation_ground_truth", "x/y/labels"])
def test_annotation_in_a_folder_of_its_own_is_found(write2012: Write, folder: str) -> None:
    root = write2012("A00_01", "A00_02")
    beside = root / "training_aperio" / "A00_v2"
    apart = root / folder / "A00_v2"
    apart.mkdir(parents=True)
    for csv in beside.glob("*.csv"):
        csv.rename(apart / csv.name)
    dataset = load("mitos2012", root)
    assert [len(item.mitoses) for item in dataset.items.values()] == [2, 2]
    assert any("holds the annotation of 2 frames whose images are in another folder" in n for n in dataset.notes)


def test_letter_case_of_names_does_not_matter(write2012: Write) -> None:
    root = write2012("A00_01", "A00_02")
    before = load("mitos2012", root).digest()
    folder = root / "training_aperio" / "A00_v2"
    (folder / "A00_01.csv").rename(folder / "a00_01.CSV")
    (folder / "A00_01.bmp").rename(folder / "a00_01.BMP")
    folder.rename(folder.with_name("a00_V2"))
    after = load("mitos2012", root)
    assert [len(item.mitoses) for item in after.items.values()] == [2, 2]
    assert after.digest() == before


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("12,5,30,5", "2 of 2 pixels touch no other"),  # decimal commas: 12.5, 30.5
        ("5,0,38,0,6,0,38,0,7,0,38,0,8,0,38,0", "3 of 8 pixels are listed twice"),  # 5.0, 38.0, ... with decimal commas
        ("3,3,33,35", "2 of 2 pixels touch no other"),  # corners of a box
        ("3,3,23,3,23,30,3,30", "4 of 4 pixels touch no other"),  # a polygon
    ],
)
def test_pixels_that_do_not_touch_are_refused(write2012: Write, line: str, complaint: str) -> None:
    root = write2012("A00_01")
    (root / "training_aperio" / "A00_v2" / "A00_01.csv").write_text(f"5,5\n{line}\n")
    with pytest.raises(DataError, match=rf"A00_01\.csv:2: {complaint}.*decimal commas"):
        load("mitos2012", root)


def test_a_mitosis_in_two_near_pieces_is_one_and_in_two_far_pieces_an_error() -> None:
    square = np.array([[x, y] for x in range(4) for y in range(4)])
    check_masks([np.concatenate([square, square + np.array([30, 0])])], ["a.csv:1"], 0.25)
    with pytest.raises(DataError, match=r"a\.csv:1: the pixels lie in pieces 24 um apart"):
        check_masks([np.concatenate([square, square + np.array([100, 0])])], ["a.csv:1"], 0.25)


@pytest.mark.parametrize("again", ["8,8,9,8,8,9,9,9", "8,8,9,8,8,9,9,9,10,9", "9,9,9,8,8,9,8,8"])
def test_a_mitosis_that_is_listed_twice_is_noted_and_counts_once(write2012: Write, again: str) -> None:
    root = write2012("A00_01")
    (root / "training_aperio" / "A00_v2" / "A00_01.csv").write_text(f"8,8,9,8,8,9,9,9\n20,20,21,20\n{again}\n")
    dataset = load("mitos2012", root)
    mitoses = dataset.items["A00_01"].mitoses
    assert mitoses.xy.tolist() == [[8.5, 8.5], [20.5, 20]]
    assert mitoses.masks is not None
    assert len(mitoses.masks) == 2
    assert any("A00_01.csv:3: repeats the mitosis of" in note for note in dataset.notes)
    assert any("1 mitoses are listed again, and count once" in note for note in dataset.notes)
    card = dataset.card.model_copy(update={"duplicates": "all"})
    assert len(read_layout(root, card).items["A00_01"].mitoses) == 3


def test_frames_have_domains(write2012: Write) -> None:
    frame = load("mitos2012", write2012("A00_01")).items["A00_01"].frame
    assert frame.domains["tumour"] == "human breast cancer"
    assert frame.domains["scanner"] == "Aperio ScanScope XT"


def test_blank_lines_and_trailing_commas_and_lines_of_any_length(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"1,2,3,4,\r\n\r\n5,6\r\n")
    masks, notes = read_masks(path, (40, 40))
    assert [mask.tolist() for mask in masks] == [[[1, 2], [3, 4]], [[5, 6]]]
    assert notes == []


@pytest.mark.parametrize(
    ("line", "complaint"),
    [("1,2,3", "odd number"), ("1,two", "'two' is not a number"), ("1,nan", "not a number"), ("1,41", "2 px outside")],
)
def test_a_bad_line_is_an_error_with_file_and_line(write2012: Write, line: str, complaint: str) -> None:
    root = write2012("A00_01")
    csv = root / "training_aperio" / "A00_v2" / "A00_01.csv"
    csv.write_text(f"5,5\n{line}\n")
    with pytest.raises(DataError, match=rf"A00_01\.csv:2: .*{complaint}"):
        load("mitos2012", root)


def test_clipped_pixels_and_repeated_mitoses_are_noted(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("39,39,40,39\n1,2,3,4\n3,4,1,2\n")
    masks, notes = read_masks(path, (40, 40))
    assert masks[0].tolist() == [[39, 39], [39, 39]]
    assert len(masks) == 3
    assert [note.split(": ")[0].rsplit(":")[-1] for note in notes] == ["1", "3"]
    assert "repeats the mitosis" in notes[1]


def test_a_frame_is_recognised_by_its_parent_folder(write2012: Write, pixels: np.ndarray) -> None:
    root = write2012("A03_01")
    write_rgb(root / "A03" / "frames" / "x10" / "A03_00.tiff", pixels)
    write_rgb(root / "training_aperio" / "A03_v2" / "A04_00.bmp", pixels)
    assert list(load("mitos2012", root).items) == ["A03_01"]


def test_two_frames_with_the_same_name_are_refused_with_both_paths(write2012: Write, pixels: np.ndarray) -> None:
    root = write2012("A00_01")
    write_rgb(root / "copy" / "A00_v2" / "A00_01.png", pixels)
    with pytest.raises(DataError, match=r"A00_01.*(copy.*training_aperio|training_aperio.*copy)"):
        load("mitos2012", root)


def test_a_grey_frame_is_read_and_noted(write2012: Write, pixels: np.ndarray) -> None:
    from PIL import Image

    root = write2012("A00_01")
    Image.fromarray(pixels[..., 0]).save(root / "training_aperio" / "A00_v2" / "A00_01.bmp")
    dataset = load("mitos2012", root)
    assert dataset.items["A00_01"].frame.read().shape == (40, 40, 3)
    assert len(dataset.notes) == 1
    assert "A00_01.bmp: image is grey" in dataset.notes[0]


def test_a_folder_without_the_data_set_is_an_error_that_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no frames of data set 'mitos2012' found.*A00_v2/A00_01\.bmp"):
        load("mitos2012", tmp_path)
    with pytest.raises(DataError, match="is not a directory"):
        load("mitos2012", tmp_path / "absent")


def test_synthetic_frames_never_pass_for_real_ones(write2012: Write) -> None:
    made = write2012("A00_01")
    (made / "synthetic.json").write_text("{}")
    reader = Mitos2012()
    assert reader.find(made) == []
    assert reader.find(made.parent) == []
    with pytest.raises(DataError, match="no frames of data set 'mitos2012' found"):
        reader.read(made)
    assert reader.find(made / "training_aperio") == []
    assert list(read_layout(made, reader.card()).items) == ["A00_01"]


def test_centroids_without_masks_cannot_be_written(tmp_path: Path, pixels: np.ndarray) -> None:
    with pytest.raises(DataError, match="A00_01: has no masks"):
        write(tmp_path, [("A00_01", pixels, Mitoses(np.array([[1.0, 2.0]])), "train")])
    assert list(tmp_path.iterdir()) == []


def test_the_folders_name_is_used_when_the_root_is_relative(write2012: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write2012("A01_00")
    monkeypatch.chdir(write2012("A00_00", part="test") / "evaluation_aperio")
    assert load("mitos2012", Path()).items["A00_00"].part == "test"
