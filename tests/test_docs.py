"""README and docs: every command, option, package and file that they name exists."""

from __future__ import annotations

import re
import runpy
import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup

from mitobench import __version__, discovery, registry
from mitobench.cli import app
from mitobench.pipeline.settings import Settings

pytestmark = pytest.mark.slow

UsageError: Any = typer.BadParameter.__base__  # click's, or Typer's own since 0.26
ROOT = Path(__file__).parents[1]
CHECK_LINKS = ROOT / "docs" / "website" / "check_links.py"
PAGES = sorted(
    path
    for pattern in (
        *("README.md", "CONTRIBUTING.md", "docs/*.md"),
        *("plugins/*/README.md", "benchmarks/README.md", "leaderboard/**/*.md"),
    )
    for path in ROOT.glob(pattern)
)
TUTORIALS = {
    ROOT / "docs" / name for name in ("add-a-plugin.md", "add-a-family.md", "add-a-data-set.md")
}  # on plugins that readers write

BLOCK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`]+)`")
PACKAGE = re.compile(r"(?<![\w/.-])mitobench-[a-z]+(?:-[a-z]+)*")
SETTING = re.compile(rf"(?:{'|'.join(discovery.ROLES)}|pipeline)\.[\w.-]+(?: = .*|=\S+)?")


def spans(text: str) -> Iterator[str]:
    """All code in a page: the lines of blocks, continued lines joined, and the spans in its text."""
    joined = text.replace("\\\n", " ")
    for block in BLOCK.findall(joined):
        yield from block.splitlines()[1:-1]
    outside = BLOCK.sub("", joined)
    yield from (line.strip() for line in outside.splitlines() if line.startswith("    "))
    yield from (" ".join(span.split()) for span in SPAN.findall(outside))


def commands(text: str) -> list[str]:
    return [span for span in spans(text) if span.startswith("mitobench ")]


def wrong_command(line: str) -> str | None:
    """Why the command line does not take a command; None where it does. A name alone may lack its arguments."""
    _, *words = shlex.split(line, comments=True)
    command: Any = typer.main.get_command(app)
    while isinstance(command, TyperGroup) and words:
        name = words.pop(0)
        if name == "--help":
            return None
        command = command.get_command(typer.Context(command), name)
        if command is None:
            return f"{name}: no such command"
    if not words or command is None:
        return None
    try:
        command.make_context(line, words)
    except typer.Exit:  # --help
        return None
    except UsageError as error:
        return error.format_message()
    return None


def unknown_script(line: str) -> str | None:
    """Why `python SCRIPT --option ...` cannot be run; None where it can."""
    path, *_ = (word for word in line.split()[1:] if word.endswith(".py"))
    if not (ROOT / path).is_file():
        return f"{path}: is not there"
    source = (ROOT / path).read_text(encoding="utf-8")
    unknown = [option for option in re.findall(r"--[a-z-]+", line) if f'"{option}"' not in source]
    return f"{line}: has no {unknown[0]}" if unknown else None


def unknown_setting(text: str) -> str | None:
    """Why no installed plugin of the role has the option; None where one does."""
    place, _, option = text.partition("=")[0].strip().rpartition(".")
    role, _, only = place.partition(".")
    if role == "pipeline":
        known = option in Settings.load("paper").pipeline().model_dump()
    else:
        plugins = [only] if only else discovery.names(role)
        known = any(option in discovery.family(role, discovery.split(name)[0]).Options.model_fields for name in plugins)
    return None if known else f"{text}: no such option"


def intervals(text: str) -> set[tuple[str, str]]:
    """Every F1 with the brackets beside it, or in small type below it."""
    text = text.replace("<br><sub>", " ").replace("\N{NO-BREAK SPACE}", " ")
    return set(re.findall(r"(\.\d{3})(?:\*\*)?(?: \([^)]*\))? (\[\.\d{3}, \.\d{3}\])", text))


