"""The documentation site: every page has its place in the navigation, and the site builds without a warning."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}


def navigation() -> list[str]:
    """The pages that mkdocs.yml lists, each by its path on the site."""
    _, _, listed = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")
    return re.findall(r"- (?:.*: )?([\w./-]+\.md)$", listed, re.MULTILINE)


def missing(listed: list[str]) -> set[str]:
    """Pages of docs/ that the navigation does not list."""
    return PAGES - set(listed)


def dangling(listed: list[str]) -> list[str]:
    """Entries of the navigation that are neither a page of docs/ nor, under the same path, one of the repository."""
    return [page for page in listed if page not in PAGES and not (ROOT / page).is_file()]


def test_every_page_is_in_the_navigation_once() -> None:
    assert missing(navigation()) == set()
    assert len(navigation()) == len(set(navigation()))


def test_every_entry_of_the_navigation_exists() -> None:
    assert len(navigation()) > 25
    assert dangling(navigation()) == []


def test_a_page_that_is_left_out_and_one_that_is_gone_are_found() -> None:
    assert missing([page for page in navigation() if page != "faq.md"]) == {"faq.md"}
    assert dangling([*navigation(), "gone.md"]) == ["gone.md"]


def test_every_page_is_listed_on_the_first_page() -> None:
    first = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    assert {page for page in PAGES if f"]({page})" not in first} == {"README.md"}


def test_every_build_fails_on_a_warning() -> None:
    """With --quiet, mkdocs drops warnings before it counts them."""
    builds = [ROOT / "Makefile", ROOT / ".github" / "workflows" / "docs.yml"]
    commands = [
        line for path in builds for line in path.read_text(encoding="utf-8").splitlines() if "mkdocs build" in line
    ]
    assert len(commands) == 2
    assert all(line.endswith("mkdocs build --strict") for line in commands)


@pytest.mark.parametrize("module", ["api", "training"])
def test_every_public_name_is_on_the_api_page(module: str) -> None:
    source = (ROOT / "mitobench" / module / "__init__.py").read_text()
    names = re.findall(r'"(\w+)"', source.split("__all__ = [")[1].split("]")[0])
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert len(names) > 20
    assert [name for name in names if f"mitobench.{module}.{name}" not in page] == []


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built without a network address of the repository. Any warning is an error."""
    if find_spec("material") is None or find_spec("mkdocstrings") is None:
        pytest.skip("mkdocs-material and mkdocstrings are not installed: `make docs` installs them")
    folder = tmp_path_factory.mktemp("docs") / "site"
    plain = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    plain.pop("MITOBENCH_REPOSITORY_URL", None)
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    run = subprocess.run(command, cwd=ROOT, env=plain, capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stderr
    assert "WARNING" not in run.stderr
    return folder


@pytest.mark.slow
@pytest.mark.thorough
def test_the_pages_of_the_site_hold_what_is_generated(site: Path) -> None:
    commands = (site / "command-line.html").read_text(encoding="utf-8")
    assert 'id="mitobench-leaderboard-recommend"' in commands
    assert "--train-on TEXT" in commands
    api = (site / "api.html").read_text(encoding="utf-8")
    assert 'id="mitobench.api.Detector.predict"' in api
    assert "a frame of any part, without its annotation" in api
    assert (site / "leaderboard" / "LEADERBOARD.html").is_file()


@pytest.mark.slow
@pytest.mark.thorough
def test_the_site_loads_nothing_from_other_servers(site: Path) -> None:
    pages = [page for page in site.rglob("*.html") if "leaderboard/index" not in page.as_posix()]
    loaded = re.compile(
        r'<(?:script|img|iframe)[^>]* src="(https?:[^"]+)|<link[^>]*rel="(?:stylesheet|preconnect)"[^>]*http'
    )
    assert len(pages) > 30
    assert [page.name for page in pages if loaded.search(page.read_text(encoding="utf-8"))] == []


@pytest.mark.slow
@pytest.mark.thorough
def test_links_on_the_site_lead_somewhere(site: Path) -> None:
    dead = []
    for page in site.rglob("*.html"):
        for link in re.findall(r'<a [^>]*href="(?!\w+:)([^"#?]+)', page.read_text(encoding="utf-8")):
            if not (page.parent / link).exists() and page.name != "404.html":
                dead.append(f"{page.relative_to(site)}: {link}")
    assert dead == []
