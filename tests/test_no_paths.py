"""README, docs, records and the leaderboard's pages hold no path of one machine: data is DATA, or ~/mitos."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from mitobench.report.html_page import parts
from mitobench.results.record_files import PACKED, pack, read_bytes

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PATTERNS = ("*.md", "docs/**/*", "plugins/*/README.md", "benchmarks/README.md", "leaderboard/**/*")
TEXTS = {".md", ".html", ".json", ".svg"}

# A slash where a word may begin, a drive, or an address of a file. Three letters: `/g` is of JavaScript.
ABSOLUTE = re.compile(r"(?<![\w.~/<:)\]}*+-])/[A-Za-z][\w.-]{2,}(?:/[\w.-]+)*|(?<!\w)[A-Z]:[\\/]\w[\w\\/.-]*|file:/\S*")
UPWARDS = re.compile(r"(?<![\w./])(?:[\w.-]+/)*\.\.(?:/[\w.-]+)+")


def published(root: Path) -> list[Path]:
    """The files of a checkout that others read."""
    return sorted(
        path
        for pattern in PATTERNS
        for path in root.glob(pattern)
        if path.suffix in TEXTS or path.name.endswith(PACKED)
    )


def paths_in(page: Path, root: Path) -> Iterator[str]:
    """The absolute paths in a file, and those that lead upwards but to no file of the checkout."""
    text = (read_bytes(page) if page.name.endswith(PACKED) else page.read_bytes()).decode()
    text = "\n".join(filter(None, parts(text))) if page.suffix == ".html" else text
    yield from ABSOLUTE.findall(text)
    for path in UPWARDS.findall(text):
        target = (page.parent / path).resolve()
        if not (target.is_relative_to(root.resolve()) and target.exists()):
            yield path


def found(root: Path) -> dict[str, list[str]]:
    """The paths in each file that has any."""
    return {page.relative_to(root).as_posix(): paths for page in published(root) if (paths := [*paths_in(page, root)])}


def test_no_published_file_holds_a_path() -> None:
    kinds = {path.suffix for path in published(ROOT)}
    assert {".md", ".html", ".json", ".gz"} <= kinds or not (ROOT / "leaderboard").is_dir()
    assert found(ROOT) == {}


@pytest.mark.parametrize(
    "name", ["README.md", "docs/submit.md", "leaderboard/index.html", "leaderboard/LEADERBOARD.md"]
)
@pytest.mark.parametrize(
    "path",
    ["/tmp/out", "/home/me/mitos", "/mnt/data", "C:\\data", "file:///srv/x", "../shared/data", "../../elsewhere"],
)
def test_a_path_in_a_changed_copy_is_found(name: str, path: str, tmp_path: Path) -> None:
    copy = tmp_path / "checkout" / name
    copy.parent.mkdir(parents=True)
    text = (ROOT / name).read_text(encoding="utf-8")
    copy.write_text(text.replace("mitobench", f"mitobench --data {path}", 1), encoding="utf-8")
    assert path in [*paths_in(copy, tmp_path / "checkout")]


def test_a_path_in_a_changed_record_is_found(tmp_path: Path) -> None:
    record = min((ROOT / "leaderboard").rglob(f"mitos2012*{PACKED}"))
    text = read_bytes(record).decode()
    assert "--data DATA" in text
    copy = tmp_path / "leaderboard" / record.name
    copy.parent.mkdir()
    for path in ("../../shared/data", "/srv/data"):
        copy.write_bytes(pack(text.replace("--data DATA", f"--data {path}").encode()))
        assert published(tmp_path) == [copy]
        assert [*paths_in(copy, tmp_path)] == [path]


def test_words_with_slashes_and_paths_of_a_home_are_no_paths_of_a_machine(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("um/px, `~/mitos`, TP/(TP + FP), https://host/path, `runs/store`, [page](page.md), </svg>, 1 / 2\n")
    assert [*paths_in(page, tmp_path)] == []
