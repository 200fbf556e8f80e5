"""The MITOS-ATYPIA 2014 layout, with the variations found in copies of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mitobench.api import DataError, Detections
from mitobench.datasets import load
from mitobench.datasets.images import write_rgb
from mitobench.datasets.mitos2014 import Mitos2014, read_points, write_points, write_submission

Write = Callable[..., Path]
POINTS = hnp.arrays(np.float64, st.tuples(st.integers(0, 9), st.just(2)), elements=st.floats(0, 99))


def annotation(root: Path, name: str) -> Path:
    return root / name[:3] / "mitosis" / f"{name}.csv"


def test_what_was_written_is_read_back(write2014: Write, pixels: np.ndarray) -> None:
    dataset = load("mitos2014", write2014("H03_00Aa", "A03_00Aa"))
    assert list(dataset.items) == ["A03_00Aa", "H03_00Aa"]
    item = dataset.items["H03_00Aa"]
    assert (item.frame.group, item.frame.scanner, item.frame.mpp, item.part) == ("03", "H", (0.2274, 0.2274), "train")
    np.testing.assert_array_equal(item.frame.read(), pixels)
    np.testing.assert_array_equal(item.mitoses.xy, [[7, 9]])
    np.testing.assert_array_equal(item.mitoses.imposters, [[1, 2], [3.5, 4.25]])
    assert item.mitoses.masks is None
    assert [path.name for path in item.files] == ["H03_00Aa.tiff", "H03_00Aa_mitosis.csv", "H03_00Aa_not_mitosis.csv"]
    assert item.field == dataset.items["A03_00Aa"].field == "03_00Aa"


def test_files_are_placed_as_in_the_contest(write2014: Write) -> None:
    root = write2014("A03_00Aa")
    assert sorted(path.relative_to(root).as_posix() for path in root.rglob("*.*")) == [
        "A03/frames/x40/A03_00Aa.tiff",
        "A03/mitosis/A03_00Aa_mitosis.csv",
        "A03/mitosis/A03_00Aa_not_mitosis.csv",
    ]


@settings(deadline=None)
@given(xy=POINTS)
def test_any_points_survive_a_round_trip(tmp_path_factory: pytest.TempPathFactory, xy: np.ndarray) -> None:
    path = tmp_path_factory.getbasetemp() / "points.csv"
    write_points(path, xy, 0.65)
    np.testing.assert_array_equal(read_points(path, (100, 100))[0], xy)


def test_spaces_floats_two_columns_and_crlf(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b" 1 , 2 , 0.65\r\n3.5,4.25\r\n\r\n5, 6,1.0,\r\n")
    xy, notes = read_points(path, (40, 40))
    assert xy.tolist() == [[1, 2], [3.5, 4.25], [5, 6]]
    assert [note.split(" (the first")[0] for note in notes] == [f"{path}: 1 of 3 figures have no confidence"]


def test_an_empty_file_means_no_mitosis_and_a_missing_file_an_unlabelled_frame(write2014: Write) -> None:
    root = write2014("A03_00Aa", "A03_00Ab")
    annotation(root, "A03_00Aa_mitosis").write_text("")
    for kind in ("mitosis", "not_mitosis"):
        annotation(root, f"A03_00Ab_{kind}").unlink()
    items = load("mitos2014", root).items
    assert [(len(item.mitoses), item.mitoses.labelled) for item in items.values()] == [(0, True), (0, False)]


def test_unlabelled_frames_are_written_without_annotation(write2014: Write) -> None:
    dataset = load("mitos2014", write2014("A06_00Aa", labelled=False))
    assert (dataset.items["A06_00Aa"].part, dataset.items["A06_00Aa"].mitoses.labelled) == ("test", False)
    assert len(dataset.items["A06_00Aa"].files) == 1


def test_imposters_alone_leave_a_frame_unlabelled_with_a_note(write2014: Write) -> None:
    root = write2014("A03_00Aa")
    annotation(root, "A03_00Aa_mitosis").unlink()
    dataset = load("mitos2014", root)
    assert not dataset.items["A03_00Aa"].mitoses.labelled
    assert "A03_00Aa_mitosis.csv is missing" in dataset.notes[0]


@pytest.mark.parametrize("folder", ["Training Aperio/03/03/frames/x40", "flat", "."])
def test_frames_are_found_by_stem_however_they_were_unpacked(write2014: Write, folder: str) -> None:
    root = write2014("A03_00Aa")
    there = root / folder / "A03_00Aa.TIFF"
    there.parent.mkdir(parents=True, exist_ok=True)
    (root / "A03" / "frames" / "x40" / "A03_00Aa.tiff").rename(there)
    dataset = load("mitos2014", root)
    assert dataset.items["A03_00Aa"].files[0] == there
    assert len(dataset.items["A03_00Aa"].mitoses) == 1


def test_only_x40_frames_count(write2014: Write, pixels: np.ndarray) -> None:
    root = write2014("A03_00Aa")
    write_rgb(root / "A03" / "frames" / "x10" / "A03_00.tiff", pixels)
    write_rgb(root / "A03" / "frames" / "x20" / "A03_00A.tiff", pixels)
    assert list(load("mitos2014", root).items) == ["A03_00Aa"]


@pytest.mark.parametrize("twin", ["more/A03_00Aa.png", "more/A03_00Aa_mitosis.csv"])
def test_two_files_with_the_same_name_are_refused_with_both_paths(
    write2014: Write, pixels: np.ndarray, twin: str
) -> None:
    root = write2014("A03_00Aa")
    if twin.endswith(".png"):
        write_rgb(root / twin, pixels)
    else:
        write_points(root / twin, [[1, 1]], 1.0)
    with pytest.raises(DataError, match=rf"Two files are .* and .*{twin}"):
        load("mitos2014", root)


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("7", "1 columns"),
        ("1,2,3,4", "4 columns"),
        ("x,2", "not a number"),
        ("1,inf", "not a number"),
        ("5,41", "px outside"),
    ],
)
@pytest.mark.parametrize("kind", ["mitosis", "not_mitosis"])
def test_a_bad_row_is_an_error_with_file_and_line(write2014: Write, row: str, complaint: str, kind: str) -> None:
    root = write2014("A03_00Aa")
    annotation(root, f"A03_00Aa_{kind}").write_text(f"5,5,1.0\n{row}\n")
    with pytest.raises(DataError, match=rf"A03_00Aa_{kind}\.csv:2: .*{complaint}"):
        load("mitos2014", root)


def test_clipped_and_repeated_points_are_noted(write2014: Write) -> None:
    root = write2014("A03_00Aa")
    annotation(root, "A03_00Aa_mitosis").write_text("5,40,1.0\n8,8,1.0\n8,8,0.65\n")
    dataset = load("mitos2014", root)
    assert dataset.items["A03_00Aa"].mitoses.xy.tolist() == [[5, 39], [8, 8]]
    clipped, repeated, once = dataset.notes
    assert "mitosis.csv:1: (5, 40) is outside the frame, clipped to (5, 39)" in clipped
    assert "mitosis.csv:3: repeats the point of" in repeated
    assert "1 figures are listed again, and count once" in once


def test_confidences_are_kept(write2014: Write) -> None:
    root = write2014("A03_00Aa")
    annotation(root, "A03_00Aa_mitosis").write_text("5,6,.65\n8,30,1.0\n8,31,.7\n")
    annotation(root, "A03_00Aa_not_mitosis").write_text("20,6,0\n30,8,.2\n")
    mitoses = load("mitos2014", root).items["A03_00Aa"].mitoses
    assert mitoses.confidence is not None
    assert mitoses.confidence.tolist() == [0.65, 1.0]
    assert mitoses.imposter_confidence is not None
    assert mitoses.imposter_confidence.tolist() == [0, 0.2]


def test_without_a_confidence_in_every_row_there_is_none(write2014: Write) -> None:
    root = write2014("A03_00Aa")
    annotation(root, "A03_00Aa_mitosis").write_text("5,6\n8,30,1.0\n")
    dataset = load("mitos2014", root)
    assert dataset.items["A03_00Aa"].mitoses.confidence is None
    assert any("1 of 2 figures have no confidence (the first: " in note for note in dataset.notes)
    assert any("a figure has no confidence" in remark for remark in dataset.remarks)


def test_letter_case_of_names_does_not_matter(write2014: Write) -> None:
    root = write2014("A03_00Aa")
    before = load("mitos2014", root).digest()
    for path in [*root.rglob("*.csv"), *root.rglob("*.tiff")]:
        path.rename(path.with_name(path.name.upper().replace("_A03", "_a03")))
    after = load("mitos2014", root)
    assert list(after.items) == ["A03_00Aa"]
    assert (len(after.items["A03_00Aa"].mitoses), after.digest()) == (1, before)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"10;20;1\n", "is not a number.*decimal point"),
        (b"1_0,20,1\n", "'1_0' is not a number"),
        ("\u0661\u0660,20,1\n".encode(), "is not a number"),
        (b"10,5,20,5\n", "4 columns"),  # decimal commas
        (b"1,10,20\n", "the confidence 20 is outside 0-1.*row numbers"),
        (b"x,y,confidence\n10,20,1\n", "'x' is not a number"),
        (b"10,20,1\x0c30,20,1\n", "4 columns|5 columns|not a number"),
        (b"10,20,1\n\x1a", "not a number"),
        ("10,20,1\n".encode("utf-16"), "is not UTF-8"),
        (b"10,20,nan\n", "not a number"),
    ],
)
def test_what_cannot_be_read_for_certain_is_refused_with_file_and_line(
    write2014: Write, content: bytes, complaint: str
) -> None:
    root = write2014("A03_00Aa")
    annotation(root, "A03_00Aa_mitosis").write_bytes(content)
    with pytest.raises(DataError, match=rf"A03_00Aa_mitosis\.csv:\d: .*({complaint})"):
        load("mitos2014", root)


@pytest.mark.parametrize(
    "content", [b"10,20,1\r30,30,.8\r", b"10,20,1\r\n30,30,.8", b"\xef\xbb\xbf 10 , 20 , 1 \n3e1,3.0E1,.8\n"]
)
def test_line_ends_spaces_and_exponents_are_read(write2014: Write, content: bytes) -> None:
    root = write2014("A03_00Aa")
    annotation(root, "A03_00Aa_mitosis").write_bytes(content)
    mitoses = load("mitos2014", root).items["A03_00Aa"].mitoses
    assert mitoses.xy.tolist() == [[10, 20], [30, 30]]
    assert mitoses.confidence is not None
    assert mitoses.confidence.tolist() == [1, 0.8]


def test_mitoses_of_no_confidence_are_noted(write2014: Write) -> None:
    root = write2014("A03_00Aa")
    annotation(root, "A03_00Aa_mitosis").write_text("5,6,0\n9,30,1\n")
    assert any("1 mitoses have confidence 0" in note for note in load("mitos2014", root).notes)


def test_a_folder_without_the_data_set_is_an_error_that_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no frames of data set 'mitos2014' found.*A03_00Aa\.tiff"):
        load("mitos2014", tmp_path)


def test_synthetic_frames_never_pass_for_real_ones(write2014: Write) -> None:
    made = write2014("A03_00Aa")
    (made / "synthetic.json").write_text("{}")
    assert Mitos2014().find(made) == Mitos2014().find(made.parent) == Mitos2014().find(made / "A03") == []


def test_a_submission_has_one_file_per_frame_empty_if_nothing_is_found(tmp_path: Path) -> None:
    found = Detections.from_points([[10.5, 20.0], [3.0, 4.0]], [0.75, 1.0])
    write_submission(tmp_path, {"A06_00Aa": found, "A06_00Ab": Detections.none()})
    assert (tmp_path / "A06_00Aa.csv").read_text() == "10.5,20,0.75\n3,4,1\n"
    assert (tmp_path / "A06_00Ab.csv").read_text() == ""
