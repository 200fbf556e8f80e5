"""`leaderboard build`: pages are made from the good records of a folder, and broken ones are named."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from records import DETECTIONS, failed, ok

from mitobench.errors import MitobenchError
from mitobench.report import build, figures, html_page
from mitobench.report.leaderboard import leaderboard
from mitobench.results import record
from mitobench.results.schema import DetectionsEntry
from report.counted import F1_5, F1_8, counted

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def only_the_tables(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Skips index.html and figures, which take seconds and have their own tests."""
    if "everything" not in request.fixturenames:
        for module in (html_page, figures):
            monkeypatch.setattr(module, "write", lambda *_: [])


@pytest.fixture
def everything() -> None:
    """Requests index.html and figures too."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A good record."""
    record.write(tmp_path / "records", ok(), DETECTIONS)
    return tmp_path


def test_the_page_is_made_from_the_records(folder: Path) -> None:
    record.write(folder / "records", failed(seed=1), None)
    path, found = build.build(folder)
    assert path == folder / "LEADERBOARD.md"
    assert path.read_text(encoding="utf-8") == leaderboard(found)
    assert [(row.seeds, len(row.failed)) for row in found[0].rows] == [([0], 1)]


@pytest.mark.usefixtures("everything")
def test_html_page_and_figures_are_written_too(folder: Path) -> None:
    record.write(folder / "records", counted(F1_5, detector="rpn"), DETECTIONS)
    build.build(folder)
    assert {item.name for item in folder.iterdir()} == {
        "records",
        "LEADERBOARD.md",
        "index.html",
        "sections",
        "figures",
    }
    assert list((folder / "figures").glob("*.svg"))


def test_equal_records_give_equal_bytes(folder: Path) -> None:
    pages = [build.build(folder)[0].read_bytes() for _ in range(2)]
    assert pages[0] == pages[1]


def edited(path: Path) -> None:
    path.write_text(path.read_text().replace('"f1": 0.5', '"f1": 0.9'))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def renamed(path: Path) -> None:
    path.rename(path.with_name("copy.json"))


def without_detections(path: Path) -> None:
    path.with_name(f"{path.stem}.detections.csv.gz").unlink()


@pytest.mark.parametrize("breaks", [edited, cut, renamed, without_detections])
def test_a_broken_record_is_named_and_left_out(
    folder: Path, caplog: pytest.LogCaptureFixture, breaks: Callable[[Path], None]
) -> None:
    breaks(record.write(folder / "records", ok(seed=1), DETECTIONS))
    with caplog.at_level(logging.WARNING, "mitobench"):
        _, found = build.build(folder)
    assert [row.seeds for row in found[0].rows] == [[0]]
    (warning,) = caplog.messages
    assert warning.startswith(f"Left out: {folder / 'records'}")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"combination": {**ok().combination, "seed": "first"}}, "combination.seed"),
        ({"combination": {"dataset": "mitos2012"}}, "combination.protocol"),
        ({"combination": {**ok().combination, "train_on": ["elsewhere"]}}, "data.elsewhere missing"),
        ({"pipeline": {}}, "pipeline.matcher: Field required; pipeline.radius_um: Field required"),
        ({"data": {}}, "data.mitos2012"),
        ({"test": None}, "test missing"),
        ({"detections": None}, "detections missing"),
        ({"detections": {"file": "x"}}, "detections.rows: Field required; detections.sha256: Field required"),
    ],
    ids=str,
)
def test_a_sealed_record_without_what_a_table_needs_is_named(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    """Anyone can forge a record and seal it; that must not affect the others."""
    entry = DetectionsEntry(file="x", rows=1, sha256="x", packed="x")
    forged = ok().model_copy(update={"detections": entry} | change)
    forged = forged.sealed()
    path = tmp_path / "forged.json"
    path.write_text(forged.model_dump_json())
    good, broken = record.read_good(tmp_path)
    assert good == []
    assert len(broken) == 1
    assert broken[0].startswith(f"{path}: is not a ")
    assert message in broken[0]


def test_detections_in_another_folder_are_rejected(tmp_path: Path) -> None:
    entry = DetectionsEntry(file="../../x.detections.csv.gz", rows=0, sha256="x", packed="x")
    forged = ok().model_copy(update={"detections": entry}).sealed()
    (tmp_path / "forged.json").write_text(forged.model_dump_json())
    _, (message,) = record.read_good(tmp_path)
    assert "must be in the same folder" in message


def test_good_records_are_read_in_the_order_of_their_paths(folder: Path) -> None:
    record.write(folder / "records", ok(seed=1), DETECTIONS)
    good, broken = record.read_good(folder / "records")
    assert [item.combination["seed"] for _, item in good] == [0, 1]
    assert [path.name for path, _ in good] == [f"{item.stem}.json" for _, item in good]
    assert broken == []


def test_two_records_of_one_identity_in_two_folders_are_both_shown(tmp_path: Path) -> None:
    ours, theirs = counted(F1_5), counted(F1_8)
    record.write(tmp_path / "records", ours, DETECTIONS)
    record.write(tmp_path / "records" / "theirs", theirs, DETECTIONS)
    _, found = build.build(tmp_path)
    assert [(row.conflicting, row.mean("f1")) for row in found[0].rows] == [(True, pytest.approx(0.8)), (True, 0.5)]
    shown = (tmp_path / "sections" / "mitos2012-official.md").read_text(encoding="utf-8")
    for link in (f"(../records/{ours.stem}.json)", f"(../records/theirs/{theirs.stem}.json)"):
        assert shown.count(link) == 1


def test_a_page_that_cannot_be_written_leaves_the_old_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _ = build.build(folder)
    before = path.read_bytes()
    record.write(folder / "records", ok(seed=1), DETECTIONS)

    def full(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(MitobenchError, match="disk full"):
        build.build(folder)
    assert path.read_bytes() == before
    assert not [item.name for item in folder.iterdir() if item.name.endswith(".tmp")]


def test_a_folder_without_records_gives_a_page_that_says_so(tmp_path: Path) -> None:
    path, found = build.build(tmp_path)
    assert found == []
    assert "There are no records yet." in path.read_text(encoding="utf-8")


def test_pages_of_sections_that_are_gone_are_removed_and_no_other_file(folder: Path) -> None:
    path = record.write(folder / "records", ok(protocol="by-slide"), DETECTIONS)
    build.build(folder)
    sections = folder / "sections"
    (sections / "mine.md").write_text("My notes.\n")
    kept = {"mitos2012-official.md", "published.md", "mine.md"}
    assert {page.name for page in sections.iterdir()} == {"mitos2012-by-slide.md", *kept}
    path.unlink()
    build.build(folder)
    assert {page.name for page in sections.iterdir()} == kept
