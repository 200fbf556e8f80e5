"""docs/add-a-plugin.md shows the code of the example package, and that code passes the checks for plugins."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mitobench import registry
from mitobench.contract.subject import subject

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
DOC = (ROOT / "docs" / "add-a-plugin.md").read_text(encoding="utf-8")
EXAMPLE = ROOT / "plugins" / "example"


def block(kind: str, with_text: str = "") -> str:
    """The first block of that kind that contains a text."""
    return next(found for found in re.findall(rf"```{kind}\n(.*?)```", DOC, re.DOTALL) if with_text in found)


def test_the_code_is_the_examples() -> None:
    assert block("python") == (EXAMPLE / "mitobench_example" / "__init__.py").read_text(encoding="utf-8")


def test_the_lines_of_pyproject_are_the_examples() -> None:
    project = (EXAMPLE / "pyproject.toml").read_text(encoding="utf-8")
    for part in block("toml").split("\n\n"):
        assert part.strip() in project


def test_the_example_is_about_thirty_lines() -> None:
    code = [line for line in block("python").splitlines() if line.strip()]
    assert len(code) <= 30


def test_what_the_page_shows_keeps_the_contract(install: Callable[..., None], mitobench: Callable[..., Any]) -> None:
    points = registry.read_toml(EXAMPLE / "pyproject.toml")["project"]["entry-points"]
    subject.cache_clear()
    install("as-shown", points, {"mitobench_example.py": block("python")})
    answer = mitobench("check-plugin", "dark-spots")
    subject.cache_clear()
    assert answer.code == 0, answer.out
    assert "dark-spots passes all checks." in answer.out


@pytest.mark.parametrize(
    ("role", "name", "cls"),
    [
        ("detector", "learned-spots", "LearnedSpots"),
        ("verifier", "small-patches", "SmallPatches"),
        ("verifier", "dark-core", "DarkCore"),
    ],
)
def test_each_whole_class_of_the_page_keeps_the_contract(
    install: Callable[..., None], mitobench: Callable[..., Any], role: str, name: str, cls: str
) -> None:
    module = name.replace("-", "_")
    subject.cache_clear()
    install("as-shown", {f"mitobench.{role}s": {name: f"{module}:{cls}"}}, {f"{module}.py": block("python", cls)})
    answer = mitobench("check-plugin", name)
    subject.cache_clear()
    assert answer.code == 0, answer.out
    assert f"{name} passes all checks." in answer.out


@pytest.mark.parametrize("command", sorted(set(re.findall(r"^    mitobench ([a-z-]+)", DOC, re.MULTILINE))))
def test_every_command_of_the_page_exists(command: str, mitobench: Callable[..., Any]) -> None:
    assert mitobench(command, "--help").code == 0