def relative(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_every_command_exists_with_its_options(page: Path) -> None:
    wrong = {line: why for line in commands(page.read_text(encoding="utf-8")) if (why := wrong_command(line))}
    assert wrong == {}


def test_commands_are_found_in_blocks_spans_and_indented_lines() -> None:
    text = "`mitobench list`\n\n    mitobench run --seeds 3  # three\n\n```\nmitobench doctor\n```\n`mitobench\nshow`\n"
    assert sorted(commands(text)) == [
        *("mitobench doctor", "mitobench list", "mitobench run --seeds 3  # three", "mitobench show")
    ]
    assert sum(len(commands(page.read_text(encoding="utf-8"))) for page in PAGES) > 60


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("mitobench leaderbord check", "no such command"),
        ("mitobench leaderboard migrat", "no such command"),
        ("mitobench run --gate .88", "No such option"),
        ("mitobench run --seeds many", "Invalid value for '--seeds'"),
        ("mitobench predict hpf.tif", "Missing option '--out'"),
        ("mitobench compare ONE OTHER THIRD", "unexpected extra argument"),
    ],
)
def test_a_command_that_does_not_exist_is_found(line: str, why: str) -> None:
    assert why in (wrong_command(line) or "")


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_every_script_exists_with_its_options(page: Path) -> None:
    scripts = [line for line in spans(page.read_text(encoding="utf-8")) if line.startswith("python ")]
    assert [why for line in scripts if (why := unknown_script(line))] == []


@pytest.mark.parametrize("line", ["python benchmarks/fuz.py", "python benchmarks/fuzz.py [--frames N]"])
def test_a_script_that_does_not_exist_is_found(line: str) -> None:
    assert unknown_script(line)


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if page not in TUTORIALS], ids=relative)
def test_every_option_of_a_plugin_exists(page: Path) -> None:
    named = [span for span in spans(page.read_text(encoding="utf-8")) if SETTING.fullmatch(span)]
    for line in commands(page.read_text(encoding="utf-8")):
        words = shlex.split(line, comments=True)
        named += [value for word, value in pairwise(words) if word == "--set" and "." in value]
    assert [why for span in named if (why := unknown_setting(span))] == []


@pytest.mark.parametrize("setting", ["verifier.blurr=1", "pipeline.gate", "detector.blobs.iterations=3"])
def test_an_option_that_does_not_exist_is_found(setting: str) -> None:
    assert unknown_setting(setting)


@pytest.mark.parametrize("page", [page for page in PAGES if page not in TUTORIALS], ids=relative)
def test_every_package_exists(page: Path) -> None:
    projects = [ROOT / "pyproject.toml", *ROOT.glob("plugins/*/pyproject.toml")]
    there = {registry.read_toml(path)["project"]["name"] for path in projects}
    assert "mitobench-networks" in there
    assert set(PACKAGE.findall(page.read_text(encoding="utf-8"))) <= there


def test_every_link_within_the_repository_leads_somewhere() -> None:
    check = runpy.run_path(str(CHECK_LINKS))
    inside = [(link, page) for link, pages in check["links"]().items() for page in pages if "://" not in link]
    assert {*PAGES, ROOT / "CHANGELOG.md"} >= {page for _, page in inside} >= {ROOT / "README.md"}
    assert [(link, page) for link, page in inside if check["dead"](page, link)] == []


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    dead = runpy.run_path(str(CHECK_LINKS))["dead"]
    page = tmp_path / "page.md"
    page.write_text("# A title, long\n")
    assert not any(dead(page, link) for link in ("page.md", "#a-title-long", "page.md#a-title-long"))
    assert all(dead(page, link) for link in ("other.md", "#a-title", "other.md#a-title-long"))


@pytest.mark.parametrize("page", ["README.md", "docs/results.md"])
def test_every_interval_of_a_page_is_the_leaderboards(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    quoted = intervals(BLOCK.sub("", text))  # what commands print is compared in test_readme.py
    assert len(quoted) > 4
    pages = (ROOT / "leaderboard" / "sections").glob("*.md")
    assert quoted <= set().union(*(intervals(page.read_text(encoding="utf-8")) for page in pages))


def test_changelog_and_citation_are_of_this_version() -> None:
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## \[([^\]]+)\]", changes, re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert headings[1] == __version__
    assert f'\nversion: "{__version__}"\n' in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_an_interval_is_found_with_its_f1() -> None:
    text = "| **.780** [.661, .866] | .692 (one seed) [.557, .801] | +.013 [-.060, +.085] | .7<br> |"
    assert intervals(text) == {(".780", "[.661, .866]"), (".692", "[.557, .801]")}
    assert intervals("| .780<br><sub>[.661,\N{NO-BREAK SPACE}.866]</sub> |") == {(".780", "[.661, .866]")}
