"""Finding images, naming their outputs, and reading them as frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mitobench.errors import DataError, MitobenchError
from mitobench.model import inputs
from mitobench.model.batch import predict_files
from mitobench.model.image_run import ENDINGS
from mitobench.slides.reader import open_image
from model.toy_models import dots


def save(path: Path, mode: str = "RGB", size: tuple[int, int] = (8, 6)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new(mode, size)
    if mode == "P":
        image.putpalette(
            [value for value in range(256) for _ in "RGB"]
        )  # Pillow 10.1 writes a broken file for an empty one
    image.save(path)
    return path


def test_a_folder_means_its_images_sorted_and_each_once(tmp_path: Path) -> None:
    second, first, hidden = (save(tmp_path / name) for name in ("b.TIF", "a.png", ".c.png"))
    (tmp_path / "notes.txt").write_text("no image")
    save(tmp_path / "deeper" / "d.png")
    assert inputs.images_of([second, tmp_path]) == [second, first]
    assert inputs.images_of([tmp_path, hidden]) == [first, second, hidden]


@pytest.mark.parametrize("out", ["found", "."])
def test_what_predict_wrote_is_not_an_image(tmp_path: Path, out: str) -> None:
    """So a folder can be searched again with its results in it."""
    image, other = (save(tmp_path / "deeper" / name, size=(30, 20)) for name in ("a.png", "b.png"))
    for _ in range(2):
        paths = inputs.images_of([tmp_path], recursive=True)
        assert paths == [image, other]
        list(predict_files(dots(), paths, tmp_path / out, 0.5))
        assert inputs.left_out([tmp_path], recursive=True) == []
    assert (tmp_path / out / "a.html").is_file()
    own = save(tmp_path / out / "mine.png")
    assert own in inputs.images_of([tmp_path], recursive=True)


@pytest.mark.parametrize(
    ("dpi", "reason"), [(2_000_000, "has no um/px"), (25_400 / 1.5, "too coarse to find mitoses, which takes 0.1 to 1")]
)
def test_an_image_that_is_refused_keeps_the_notes_of_reading_it(tmp_path: Path, dpi: float, reason: str) -> None:
    Image.new("L", (30, 20), 90).save(tmp_path / "a.tif", dpi=(dpi, dpi))
    (row,) = predict_files(dots(), [tmp_path / "a.tif"], tmp_path / "out")
    assert reason in row.note
    assert "Noted when it was read: image is grey" in row.note
    assert ("in the file (0.0127, 0.0127) is outside" in row.note) == (dpi > 100_000)


@pytest.mark.parametrize("target", ["share/a.svs", "in/a.svs"])
def test_a_broken_link_in_a_folder_is_reported_and_the_others_are_searched(tmp_path: Path, target: str) -> None:
    """Folders of slides often hold links to a share, which may be missing."""
    save(tmp_path / "in" / "b.png")
    (tmp_path / "in" / "a.svs").symlink_to(tmp_path / target)
    paths = inputs.images_of([tmp_path / "in"])
    broken, read = predict_files(dots(), paths, tmp_path / "out", mpp=1.0)
    assert "a.svs: does not exist" in broken.note
    assert read.image.endswith("b.png")


def test_missing_files_and_empty_folders_are_kept_and_reported_later(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    paths = [tmp_path / "empty", tmp_path / "no.png"]
    assert inputs.images_of(paths) == paths
    with pytest.raises(DataError, match="empty: contains no images"):
        inputs.frame(paths[0], 0.25)
    with pytest.raises(DataError, match=r"no\.png: does not exist"):
        inputs.frame(paths[1], 0.25)


def test_a_folder_of_other_formats_only_is_refused_by_their_names(tmp_path: Path) -> None:
    for name in ("a.czi", "b.lif", "notes.txt"):
        (tmp_path / name).write_bytes(b"1")
    with pytest.raises(DataError, match=r"It has a\.czi, b\.lif, which cannot be read: convert such files to TIFF\."):
        inputs.check_there([tmp_path])


def test_images_with_the_same_stem_are_numbered() -> None:
    paths = [Path(name) for name in ("x/a.png", "y/a.png", "a.tif", "A-2.bmp", "b.png", "summary.png")]
    assert inputs.names(paths) == ["a", "a-3", "a-4", "A-2", "b", "summary-2"]


@pytest.mark.parametrize("letter", ["l", "病"])
def test_images_with_the_longest_names_that_a_file_system_takes_have_outputs(tmp_path: Path, letter: str) -> None:
    stem = letter * (250 // len(letter.encode()))
    names = inputs.names([Path(f"{stem}.png"), Path(f"{stem}.tif"), Path("a.png")])
    assert names[0] == stem[: len(names[0])]
    assert names[1:] == [f"{names[0]}-2", "a"]
    for ending in ENDINGS:
        (tmp_path / f"{names[1]}{ending}").touch()


@given(st.lists(st.sampled_from(["a", "A", "a-2", "a-3", "a-2-2", "summary"])))
def test_no_two_images_share_a_name(stems: list[str]) -> None:
    names = inputs.names([Path(f"{number}/{stem}.png") for number, stem in enumerate(stems)])
    assert len({name.lower() for name in names} | {"summary"}) == len(stems) + 1


def test_an_image_in_the_output_folder_is_never_overwritten(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png")
    with pytest.raises(MitobenchError, match=r"contains the image a\.png"):
        inputs.check_out(tmp_path / "deeper" / "..", [path])
    inputs.check_out(tmp_path / "out", [path])


@pytest.mark.parametrize(
    ("name", "mode"),
    [("a.tif", "RGB"), ("a.png", "L"), ("a.png", "RGBA"), ("a.bmp", "P"), ("a.jpg", "RGB"), ("a.png", "I;16")],
)
def test_any_format_becomes_rgb(tmp_path: Path, name: str, mode: str) -> None:
    frame = inputs.frame(save(tmp_path / name, mode), 0.25)
    assert (frame.size, frame.mpp) == ((8, 6), (0.25, 0.25))
    assert (frame.read().shape, frame.read().dtype) == ((6, 8, 3), np.uint8)


def test_an_image_above_pillows_size_limit_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "a.png", size=(50, 50))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert inputs.frame(path, 0.25).size == (50, 50)
    assert Image.MAX_IMAGE_PIXELS == 100, "for others it stays as it is"


def test_files_of_a_folder_that_are_not_read_are_listed_but_not_tables_and_texts(tmp_path: Path) -> None:
    for name in ("a.png", "b.svs", "c.czi", "d.tif.part", "e.csv", "README", ".f.xyz", "g.GEOJSON"):
        (tmp_path / name).write_bytes(b"x")
    assert [path.name for path in inputs.left_out([tmp_path])] == ["c.czi", "d.tif.part"]
    assert inputs.left_out([tmp_path / "c.czi"]) == []  # a file that was named is tried


def test_what_is_odd_about_an_image_is_noted(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    pixels = np.full((30, 40, 3), (60, 200, 90), np.uint8)
    pixels[5:9] = 20
    Image.fromarray(pixels).save(path, dpi=(50_800, 50_800))
    _, notes = inputs.read(path, 0.25)
    assert notes == [
        "the image is green where it is coloured: its colours may be inverted, as H&E is pink and purple",
        "the file says 0.5 um/px, and 0.25 is used",
    ]
    assert inputs.read(path, 0.49)[1] == notes[:1]


def test_a_folder_within_a_folder_is_used_if_asked_for(tmp_path: Path) -> None:
    top, deep = save(tmp_path / "a.png"), save(tmp_path / "b" / "c" / "d.png")
    save(tmp_path / ".hidden" / "e.png")
    (tmp_path / "b" / "f.czi").write_bytes(b"x")
    assert inputs.images_of([tmp_path]) == [top]
    assert inputs.images_of([tmp_path], recursive=True) == [top, deep]
    assert [path.name for path in inputs.left_out([tmp_path], recursive=True)] == ["f.czi"]
    assert inputs.left_out([tmp_path]) == []


def test_the_parts_of_a_mirax_slide_are_not_images_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "a.mrxs").write_bytes(b"x")
    save(tmp_path / "a" / "part.jpg")
    assert inputs.images_of([tmp_path], recursive=True) == [tmp_path / "a.mrxs"]


def test_no_image_is_named_like_the_heat_map_of_another() -> None:
    assert inputs.names([Path("a.png"), Path("a.heat.png")]) == ["a", "a.heat-2"]


def with_mpp(path: Path, mpp: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    tags = {282: 10_000 / mpp, 283: 10_000 / mpp, 296: 3}
    Image.new("RGB", (80, 60), (200, 90, 160)).save(path, tiffinfo=tags)
    return path


@pytest.mark.parametrize(
    ("stored", "given", "used", "note"),
    [
        (0.25, None, 0.25, False),
        (0.25, 0.26, 0.26, False),
        (0.25, 0.27, 0.27, True),
        (0.5, 0.25, 0.25, True),
        (5.0, 0.25, 0.25, True),
        (50.0, 0.25, 0.25, False),
    ],
)
def test_um_px_are_those_of_the_file_unless_others_are_given(
    tmp_path: Path, stored: float, given: float | None, used: float, note: bool
) -> None:
    with open_image(with_mpp(tmp_path / "a.tif", stored)) as image:
        mpp, notes = inputs.resolution(image, given)
    assert mpp == pytest.approx((used, used))
    assert bool(notes) == note


@pytest.mark.parametrize("stored", [0.05, 50.0, 300.0])
def test_without_um_px_the_error_says_what_to_pass(tmp_path: Path, stored: float) -> None:
    with (
        open_image(with_mpp(tmp_path / "a.tif", stored)) as image,
        pytest.raises(inputs.NoResolution, match=r"no um/px.*--mpp 0\.25"),
    ):
        inputs.resolution(image, None)


@pytest.mark.parametrize("stored", [1.5, 4.6])
def test_a_reduced_copy_is_an_error_that_advises_the_full_resolution(tmp_path: Path, stored: float) -> None:
    with (
        open_image(with_mpp(tmp_path / "a.tif", stored)) as image,
        pytest.raises(DataError, match=rf"says {stored} um/px.*too coarse.*file of full resolution.*20x") as error,
    ):
        inputs.resolution(image, None)
    assert not isinstance(error.value, inputs.NoResolution)
    assert "--mpp 0.25" not in str(error.value)


def test_named_images_need_um_px_and_those_of_folders_are_counted(tmp_path: Path) -> None:
    some, none = with_mpp(tmp_path / "a.tif", 0.25), save(tmp_path / "b.png")
    (tmp_path / "c.png").write_text("no image")
    paths = [some, none, tmp_path / "c.png"]
    without, note = inputs.without_resolution(paths)
    assert without == [none]
    assert note.startswith(f"1 of 3 images has no um/px and will be skipped: {none}. Give them with --mpp")
    assert inputs.without_resolution([some, paths[2]]) == ([], "")
    with pytest.raises(inputs.NoResolution, match=r"b\.png: the file has no um/px"):
        inputs.without_resolution(paths, named=[none])
    with pytest.raises(inputs.NoResolution, match="no um/px"):
        inputs.without_resolution(paths[1:])


def test_an_image_smaller_than_a_mitosis_is_skipped(tmp_path: Path) -> None:
    paths = [with_mpp(tmp_path / f"{number}.tif", mpp) for number, mpp in enumerate((0.1, 0.16, 0.2))]  # 80 x 60 px
    rows = list(predict_files(dots(), paths, tmp_path / "out"))
    assert [row.searched for row in rows] == [False, False, True]
    assert rows[0].note.startswith(f"{paths[0]}: too small: 8 x 6 um")


def test_an_empty_file_is_called_empty(tmp_path: Path) -> None:
    for name in ("a.png", "b.svs"):
        (tmp_path / name).touch()
    rows = list(predict_files(dots(), [tmp_path / "a.png", tmp_path / "b.svs"], tmp_path / "out", 0.5))
    assert all(row.note == f"{row.image}: is empty (0 bytes). Copy the file again." for row in rows)
