"""`mitobench leaderboard`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from records import DETECTIONS, failed, ok

from mitobench.cli import console
from mitobench.results import record


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Records of two seeds of one combination and of another that failed."""
    monkeypatch.setattr(console.console, "width", 250)
    records = tmp_path / "board" / "records"
    for made in (ok(f1=0.5), ok(f1=0.7, seed=1)):
        record.write(records, made, DETECTIONS)
    record.write(records, failed(detector="rpn"), None)
    return records.parent


def test_build_writes_the_page_and_shows_it(mitobench: Callable[..., Any], folder: Path) -> None:
    answer = mitobench("leaderboard", "build", folder)
    assert answer.code == 0
    page = (folder / "LEADERBOARD.md").read_text(encoding="utf-8")
    for shown in (answer.out, page):
        assert ".600 [.500, .700]" in shown
        assert "FAILED 0" in shown
    assert "mitos2012, protocol official" in answer.out
    assert str(folder / "LEADERBOARD.md") in answer.out


def test_show_writes_nothing(mitobench: Callable[..., Any], folder: Path) -> None:
    answer = mitobench("leaderboard", "show", folder)
    assert answer.code == 0
    assert ".600 [.500, .700]" in answer.out
    assert [path.name for path in folder.iterdir()] == ["records"]


def test_without_a_folder_it_is_the_one_that_run_writes(
    mitobench: Callable[..., Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    folder.rename("leaderboard")
    assert mitobench("leaderboard", "build").code == 0
    assert Path("leaderboard/LEADERBOARD.md").is_file()


@pytest.mark.parametrize("command", ["build", "show"])
def test_another_schema_version_is_an_error_and_nothing_is_written(
    mitobench: Callable[..., Any], folder: Path, command: str
) -> None:
    path = next((folder / "records").glob("*-s1-*.json"))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": 9}))
    answer = mitobench("leaderboard", command, folder)
    assert answer.code == 2
    assert f"{path}: has schema_version 9, this mitobench reads 1" in answer.err
    assert [entry.name for entry in folder.iterdir()] == ["records"]


@pytest.mark.parametrize("command", ["build", "show"])
def test_a_folder_that_is_not_there_is_an_error_and_not_made(
    mitobench: Callable[..., Any], tmp_path: Path, command: str
) -> None:
    answer = mitobench("leaderboard", command, tmp_path / "borad")
    assert answer.code == 2
    assert "is no folder" in answer.err
    assert list(tmp_path.iterdir()) == []


def test_without_a_record_show_says_so(mitobench: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    answer = mitobench("leaderboard", "show", tmp_path)
    assert answer.code == 0
    assert "holds no record yet" in "".join(answer.out.split("\n"))
