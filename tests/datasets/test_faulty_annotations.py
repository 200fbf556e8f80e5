"""Annotation files that went wrong for others, where they are at hand: each is read right, or refused with its line."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mitobench.api import DataError, Mitoses
from mitobench.datasets import load, mitos2012, mitos2014

CASES = Path(__file__).resolve().parents[3] / "shared" / "cases"
PIXELS = np.zeros((256, 256, 3), dtype=np.uint8)
POINTS = {
    "2014_bom": [[10, 20]],
    "2014_conf_zero": [[10, 20], [30, 40]],
    "2014_cr": [[10, 20], [30, 40]],
    "2014_crlf": [[10, 20], [30, 40]],
    "2014_dup": [[10, 20]],
    "2014_empty_conf": [[10, 20]],
    "2014_plain": [[10, 20], [30, 40]],
    "2014_sci": [[10, 20]],
    "2014_trailing_space": [[10, 20]],
    "2014_y_edge": [[10, 255]],
    "2014_neg": [[0, 5]],
    "2014_zeros": [[0, 0]],
    "2012_big": [[99.5, 99.5]],
    "2012_dup_lines": [[10.5, 20]],
    "2012_float": [[10.5, 20]],
    "2012_one_px": [[10, 20]],
    "2012_plain": [[31 / 3, 61 / 3], [30.5, 40]],
    "2012_trailing_comma": [[10.5, 20]],
}


@pytest.fixture(scope="module")
def cases() -> Path:
    if not CASES.is_dir():
        pytest.skip("no ../shared/cases")
    return CASES


def points(root: Path, file: Path) -> list[list[float]]:
    none = Mitoses(np.zeros((0, 2)), ())
    if file.stem.startswith("2012"):
        mitos2012.write(root, [("A00_01", PIXELS, none, "train")])
        shutil.copyfile(file, root / "training_aperio" / "A00_v2" / "A00_01.csv")
        return load("mitos2012", root).items["A00_01"].mitoses.xy.tolist()
    mitos2014.write(root, [("A03_00Aa", PIXELS, none, None)])
    shutil.copyfile(file, root / "A03" / "mitosis" / "A03_00Aa_mitosis.csv")
    return load("mitos2014", root).items["A03_00Aa"].mitoses.xy.tolist()


def test_each_form_is_read_right_or_refused_with_its_line(cases: Path, tmp_path: Path) -> None:
    wrong = []
    for file in sorted((cases / "03-annotations").glob("*.csv")):
        try:
            found = points(tmp_path / file.stem, file)
        except DataError as reason:
            if file.stem in POINTS or ".csv:" not in str(reason):
                wrong.append(f"{file.name}: {reason}")
            continue
        expected = POINTS.get(file.stem)
        if expected is None or not np.allclose(found, expected):
            wrong.append(f"{file.name}: read as {found}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", ["A01_04.csv", "exact_A01_04.csv"])
def test_a_mitosis_that_is_annotated_twice_counts_once(cases: Path, tmp_path: Path, name: str) -> None:
    file = cases / "04-duplicate-truth" / name
    last_pixels = {line.split(",")[-1] + line.split(",")[-2] for line in file.read_text().split()}
    mitos2012.write(tmp_path, [("A00_01", PIXELS, Mitoses(np.zeros((0, 2)), ()), "train")])
    shutil.copyfile(file, tmp_path / "training_aperio" / "A00_v2" / "A00_01.csv")
    dataset = load("mitos2012", tmp_path)
    assert len(dataset.items["A00_01"].mitoses) == len(last_pixels) == 5
    assert any("repeats the mitosis" in note for note in dataset.notes)


def test_annotation_in_its_own_folder_is_found(cases: Path, tmp_path: Path, pixels: np.ndarray) -> None:
    """The listing of a copy whose test annotation is apart from its images."""
    listing = (cases / "05-truth-in-its-own-folder" / "listing.txt").read_text().split()
    one = Mitoses(np.array([[10.5, 20.0]]), (np.array([[10, 20], [11, 20]]),))
    for line in listing:
        part = "test" if "evaluation" in line else "train"
        mitos2012.write(tmp_path, [(Path(line).stem, pixels, one, part)])
        image = next((tmp_path).rglob(f"{Path(line).stem}.bmp"))
        target = tmp_path / line
        target.parent.mkdir(parents=True, exist_ok=True)
        image.with_suffix(".csv").replace(target)
    dataset = load("mitos2012", tmp_path)
    assert len(dataset.items) == len(listing) == 50
    assert {len(item.mitoses) for item in dataset.items.values()} == {1}


@pytest.fixture
def pixels() -> np.ndarray:
    return np.zeros((40, 40, 3), dtype=np.uint8)


def test_the_synthetic_copies_above_are_readable_without_faults(
    write2012: Callable[..., Path], write2014: Callable[..., Path]
) -> None:
    write2012("A00_01")
    root = write2014("A03_00Aa")
    assert [len(load(name, root).items) for name in ("mitos2012", "mitos2014")] == [1, 1]
