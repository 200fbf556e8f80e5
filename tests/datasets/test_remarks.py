"""What is odd in any data set is remarked without names of files, so that `run`, records and rows say it, too."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from mitobench.api import DataError, Mitoses
from mitobench.datasets import available, check, load, midog, mitos2012, mitos2014
from mitobench.datasets.mask_checks import distinct

PIXELS = np.random.default_rng(2).integers(0, 255, (80, 120, 3), dtype=np.uint8)
ONE = Mitoses(np.array([[30.0, 40.0]]))


def tiff(path: Path, um_px: float | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    resolution = {"resolution": (1e4 / um_px,) * 2, "resolutionunit": "centimeter"} if um_px else {}
    tifffile.imwrite(path, PIXELS, photometric="rgb", metadata=None, **resolution)


def put_mitos2012(root: Path, um_px: float) -> None:
    tiff(root / "training_aperio" / "A00_v2" / "A00_01.tif", um_px)
    (root / "training_aperio" / "A00_v2" / "A00_01.csv").write_text("30,40,31,40\n")


def put_mitos2014(root: Path, um_px: float) -> None:
    tiff(root / "A03" / "frames" / "x40" / "A03_00Aa.tiff", um_px)
    mitos2014.write_points(root / "A03" / "mitosis" / "A03_00Aa_mitosis.csv", ONE.xy, 1.0)


def put_midog(root: Path, um_px: float) -> None:
    domains = {"001": {"scanner": "Hamamatsu XR", "tumour": "human breast cancer", "lab": "a", "species": "human"}}
    midog.write(root, [("001", PIXELS, ONE, "train")], {"001": um_px}, domains)
    (root / "MIDOG.json").rename(root / "MIDOG++.json")


def put_tupac16(root: Path, um_px: float) -> None:
    tiff(root / "01" / "01.tif", um_px)
    (root / "01" / "01.csv").write_text("40,30\n")


def put_ccmct(root: Path, um_px: float) -> None:
    tiff(root / "slide.tif", um_px)
    with sqlite3.connect(root / "MITOS_WSI_CCMCT_ODAEL.sqlite") as database:
        database.executescript(
            """CREATE TABLE Slides (uid, filename); CREATE TABLE Annotations (uid, slide, agreedClass, deleted);
            CREATE TABLE Annotations_coordinates (coordinateX, coordinateY, annoId);
            CREATE TABLE Classes (uid, name); INSERT INTO Classes VALUES (2, 'Mitosis');
            INSERT INTO Slides VALUES (1, 'slide.svs'); INSERT INTO Annotations VALUES (1, 1, 2, 0);
            INSERT INTO Annotations_coordinates VALUES (30, 40, 1);"""
        )


def put_midog25(root: Path, um_px: float) -> None:
    tiff(root / "007.tiff", um_px)
    case = {"annotations": [[0.01, 0.01, 0]], "tumor domain": 0, "roi type": "hotspot"}
    (root / "ground_truth.json").write_text(json.dumps({"007.tiff": case}))


def put_folder(root: Path, um_px: float) -> None:
    tiff(root / "a.tif", um_px)
    (root / "labels.csv").write_text("image,x,y\na.tif,30,40\n")
    (root / "dataset.toml").write_text("mpp = 0.25\n")


WRITERS = [put_mitos2012, put_mitos2014, put_midog, put_tupac16, put_ccmct, put_midog25, put_folder]


@pytest.mark.parametrize("put", WRITERS)
def test_um_px_of_the_file_are_compared_with_the_card_in_every_data_set(
    tmp_path: Path, put: Callable[[Path, float], None]
) -> None:
    name = put.__name__.removeprefix("put_").replace("midog", "midogpp").replace("midogpp25", "midog25")
    put(tmp_path, 0.5)
    (found,) = [remark for remark in load(name, tmp_path).remarks if "another um/px" in remark]
    assert ": 0.5 um/px, not 0.2" in found
    (line,) = [line for line in check.check(name, tmp_path).anomalies if "0.5 um/px, not" in line]
    assert str(tmp_path) in line


@pytest.mark.parametrize("put", WRITERS)
def test_um_px_near_those_of_the_card_are_not_remarked(tmp_path: Path, put: Callable[[Path, float], None]) -> None:
    name = put.__name__.removeprefix("put_").replace("midog", "midogpp").replace("midogpp25", "midog25")
    put(tmp_path, 0.24)
    assert not any("um/px" in remark for remark in load(name, tmp_path).remarks if "another size" not in remark)


def test_um_px_that_are_taken_from_elsewhere_are_remarked(tmp_path: Path) -> None:
    put_midog25(tmp_path, 0.25)
    tiff(tmp_path / "008.tiff", None)
    assert any("1 of 2 frames: the file says no um/px" in remark for remark in load("midog25", tmp_path).remarks)


def test_figures_that_are_annotated_twice_or_moved_are_remarked(tmp_path: Path) -> None:
    put_tupac16(tmp_path, 0.25)
    (tmp_path / "01" / "01.csv").write_text("40,30\n41,30\n82,20\n")
    remarks = load("tupac16", tmp_path).remarks
    assert "1 of 1 frames: a figure is annotated more than once, and counts once" in remarks
    assert "1 of 1 frames: an annotated point is outside the frame, and was moved to its edge" in remarks


@pytest.mark.parametrize("rows", ["30,40,1\n30,41,1\n120,20,1\n", "30,40,1\n120,20,1\n30,40,1\n"])
def test_so_are_those_of_the_contests_of_2012_and_2014(tmp_path: Path, rows: str) -> None:
    put_mitos2014(tmp_path, 0.2456)
    (tmp_path / "A03" / "mitosis" / "A03_00Aa_mitosis.csv").write_text(rows)
    put_mitos2012(tmp_path, 0.2456)
    (tmp_path / "training_aperio" / "A00_v2" / "A00_01.csv").write_text("120,40,119,40\n30,20,31,20\n30,20,31,20\n")
    for name in ("mitos2012", "mitos2014"):
        text = " ".join(load(name, tmp_path).remarks)
        assert "a figure is annotated more than once, and counts once" in text
        assert "was moved to its edge" in text


def test_files_that_are_not_read_are_remarked(tmp_path: Path) -> None:
    put_folder(tmp_path, 0.25)
    for name in ("b.webp", "c.czi", "notes.txt"):
        (tmp_path / name).write_text("x")
    assert "files beside the images that are not read: 2 (.czi .webp)" in load("folder", tmp_path).remarks


def test_slides_that_are_read_are_not_among_them(tmp_path: Path) -> None:
    put_ccmct(tmp_path, 0.25)
    (tmp_path / "slide.tif").rename(tmp_path / "slide.svs")
    assert available(tmp_path) == ["ccmct"]
    assert not any("are not read" in remark for remark in load("ccmct", tmp_path).remarks)


def masks(tmp_path: Path, line: str) -> mitos2012.Masks:
    mitos2012.write(tmp_path, [("A00_01", PIXELS, Mitoses(np.zeros((0, 2)), ()), "train")])
    (tmp_path / "training_aperio" / "A00_v2" / "A00_01.csv").write_text(line)
    found = load("mitos2012", tmp_path).items["A00_01"].mitoses.masks
    assert found is not None
    return found


def text(xy: np.ndarray) -> str:
    return ",".join(map(str, xy.ravel().tolist())) + "\n"


def test_a_mask_that_was_made_smaller_lists_pixels_again_and_is_read(tmp_path: Path) -> None:
    x, y = np.meshgrid(np.arange(40, 61), np.arange(60, 79))
    disc = np.stack([x, y], axis=-1)[np.hypot(x - 50, y - 69) < 9]
    (mask,) = masks(tmp_path, text(disc // 2))
    np.testing.assert_allclose(mask.mean(axis=0), [24.75, 34.25], atol=0.2)
    assert len(mask) == len(np.unique(disc // 2, axis=0))
    assert any("lists pixels again" in remark for remark in load("mitos2012", tmp_path).remarks)


def test_decimal_commas_list_pixels_again_and_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"A00_01\.csv:1: .* pixels are listed twice.*decimal commas"):
        masks(tmp_path, ",".join(f"{x},5,{y},5" for x in range(20, 30) for y in range(25, 32)) + "\n")


def test_distinct_pixels_are_those_of_numpy() -> None:
    pixels = np.random.default_rng(3).integers(0, 30, (500, 2))
    np.testing.assert_array_equal(distinct(pixels), np.unique(pixels, axis=0))
    assert distinct(np.zeros((0, 2), np.int64)).shape == (0, 2)
