"""Generated files are stale if the records give different ones."""

from __future__ import annotations

import base64
import gzip
import json
import re
import shutil
from pathlib import Path

import pytest
from records import DETECTIONS, ok

from mitobench.report import build, figures, html_page
from mitobench.report.stale import stale
from mitobench.results import record

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A leaderboard that was just built; tests must not change it."""
    folder = tmp_path_factory.mktemp("built")
    record.write(folder / "records", ok(), DETECTIONS)
    build.build(folder)
    return folder


@pytest.fixture
def folder(built: Path, tmp_path: Path) -> Path:
    """A copy of it that tests may change."""
    return shutil.copytree(built, tmp_path / "board")


def generated(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.parent.name != "records")


def test_a_leaderboard_that_was_just_built_is_not_stale(folder: Path) -> None:
    names, problems = stale(folder)
    assert problems == []
    assert names == ["LEADERBOARD.md", "index.html", "sections/", "figures/ (by their data)"]


def test_one_changed_byte_makes_a_file_stale(folder: Path) -> None:
    one_of_each = {path.name if path.suffix == ".md" else path.suffix: path for path in generated(folder)}
    assert one_of_each.keys() == {
        *("LEADERBOARD.md", "mitos2012-official.md", "published.md"),
        *(".html", ".svg", ".json"),
    }
    for path in one_of_each.values():
        before = path.read_bytes()
        path.write_bytes(before.replace(b"a", b"b", 1))
        problems = stale(folder)[1]
        path.write_bytes(before)
        assert problems, path.name
    assert stale(folder)[1] == []


def test_figures_of_another_matplotlib_are_not_stale(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another version of matplotlib writes different bytes for the same data."""
    once = {path.name: path.read_bytes() for path in (folder / "figures").glob("*.svg")}
    monkeypatch.setitem(figures.LOOK, "font.size", 7)
    build.build(folder)
    assert any(path.read_bytes() != once[path.name] for path in (folder / "figures").glob("*.svg"))
    monkeypatch.setitem(figures.LOOK, "font.size", 8)
    assert stale(folder)[1] == []


def test_figures_of_other_data_are_stale(folder: Path) -> None:
    path = folder / "figures" / figures.MANIFEST
    content = json.loads(path.read_text())
    content["mitos2012-official"]["data"] = "0" * 64
    path.write_text(json.dumps(content))
    (message,) = stale(folder)[1]
    assert "are stale: the records give other data" in message


def test_a_new_record_makes_the_page_stale(folder: Path) -> None:
    record.write(folder / "records", ok(seed=1, f1=0.7), DETECTIONS)
    assert f"{folder / build.PAGE}: is stale" in "".join(stale(folder)[1])


def test_a_missing_file_is_reported(folder: Path) -> None:
    for path in generated(folder):
        if path.name == build.PAGE or path.name == figures.MANIFEST:
            continue
        before = path.read_bytes()
        path.unlink()
        (message,) = stale(folder)[1]
        assert message.startswith(f"{path}: is missing")
        path.write_bytes(before)


def test_figures_without_their_list_are_reported(folder: Path) -> None:
    (folder / "figures" / figures.MANIFEST).write_text("[")
    assert "are missing in figures.json" in stale(folder)[1][0]


def test_a_folder_that_was_never_built_is_not_stale(tmp_path: Path) -> None:
    record.write(tmp_path / "records", ok(), DETECTIONS)
    assert stale(tmp_path) == ([], [])


def test_a_broken_link_is_ignored(folder: Path) -> None:
    for name in ("gone.json", "gone.detections.csv.gz", "gone"):
        (folder / "records" / name).symlink_to(folder / "nowhere")
    assert stale(folder)[1] == []


# -------------------------------------------------------------------------------------------------- packed blocks


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def packed(folder: Path, name: str = "record-data") -> str:
    """A packed block of the page, in base64."""
    found = re.search(rf'id="{name}">([^<]+)<', (folder / html_page.PAGE).read_text())
    assert found
    return found[1]


def test_a_page_that_another_zlib_packed_is_not_stale(folder: Path) -> None:
    block = packed(folder)
    other = gzip.compress(gzip.decompress(base64.b64decode(block)), compresslevel=1, mtime=0)
    replace(folder / html_page.PAGE, block, base64.b64encode(other).decode())
    assert stale(folder)[1] == []


def test_other_data_in_a_packed_block_is_found(folder: Path) -> None:
    block = packed(folder)
    changed = gzip.decompress(base64.b64decode(block)).replace(b"0.5", b"0.9", 1)
    replace(folder / html_page.PAGE, block, base64.b64encode(gzip.compress(changed, mtime=0)).decode())
    assert f"{folder / html_page.PAGE}: is stale" in "".join(stale(folder)[1])


def test_a_changed_byte_of_a_packed_block_is_found(folder: Path) -> None:
    block = packed(folder)
    middle = len(block) // 2
    broken = f"{block[:middle]}{'A' if block[middle] != 'A' else 'B'}{block[middle + 1 :]}"
    replace(folder / html_page.PAGE, block, broken)
    assert f"{folder / html_page.PAGE}: is stale" in "".join(stale(folder)[1])


def test_one_more_script_that_may_run_is_found(folder: Path) -> None:
    replace(folder / html_page.PAGE, "script-src ", "script-src 'sha256-AAAA' ")
    assert f"{folder / html_page.PAGE}: is stale" in "".join(stale(folder)[1])


def test_files_that_are_made_from_no_record_are_reported(folder: Path) -> None:
    for name in ("figures/old.svg", "sections/old.md"):
        (folder / name).write_text("old")
    assert {
        f"{folder / name}: is not made from any record here. Remove it."
        for name in ("figures/old.svg", "sections/old.md")
    } == set(stale(folder)[1])
