"""`mitobench submit`: writes a file for every official test frame of the record's scanners."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_runs
from records import detections, ok, with_frames_of

from mitobench import datasets
from mitobench.api import Mitoses
from mitobench.datasets import mitos2014
from mitobench.evaluate import midog25
from mitobench.results import record, submission

FRAMES = ("A06_00Aa", "A06_00Ab", "A08_01Dd", "H06_00Aa", "H06_00Ab")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unlabelled frames of two test slides, and one labelled training frame."""
    folder = tmp_path_factory.mktemp("mitos2014")
    pixels = np.full((64, 64, 3), 200, dtype=np.uint8)
    unlabelled = Mitoses(np.zeros((0, 2)), labelled=False)
    mitos2014.write(folder, [*((id, pixels, unlabelled, None) for id in FRAMES)])
    mitos2014.write(folder, [("A03_00Aa", pixels, Mitoses(np.array([[5.0, 5.0]])), None)])
    return folder


def written(
    folder: Path, data: Path, *found: tuple[str, float, float, float], scanners: str = "A", **changes: Any
) -> Path:
    """Writes a record of the official test on these scanners, with detections (frame, x, y, score) and threshold .5."""
    submitted = ok(dataset="mitos2014", train_on=["mitos2014"])
    submitted = with_frames_of(submitted, datasets.load("mitos2014", data).select(scanners))
    return record.write(folder, submitted, detections(*((*detection, None) for detection in found)))


def test_every_test_frame_of_the_scanner_has_a_file(mitobench: Callable[..., Any], data: Path, tmp_path: Path) -> None:
    path = written(tmp_path, data, ("A06_00Aa", 10, 20.5, 0.9), ("A06_00Aa", 30, 40, 0.5), ("A08_01Dd", 1, 2, 0.49))
    out = tmp_path / "deep" / "out"
    answer = mitobench("submit", "--dataset", "mitos2014", path, "--data", data, "--out", out)
    assert answer.code == 0, answer.err
    assert {file.name: file.read_text() for file in out.glob("*.csv")} == {
        "A06_00Aa.csv": "10,20.5,0.9\n30,40,0.5\n",
        "A06_00Ab.csv": "",
        "A08_01Dd.csv": "",
    }
    assert "2 detections on 3 test frames" in answer.out
    assert "3 of 496 A test frames are here" in answer.err


def test_the_scanners_are_those_of_the_record(mitobench: Callable[..., Any], data: Path, tmp_path: Path) -> None:
    path = written(tmp_path, data, ("H06_00Aa", 1, 2, 0.75), scanners="AH")
    assert mitobench("submit", path, "--data", data, "--out", tmp_path / "out").code == 0
    assert {file.stem for file in (tmp_path / "out").glob("*.csv")} == set(FRAMES)


@pytest.mark.parametrize("format", ["mitos2014", "midog25"])
def test_an_earlier_submission_is_replaced_completely(
    mitobench: Callable[..., Any], data: Path, tmp_path: Path, format: str
) -> None:
    out = tmp_path / "out"
    for scanners in ("AH", "A"):
        path = written(tmp_path, data, scanners=scanners)
        assert mitobench("submit", "--format", format, path, "--data", data, "--out", out).code == 0
    names = {path.relative_to(out).parts[0].removesuffix(".csv") for path in out.rglob("A*")}
    assert names == {"A06_00Aa", "A06_00Ab", "A08_01Dd"}
    assert not list(out.glob("H*"))
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".tmp-")] == []


@pytest.mark.parametrize("format", ["mitos2014", "midog25"])
@pytest.mark.parametrize("name", ["thesis.tex", "A99_00Aa.csv", "caseA/mitotic-figures.json", "A06_00Aa/notes.txt"])
def test_a_folder_with_other_files_is_not_changed(
    mitobench: Callable[..., Any], data: Path, tmp_path: Path, format: str, name: str
) -> None:
    other = tmp_path / "out" / name
    other.parent.mkdir(parents=True)
    other.write_text("mine")
    command = "submit", "--format", format, written(tmp_path, data), "--data", data, "--out", tmp_path / "out"
    answer = mitobench(*command)
    assert answer.code == 2
    assert f"holds {name}, not written by `mitobench submit` or changed since. Give an empty or a new" in answer.err
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == [other]


@pytest.mark.parametrize("change", ["edited", "added", "linked"])
def test_a_submission_that_was_changed_is_not_replaced(
    mitobench: Callable[..., Any], data: Path, tmp_path: Path, change: str
) -> None:
    out = tmp_path / "out"
    command = "submit", written(tmp_path, data), "--data", data, "--out", out
    assert mitobench(*command).code == 0
    file = out / "A06_00Aa.csv"
    if change == "added":
        file = out / "README.txt"
    if change == "linked":
        file.rename(tmp_path / "elsewhere.csv")
        file.symlink_to(tmp_path / "elsewhere.csv")
    else:
        file.write_text("1,2,0.5\n")
    answer = mitobench(*command)
    assert answer.code == 2
    assert f"holds {file.name}, not written by" in answer.err
    assert file.exists()


