"""Bad data and splits: one message with file and line or key, exit code 2, and nothing is written."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mitobench.api import Mitoses
from mitobench.datasets import midog

pytestmark = pytest.mark.slow

XR, CS2 = "Hamamatsu XR", "Aperio CS2"
ROLES = ["--detector", "blobs", "--verifier", "none", "--fuser", "detector-only", "--device", "cpu"]
SPLIT = {"name": "midogpp-mine", "dataset": "midogpp", "protocol": "mine", "disjoint_by": "group"}
PARTS = {"train": {"groups": ["001"]}, "val": {"groups": ["002"]}, "test": {"groups": ["003"]}}
TABLES = """
CREATE TABLE Slides (uid, filename); CREATE TABLE Annotations (uid, slide, agreedClass, deleted);
CREATE TABLE Annotations_coordinates (coordinateX, coordinateY, annoId); CREATE TABLE Classes (uid, name);
INSERT INTO Classes VALUES (2, 'Mitosis'); INSERT INTO Slides VALUES (1, 'slide.svs');
"""


@pytest.fixture
def refused(tmp_path: Path, mitobench: Callable[..., Any]) -> Callable[..., str]:
    """Runs a command that must be refused, and returns its message."""

    def run(*arguments: object) -> str:
        before = sorted(tmp_path.rglob("*"))
        answer = mitobench(*arguments)
        assert answer.code == 2, answer.out
        assert sorted(tmp_path.rglob("*")) == before
        assert answer.err.startswith("error: ")
        assert answer.err.count("\n") == 1
        return str(answer.err)

    return run


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def put(data: Path, scanners: Sequence[str], without_mitoses: Sequence[int] = (), **content: object) -> None:
    """Writes MIDOG++ of one small slide for each scanner named."""
    names = [f"{number:03d}" for number in range(1, len(scanners) + 1)]
    pixels = np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)
    frames = [
        (name, pixels, Mitoses(np.zeros((0, 2)) if n in without_mitoses else np.array([[20.0, 20.0]])), "train")
        for n, name in enumerate(names, start=1)
    ]
    domains = {
        name: {"scanner": scanner, "tumour": "human melanoma"} for name, scanner in zip(names, scanners, strict=True)
    }
    midog.write(data, frames, dict.fromkeys(names, 0.24), domains)
    written = json.loads((data / "MIDOG.json").read_text())
    (data / "MIDOG++.json").write_text(json.dumps({**written, **content}))
    (data / "MIDOG.json").unlink()


def run_of(data: Path, *more: object, dataset: str = "midogpp") -> list[object]:
    folders = ["--store", data.parent / "store", "--out", data.parent / "out"]
    return ["run", "--data", data, "--dataset", dataset, *ROLES, *folders, *more]


def test_a_split_whose_parts_share_a_slide(tmp_path: Path, data: Path, refused: Callable[..., str]) -> None:
    put(data, [XR] * 3)
    file = tmp_path / "mine.json"
    file.write_text(json.dumps({**SPLIT, "parts": {**PARTS, "val": {"groups": ["001", "002"]}}}))
    message = refused(*run_of(data, "--protocol", file))
    assert f"{file}: groups 001 are in both train and val." in message


def test_a_split_of_a_newer_version(tmp_path: Path, data: Path, refused: Callable[..., str]) -> None:
    put(data, [XR] * 3)
    file = tmp_path / "mine.json"
    file.write_text(json.dumps({**SPLIT, "parts": PARTS, "schema_version": 2}))
    assert f"{file}: is not a valid split: schema_version" in refused(*run_of(data, "--protocol", file))


@pytest.mark.parametrize(
    ("protocol", "complaint"),
    [
        ("leave-one-domain-out-scanner", "without the slides of scanner Hamamatsu XR, only slide 005 is left"),
        ("single-domain-scanner", "needs 3 labelled slides of each scanner; Aperio CS2 has fewer"),
    ],
)
def test_a_domain_with_one_slide(data: Path, refused: Callable[..., str], protocol: str, complaint: str) -> None:
    put(data, [XR] * 4 + [CS2])
    assert complaint in refused(*run_of(data, "--protocol", protocol))


@pytest.mark.parametrize(
    ("protocol", "without", "complaint"),
    [
        (
            "leave-one-domain-out-scanner",
            [4, 5, 6],
            "midogpp, leave-one-domain-out-scanner-1of2: no mitosis is annotated in its test part (slides 004 005 006)",
        ),
        ("cv-by-slide-of3", [2, 3, 4, 5, 6], "of3: no mitosis is annotated in its"),
    ],
)
def test_a_fold_without_mitoses(
    data: Path, refused: Callable[..., str], protocol: str, without: list[int], complaint: str
) -> None:
    put(data, [XR] * 3 + [CS2] * 3, without)
    assert complaint in refused(*run_of(data, "--protocol", protocol))


def database(data: Path) -> Path:
    data.mkdir()
    (data / "slide.svs").write_bytes(b"")
    file = data / "MITOS_WSI_CCMCT_ODAEL.sqlite"
    with sqlite3.connect(file) as opened:
        opened.executescript(TABLES)
    return file


def test_a_file_that_is_not_a_database(data: Path, refused: Callable[..., str]) -> None:
    file = database(data)
    file.write_text("no database" * 100)
    assert f"{file}: cannot be read as a SlideRunner database" in refused(*run_of(data, dataset="ccmct"))
    assert f"{file}: cannot be read as a SlideRunner database" in refused("data", "check", data)


def test_a_database_that_is_locked(data: Path, refused: Callable[..., str]) -> None:
    file = database(data)
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        assert f"{file}: is locked. Close the program" in refused("data", "check", data)
    finally:
        other.close()


@pytest.mark.parametrize("version", [{"major": 2, "minor": 0}, 2, "2.1", None])
def test_labels_of_a_newer_version(data: Path, refused: Callable[..., str], version: object) -> None:
    put(data, [XR] * 3, version=version)
    assert f"{data / 'MIDOG++.json'}: `version` is " in refused("data", "check", data)


def test_detections_of_a_newer_version(tmp_path: Path, data: Path, refused: Callable[..., str]) -> None:
    put(data, [XR] * 3)
    file = tmp_path / "found" / "001" / "mitotic-figures.json"
    file.parent.mkdir(parents=True)
    content = {"name": "x", "type": "Multiple points", "points": [], "version": {"major": 2, "minor": 0}}
    file.write_text(json.dumps(content))
    given = ["--dataset", "midogpp", "--data", data, "--split", "train", "--threshold", "0.5"]
    assert f"{file}: `version` is " in refused("score", file.parents[1], *given)
