"""`mitobench data check`: reports what a copy holds, what is missing and what looks wrong."""

from __future__ import annotations

import functools
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from mitobench.api import DataError, MitobenchError
from mitobench.cli.data import app
from mitobench.datasets.check import check
from mitobench.datasets.images import write_rgb

Write = Callable[..., Path]
OFFICIAL = {"train": ("A00_01", "A00_03"), "val": ("A00_02",), "test": ("A00_00", "A00_08")}


def run(*args: object) -> Result:
    return CliRunner().invoke(app, list(map(str, args)), env={"COLUMNS": "80"})


@pytest.fixture
def copy2012(write2012: Write, pixels: np.ndarray) -> Path:
    """A partial copy that works with the official protocol; no two of its images are alike."""
    write2012(*OFFICIAL["train"], *OFFICIAL["val"])
    root = write2012(*OFFICIAL["test"], part="test")
    for shift, path in enumerate(root.rglob("*.bmp")):
        write_rgb(path, np.roll(pixels, shift))
    return root


def test_a_usable_copy_is_reported_with_exit_code_0(copy2012: Path) -> None:
    result = run("check", copy2012)
    assert result.exit_code == 0
    assert "3 of 35 A frames, 2 of 15 A test frames" in result.output
    assert "anomalies: none" in result.output
    assert max(map(len, (line for line in result.output.splitlines() if line.startswith("  A")))) <= 80


def test_frames_and_mitoses_by_official_part_and_by_split(copy2012: Path) -> None:
    report = check("mitos2012", copy2012)
    official = {(row.scanner, row.part): (str(row.frames), str(row.mitoses)) for row in report.rows}
    assert official["A", "train"] == ("3 of 35", "6 of 226")
    assert official["A", "test"] == ("2 of 15", "4 of 101")
    assert official["H", "train"] == ("0 of 35", "0")
    protocol = next(protocol for protocol in report.protocols if protocol.name == "official")
    assert {row.part: row.frames.found for row in protocol.rows} == {"train": 2, "val": 1, "test": 2}
    assert "00_04" in protocol.missing
    assert "00_01" not in protocol.missing


def test_imposters_and_unlabelled_frames_are_counted(write2014: Write) -> None:
    write2014("A03_00Aa", "A03_00Ab")
    report = check("mitos2014", write2014("A06_00Aa", labelled=False))
    rows = {(row.scanner, row.part): row for row in report.rows}
    assert (rows["A", "train"].imposters.found, rows["A", "train"].unlabelled.found) == (4, 0)
    assert rows["A", "test"].unlabelled.found == 1


def test_a_protocol_that_cannot_be_used_with_this_copy_says_why(write2014: Write) -> None:
    result = run("check", write2014("A03_00Aa"))
    assert result.exit_code == 1, "`run` cannot use its default protocol either"
    assert "cannot be used: " in result.output
    assert "is empty" in result.output
    assert "missing: slides 04 05" in result.output


def test_a_protocol_that_was_not_asked_for_may_be_unusable(copy2012: Path) -> None:
    result = run("check", copy2012)
    assert "cannot be used: " in result.output
    assert result.exit_code == 0, "the default protocol can be used"
    assert run("check", copy2012, "--dataset", "mitos2012", "--protocol", "cv-by-slide").exit_code == 1


def test_anomalies_are_listed_with_their_files(copy2012: Path, pixels: np.ndarray) -> None:
    training = copy2012 / "training_aperio" / "A00_v2"
    (training / "A00_01.csv").write_text("40,5\n7,7\n7,7\n")
    shutil.copy(training / "A00_01.bmp", training / "A00_03.bmp")
    (copy2012 / "evaluation_aperio" / "A00_v2" / "A00_08.bmp").rename(training / "A00_08.bmp")
    write_rgb(copy2012 / "training_aperio" / "A01_v2" / "A01_00.bmp", pixels)
    anomalies = "\n".join(check("mitos2012", copy2012).anomalies)
    assert "A00_01.csv:1: (40, 5) is outside the frame, clipped to (39, 5)" in anomalies
    assert "A00_01.csv:3: repeats the mitosis" in anomalies
    assert "A00_03.bmp: is the same image as" in anomalies
    assert "A00_08.bmp: is in the train part, but A00_08 is a test frame" in anomalies
    assert "A01_v2: none of its 1 frames has an annotation file; all count as unlabelled" in anomalies


def test_image_conversions_are_reported(copy2012: Path) -> None:
    from PIL import Image

    Image.new("L", (40, 40)).save(copy2012 / "training_aperio" / "A00_v2" / "A00_01.bmp")
    assert "A00_01.bmp: image is grey" in run("check", copy2012).output


def test_one_broken_data_set_does_not_hide_another(copy2012: Path, write2014: Write) -> None:
    root = write2014("A03_00Aa")
    (root / "A03" / "mitosis" / "A03_00Aa_mitosis.csv").write_text("1,oops\n")
    result = run("check", root)
    assert isinstance(result.exception, DataError)
    assert "A03_00Aa_mitosis.csv:1" in str(result.exception)
    assert "mitos2012: MITOS 2012" in result.output
    assert run("check", root, "--dataset", "mitos2012").exit_code == 0


def test_an_empty_folder_is_an_error_that_says_what_was_looked_for(tmp_path: Path) -> None:
    result = run("check", tmp_path)
    assert isinstance(result.exception, DataError)
    assert re.search(r"holds no data set at any depth\. Looked for: .*mitos2012, mitos2014", str(result.exception))


def test_synth_refuses_a_number_of_frames_where_each_slide_has_one(tmp_path: Path) -> None:
    result = run("synth", tmp_path / "made", "--domains", "--frames", 2)
    assert isinstance(result.exception, MitobenchError)
    assert "Leave --frames out" in str(result.exception)
    assert not (tmp_path / "made").exists()


def test_synth_writes_data_sets_that_pass_the_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mitobench.datasets import synthetic

    monkeypatch.setattr(synthetic, "write", functools.partial(synthetic.write, size=64))
    assert run("synth", tmp_path / "made", "--seed", 3, "--frames", 1).exit_code == 0
    assert len(list((tmp_path / "made" / "synthetic").rglob("*.bmp"))) == 14, "one frame of each slide"
    result = run("check", tmp_path / "made")
    assert result.exit_code == 0
    assert "synthetic-centroids: " in result.output
    assert "mitos2012" not in result.output