def test_files_that_are_not_of_a_submission_are_not_read(
    mitobench: Callable[..., Any], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder of slides that is given by mistake is refused at once."""
    path = written(tmp_path, data, ("A06_00Aa", 10, 20.5, 0.9))
    (tmp_path / "slides").mkdir()
    (tmp_path / "slides" / "a.svs").write_bytes(b"large")
    monkeypatch.setattr(submission, "file_digest", lambda path: pytest.fail(f"{path} was read"))
    answer = mitobench("submit", path, "--data", data, "--out", tmp_path / "slides")
    assert answer.code == 2
    assert "holds a.svs" in answer.err


def test_a_file_in_place_of_the_folder_is_refused(mitobench: Callable[..., Any], data: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    answer = mitobench("submit", written(tmp_path, data), "--data", data, "--out", tmp_path / "out")
    assert answer.code == 2
    assert "is not a directory" in answer.err


@pytest.mark.parametrize("change", [{"protocol": "by-slide"}, {"dataset": "mitos2012", "train_on": ["mitos2012"]}])
def test_another_protocol_or_data_set_is_refused(
    mitobench: Callable[..., Any], data: Path, tmp_path: Path, change: dict[str, Any]
) -> None:
    path = record.write(tmp_path, ok(**{"dataset": "mitos2014", "train_on": ["mitos2014"], **change}), detections())
    answer = mitobench("submit", path, "--data", data, "--out", tmp_path / "out")
    assert answer.code == 2
    assert "The organisers score detections on the official test of mitos2014" in answer.err
    assert not (tmp_path / "out").exists()


def test_a_data_set_without_a_contest_is_refused(mitobench: Callable[..., Any], data: Path, tmp_path: Path) -> None:
    path = written(tmp_path, data)
    answer = mitobench("submit", "--dataset", "mitos2012", path, "--data", data, "--out", tmp_path / "out")
    assert answer.code == 2
    assert "mitobench has no submission format for it" in answer.err


def test_other_test_frames_are_refused(mitobench: Callable[..., Any], data: Path, tmp_path: Path) -> None:
    path = written(tmp_path, data)
    tiny_runs.reseal(path, lambda content: content["data"]["mitos2014"]["digest"].update(test="f" * 64))
    answer = mitobench("submit", tiny_runs.renamed(path), "--data", data, "--out", tmp_path / "out")
    assert answer.code == 2
    assert "the test frames of mitos2014 are not those that the record was made with" in answer.err


def test_detections_on_another_frame_are_refused(mitobench: Callable[..., Any], data: Path, tmp_path: Path) -> None:
    path = written(tmp_path, data, ("A03_00Aa", 1, 2, 0.9))
    answer = mitobench("submit", path, "--data", data, "--out", tmp_path / "out")
    assert answer.code == 2
    assert "detections on A03_00Aa, which is not one of the test frames" in answer.err


# --------------------------------------------------------------------------------------------------------- midog25


def test_midog25_gets_a_folder_per_frame_in_mm(mitobench: Callable[..., Any], data: Path, tmp_path: Path) -> None:
    path = written(tmp_path, data, ("A06_00Aa", 10, 20, 0.9), ("A06_00Aa", 30, 40, 0.4))
    out = tmp_path / "out"
    answer = mitobench("submit", "--format", "midog25", path, "--data", data, "--out", out)
    assert answer.code == 0, answer.err
    assert sorted(file.parent.name for file in out.rglob("mitotic-figures.json")) == [
        "A06_00Aa",
        "A06_00Ab",
        "A08_01Dd",
    ]
    mpp = datasets.load("mitos2014", data).items["A06_00Aa"].frame.mpp
    points = midog25.read_points(out / "A06_00Aa" / "mitotic-figures.json")
    assert [(p.is_mitosis, p.probability) for p in points] == [(True, 0.9), (False, 0.4)]
    assert points[0].xyz == (pytest.approx(10 * mpp[0] / 1000), pytest.approx(20 * mpp[1] / 1000), 0)
    assert midog25.read_points(out / "A08_01Dd" / "mitotic-figures.json") == ()
    assert "1 mitotic figures on 3 test frames" in answer.out
    assert mitobench("submit", "--format", "midog25", path, "--data", data, "--out", out).code == 0, "replaced"


@pytest.mark.parametrize(("x", "why"), [(60_000.0, "above 10 mm"), (-100.0, "below -0.0075 mm")])
def test_midog25_writes_nothing_that_the_contest_refuses(
    mitobench: Callable[..., Any], data: Path, tmp_path: Path, x: float, why: str
) -> None:
    path = written(tmp_path, data, ("A06_00Aa", 10, 20, 0.9), ("A06_00Ab", x, 20, 0.9))
    answer = mitobench("submit", "--format", "midog25", path, "--data", data, "--out", tmp_path / "out")
    assert answer.code == 2
    assert "frame A06_00Ab: point 0" in answer.err
    assert why in answer.err
    assert not (tmp_path / "out").exists()


def test_a_container_is_only_for_midog25(mitobench: Callable[..., Any], tmp_path: Path) -> None:
    answer = mitobench("submit", tmp_path, "--container", tmp_path / "c")
    assert answer.code == 2
    assert "--container is for --format midog25" in answer.err
    answer = mitobench("submit", tmp_path, "--format", "midog25", "--container", tmp_path / "c")
    assert answer.code == 2
    assert not (tmp_path / "c").exists()
