"""Generated files are stale where the records give others."""

from __future__ import annotations

from pathlib import Path

import pytest
from records import DETECTIONS, ok

from mitobench.report import build
from mitobench.report.stale import stale
from mitobench.results import record


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    record.write(tmp_path / "records", ok(), DETECTIONS)
    build.build(tmp_path)
    return tmp_path


def generated(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.parent.name != "records")


def test_what_was_just_built_is_not_stale(folder: Path) -> None:
    names, problems = stale(folder)
    assert problems == []
    assert [folder / name for name in names] == generated(folder)


def test_every_generated_file_counts_to_the_byte(folder: Path) -> None:
    for path in generated(folder):
        path.write_bytes(path.read_bytes() + b"\n")
    said = "is stale: the records give another one. Run `mitobench leaderboard build`."
    assert sorted(stale(folder)[1]) == [f"{path}: {said}" for path in generated(folder)]


def test_a_new_record_makes_the_page_stale(folder: Path) -> None:
    record.write(folder / "records", ok(seed=1, f1=0.7), DETECTIONS)
    assert f"{folder / build.PAGE}: is stale" in "".join(stale(folder)[1])


def test_a_missing_file_is_told(folder: Path) -> None:
    missing = [path for path in generated(folder) if path.name != build.PAGE]
    for path in missing:
        path.unlink()
    assert sorted(stale(folder)[1]) == [f"{path}: is missing. Run `mitobench leaderboard build`." for path in missing]


def test_a_folder_that_was_never_built_is_not_stale(tmp_path: Path) -> None:
    record.write(tmp_path / "records", ok(), DETECTIONS)
    assert stale(tmp_path) == ([], [])


def test_a_figure_of_no_record_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def draw(folder: Path) -> None:
        (folder / "figures").mkdir(exist_ok=True)
        (folder / "figures" / "f1.svg").write_text("<svg/>")

    monkeypatch.setattr("mitobench.report.stale.build.build", draw)
    for path in generated(folder):
        path.unlink()
    draw(folder)
    (folder / "figures" / "old.svg").write_text("<svg/>")
    assert stale(folder)[1] == [f"{folder / 'figures' / 'old.svg'}: is made from no record here. Remove it."]
