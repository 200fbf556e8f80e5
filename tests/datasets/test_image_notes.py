"""What is odd about images of a data set is reported: size or um/px other than the card's, conversions, digests."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import tifffile

from mitobench import file_cache
from mitobench.api import DataError, Frame, Mitoses
from mitobench.datasets import Dataset, check, mitos2012, mitos2014
from mitobench.datasets.dataset import Item
from mitobench.datasets.images import frame_image, write_rgb
from mitobench.mpp import differ
from mitobench.results import notes

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MITOBENCH_CACHE", str(tmp_path / "own-cache"))
    monkeypatch.setattr(file_cache, "SETTLED_NS", 0)


def tiff(path: Path, width: int = 1663, height: int = 1485, um_px: float | None = None, deep: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((height, width, 3), 200, np.uint8)
    pixels[::7, ::5] = 120, 60, 160
    data = pixels.astype(np.uint16) * 257 if deep else pixels
    resolution = {"resolution": (1e4 / um_px,) * 2, "resolutionunit": "centimeter"} if um_px else {}
    tifffile.imwrite(path, data, photometric="rgb", metadata=None, compression="deflate", **resolution)


def read(root: Path) -> Dataset:
    return mitos2014.read_layout(root, mitos2014.Mitos2014.card())


def test_a_copy_as_on_the_card_has_no_remark(tmp_path: Path) -> None:
    tiff(tmp_path / "H03_00Aa.tiff", um_px=0.2274)
    tiff(tmp_path / "H03_00Ab.tiff", width=1662)  # a few pixels short, as some of the contest's
    dataset = read(tmp_path)
    assert dataset.remarks == ()
    assert dataset.notes == ()


def test_frames_of_another_size_than_on_the_card_are_remarked(tmp_path: Path) -> None:
    tiff(tmp_path / "H03_00Aa.tiff", width=831, height=742)
    tiff(tmp_path / "H03_00Ab.tiff")
    (remark,) = read(tmp_path).remarks
    assert remark.startswith("1 of 2 H frames have another size than on the card: 831 x 742 px, not 1663 x 1485")


def test_um_px_other_than_on_the_card_are_remarked_and_noted_by_file(tmp_path: Path) -> None:
    tiff(tmp_path / "H03_00Aa.tiff", um_px=0.4548)
    tiff(tmp_path / "H03_00Ab.tiff", um_px=0.2280)
    dataset = read(tmp_path)
    text = "0.4548 um/px, not 0.2274; 0.2274 is used"
    assert dataset.remarks == (f"1 of 2 H frames say another um/px than the card, by more than 5 %: {text}",)
    anomalies = check.check("mitos2014", tmp_path).anomalies
    assert f"{tmp_path / 'H03_00Aa.tiff'}: says {text}" in anomalies


@pytest.mark.parametrize(("found", "differs"), [(0.2, False), (0.209, False), (0.2101, True), (0.1899, True)])
def test_um_px_differ_by_more_than_5_percent(tmp_path: Path, found: float, differs: bool) -> None:
    tiff(tmp_path / "a.tif", 20, 30, um_px=found)
    assert differ(frame_image(tmp_path / "a.tif").file_mpp, (0.2, 0.2)) == differs


def test_conversions_are_counted_without_names_of_files(tmp_path: Path) -> None:
    for quadrant in "abc":
        tiff(tmp_path / f"H03_00A{quadrant}.tiff", deep=quadrant != "c")
    dataset = read(tmp_path)
    assert dataset.remarks == ("2 of 3 frames: image is 16-bit RGB, the high byte kept",)
    assert dataset.select(["H"]).remarks == dataset.remarks
    assert notes.of_images("mitos2014", dataset.remarks) == [
        "mitos2014: 2 of 3 frames: image is 16-bit RGB, the high byte kept"
    ]


def test_a_library_that_decodes_few_frames_is_part_of_their_key_alone(tmp_path: Path) -> None:
    tiff(tmp_path / "H03_00Aa.tiff")
    tiff(tmp_path / "H03_00Ab.tiff", deep=True)
    decoders = [getattr(item.frame.reader, "decoder", None) for item in read(tmp_path).items.values()]
    assert decoders[0] == ""
    assert str(decoders[1]).startswith("tifffile ")


def test_data_check_lists_odd_pixels_and_files_that_are_not_read(tmp_path: Path) -> None:
    root = tmp_path / "training_aperio" / "A00_v2"
    frame = np.full((64, 64, 3), (232, 178, 214), np.uint8)
    frame[20:30, 20:30] = 96, 60, 148
    for number, pixels in enumerate((frame, 255 - frame)):
        write_rgb(root / f"A00_0{number}.bmp", pixels)
        (root / f"A00_0{number}.csv").write_text("25,25,26,25\n")
    for name in ("A00_02.jp2", "A00_03.czi", "notes.txt", "readme"):
        (root / name).write_text("x")
    report = check.check("mitos2012", tmp_path)
    odd = [line for line in report.anomalies if "inverted" in line]
    assert [line.partition(":")[0] for line in odd] == [str(root / "A00_01.bmp")]
    (unread,) = [line for line in report.anomalies if "are not read" in line]
    assert unread == f"{root}: 2 files are not read (.czi .jp2): A00_02.jp2, A00_03.czi"


def test_the_digest_of_a_frame_is_over_kinds_lengths_and_bytes(tmp_path: Path) -> None:
    write_rgb(tmp_path / "A00_v2" / "A00_00.png", np.full((20, 20, 3), 9, np.uint8))
    (tmp_path / "A00_v2" / "A00_00.csv").write_text("3,3\n")
    dataset = mitos2012.read_layout(tmp_path, mitos2012.Mitos2012.card())
    image = (tmp_path / "A00_v2" / "A00_00.png").read_bytes()
    expected = hashlib.sha256(f"image {len(image)}\n".encode() + image + b".csv 4\n3,3\n").hexdigest()
    assert dataset.frame_digest("A00_00") == expected
    again = mitos2012.read_layout(tmp_path, mitos2012.Mitos2012.card())
    assert again.frame_digest("A00_00") == expected  # remembered


def test_the_digest_notices_an_annotation_that_changed(tmp_path: Path) -> None:
    write_rgb(tmp_path / "A00_v2" / "A00_00.png", np.full((20, 20, 3), 9, np.uint8))
    digests = []
    for text in ("3,3\n", "4,4\n"):
        (tmp_path / "A00_v2" / "A00_00.csv").write_text(text)
        digests.append(mitos2012.read_layout(tmp_path, mitos2012.Mitos2012.card()).frame_digest("A00_00"))
    assert digests[0] != digests[1]


# ---------------------------------------------------------------------------------------------- frames


def toy(pixels: np.ndarray, size: tuple[int, int] = (7, 5)) -> Frame:
    return Frame("f", "toy", "f", "A", (0.25, 0.25), size, lambda: pixels)


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((7, 5, 3), np.uint8),
        np.zeros((5, 7), np.uint8),
        np.zeros((5, 7, 4), np.uint8),
        np.zeros((5, 7, 3), np.uint16),
    ],
)
def test_a_frame_refuses_pixels_of_another_form_than_it_says(pixels: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"toy/f: its pixels are .*, not uint8 \[5, 7, 3\]"):
        toy(pixels).read()


def test_a_region_of_a_frame_is_white_outside() -> None:
    pixels = np.arange(105, dtype=np.uint8).reshape(5, 7, 3)
    region = toy(pixels).region(-2, 3, 4, 5)
    assert region.shape == (5, 4, 3)
    np.testing.assert_array_equal(region[:2, 2:], pixels[3:, :2])
    assert (region[2:] == 255).all()
    assert (region[:, :2] == 255).all()
    assert (toy(pixels).region(50, 50, 2, 2) == 255).all()


def test_a_region_of_a_file_is_that_of_its_pixels(tmp_path: Path) -> None:
    tiff(tmp_path / "a.tif", 40, 30)
    image = frame_image(tmp_path / "a.tif")
    frame = Frame("a", "toy", "a", "A", (0.25, 0.25), image.size, image.reader)
    np.testing.assert_array_equal(frame.region(3, 4, 20, 10), frame.read()[4:14, 3:23])


def test_items_without_notes_have_none() -> None:
    item = Item(toy(np.zeros((5, 7, 3), np.uint8)), Mitoses(np.zeros((0, 2))), ())
    assert item.image_notes == ()
