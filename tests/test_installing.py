"""Packages of this project are installed from a checkout until they are on PyPI, and every message and page says so."""

from __future__ import annotations

import re
from pathlib import Path

from mitobench import registry
from mitobench.installing import FOLDERS, install

ROOT = Path(__file__).parents[1]
# `pip install mitobench-mmdet`; an extra of what is installed ('mitobench[slides]') needs no index of packages.
FROM_AN_INDEX = re.compile(
    r"pip install(?! --no-index)[^`\n#]*? '?mitobench(?:-(?:networks|mmdet|example))?(?![\w/\[-])"
)


def texts() -> list[Path]:
    """All pages, messages and templates."""
    folders = [
        ROOT / name for name in ("mitobench", "plugins", "docs", "leaderboard/sections", ".github", "benchmarks")
    ]
    found = [path for folder in folders for path in folder.rglob("*") if path.suffix in {".py", ".md", ".j2", ".yml"}]
    return [*found, *ROOT.glob("*.md"), ROOT / "Dockerfile"]


def test_no_page_and_no_message_installs_a_package_of_ours_by_its_name() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}: {found.group()}"
        for path in texts()
        for found in FROM_AN_INDEX.finditer(path.read_text(encoding="utf-8"))
        if found.group() != "pip install mitobench"  # a question of the FAQ
    ]
    assert wrong == []
    assert FROM_AN_INDEX.search("pip install 'mitobench[training]' mitobench-mmdet")
    assert not FROM_AN_INDEX.search("pip install 'mitobench[training]' ./plugins/mmdet")


def test_each_folder_holds_the_package_of_that_name() -> None:
    projects = {path.parent for path in ROOT.glob("plugins/*/pyproject.toml")} | {ROOT}
    assert {ROOT / folder for folder in FOLDERS.values()} == projects
    for name, folder in FOLDERS.items():
        assert registry.read_toml(ROOT / folder / "pyproject.toml")["project"]["name"] == name


def test_our_packages_come_from_a_checkout_and_others_from_where_pip_finds_them() -> None:
    assert install("mitobench-mmdet>=0.2") == "`pip install ./plugins/mmdet` in a checkout of mitobench"
    assert install("mitobench", again=True) == "`pip install --force-reinstall .` in a checkout of mitobench"
    assert install("numpy<1", "x-y") == "`pip install 'numpy<1' x-y`"
