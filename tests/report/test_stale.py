"""Generated files are stale where the records give others."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from pathlib import Path

import pytest
from records import DETECTIONS, ok

from mitobench.report import build, figures, page
from mitobench.report.stale import stale
from mitobench.results import record

pytestmark = pytest.mark.slow


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
    assert names == ["LEADERBOARD.md", "index.html", "figures/ (by their data)"]


def test_every_generated_file_counts_to_the_byte(folder: Path) -> None:
    one_of_each = {path.suffix: path for path in generated(folder)}
    assert one_of_each.keys() == {".md", ".html", ".svg", ".json"}
    for path in one_of_each.values():
        before = path.read_bytes()
        path.write_bytes(before.replace(b"a", b"b", 1))
        problems = stale(folder)[1]
        path.write_bytes(before)
        assert problems, path.name
    assert stale(folder)[1] == []


def test_figures_of_another_matplotlib_are_not_stale(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another version draws other bytes of the same data."""
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
    (said,) = stale(folder)[1]
    assert "are stale: the records give other data" in said


def test_a_new_record_makes_the_page_stale(folder: Path) -> None:
    record.write(folder / "records", ok(seed=1, f1=0.7), DETECTIONS)
    assert f"{folder / build.PAGE}: is stale" in "".join(stale(folder)[1])


def test_a_missing_file_is_told(folder: Path) -> None:
    for path in generated(folder):
        if path.name == build.PAGE or path.name == figures.MANIFEST:
            continue
        before = path.read_bytes()
        path.unlink()
        (said,) = stale(folder)[1]
        assert said.startswith(f"{path}: is missing")
        path.write_bytes(before)


def test_figures_without_their_list_are_told(folder: Path) -> None:
    (folder / "figures" / figures.MANIFEST).write_text("[")
    assert "are missing in figures.json" in stale(folder)[1][0]


def test_a_folder_that_was_never_built_is_not_stale(tmp_path: Path) -> None:
    record.write(tmp_path / "records", ok(), DETECTIONS)
    assert stale(tmp_path) == ([], [])


def test_a_link_to_nowhere_is_left_out(folder: Path) -> None:
    for name in ("gone.json", "gone.detections.csv.gz", "gone"):
        (folder / "records" / name).symlink_to(folder / "nowhere")
    assert stale(folder)[1] == []


# -------------------------------------------------------------------------------------- what the page carries packed


def digest(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def repacked(folder: Path, library: str, allowed: bool = True, level: int = 9) -> None:
    """Carry another plotly.js in the page, and allow it to run."""
    path = folder / page.PAGE
    html = path.read_text()
    carried = page.library(html)
    assert carried is not None
    packed = base64.b64encode(gzip.compress(library.encode(), compresslevel=level, mtime=1)).decode()
    html = page._PACKED.sub(packed, html)
    path.write_text(html.replace(digest(carried), digest(library)) if allowed else html)


def test_plotly_may_be_packed_otherwise(folder: Path) -> None:
    before = (folder / page.PAGE).read_bytes()
    repacked(folder, page.offline.get_plotlyjs(), level=1)
    assert (folder / page.PAGE).read_bytes() != before
    assert stale(folder)[1] == []


@pytest.mark.parametrize("allowed", [True, False])
def test_code_put_into_plotly_is_found(folder: Path, allowed: bool) -> None:
    repacked(folder, page.offline.get_plotlyjs() + "\nalert(1)", allowed)
    assert f"{folder / page.PAGE}: is stale" in "".join(stale(folder)[1])


def test_a_plotly_that_names_no_version_is_no_other_version(folder: Path) -> None:
    repacked(folder, "alert(1)")
    assert f"{folder / page.PAGE}: is stale" in "".join(stale(folder)[1])


def test_a_changed_byte_of_the_packed_plotly_is_found(folder: Path) -> None:
    path = folder / page.PAGE
    packed = page._PACKED.search(html := path.read_text())
    assert packed
    middle = (packed.start() + packed.end()) // 2
    path.write_text(f"{html[:middle]}{'A' if html[middle] != 'A' else 'B'}{html[middle + 1 :]}")
    assert f"{path}: is stale" in "".join(stale(folder)[1])


def test_a_script_more_that_may_run_is_found(folder: Path) -> None:
    path = folder / page.PAGE
    path.write_text(path.read_text().replace("script-src ", f"script-src {digest('alert(1)')} "))
    assert f"{path}: is stale" in "".join(stale(folder)[1])


def test_another_version_of_plotly_is_not_compared_and_that_is_said(folder: Path) -> None:
    repacked(folder, "/**\n* plotly.js v0.0.1\n*/")
    names, problems = stale(folder)
    installed = page.offline.get_plotlyjs_version()
    assert problems == []
    assert f"index.html (but not its plotly.js: it says to be 0.0.1, installed is {installed})" in names
    repacked(folder, "/**\n* plotly.js v0.0.2\n*/", allowed=False)
    assert f"{folder / page.PAGE}: is stale" in "".join(stale(folder)[1]), "its digest is not the one that may run"


def test_a_figure_of_no_record_is_told(folder: Path) -> None:
    (folder / "figures" / "old.svg").write_text("<svg/>")
    assert stale(folder)[1] == [f"{folder / 'figures' / 'old.svg'}: is made from no record here. Remove it."]
