"""docs/add-a-family.md is followed word for word: its code, its profile and each of its commands."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mitobench import discovery, registry
from mitobench.contract.subject import subject

pytestmark = pytest.mark.slow

DOC = (Path(__file__).parents[1] / "docs" / "add-a-family.md").read_text(encoding="utf-8")
COMMANDS = [line.strip() for line in re.findall(r"^    (.+)$", re.sub(r"```.*?```", "", DOC, flags=re.DOTALL), re.M)]


def block(kind: str, number: int = 0) -> str:
    """Returns one of the blocks of that kind."""
    return re.findall(rf"```{kind}\n(.*?)```", DOC, re.DOTALL)[number]


CARD, PROFILE = block("toml", 0), block("toml", 1)


@pytest.mark.thorough
def test_the_page_works_word_for_word(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    install: Callable[..., None],
    mitobench: Callable[..., Any],
    small_data: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MITOBENCH_STORE", str(tmp_path / "store"))
    Path("my.toml").write_text(PROFILE, encoding="utf-8")
    said = {}
    for command in COMMANDS:
        if command.startswith("pip install"):
            _install(install, monkeypatch)
        else:
            said[command] = _run(command, mitobench, small_data)
    subject.cache_clear()

    def answer(beginning: str) -> str:
        return next(text for command, text in said.items() if command.startswith(beginning))

    assert re.search(r"skblobs:METHOD .* Blob detectors of scikit-image\n +METHOD: ", answer("mitobench list"))
    assert "radius_um" in answer("mitobench info skblobs:log")
    assert "skblobs:doh passes all checks." in answer("mitobench check-plugin")
    records = [json.loads(path.read_text(encoding="utf-8")) for path in Path("blobs/records").glob("*.json")]
    options = [
        (record["combination"]["detector"], record["plugins"]["detector"]["options"]["radius_um"]) for record in records
    ]
    expected = [("log", 2.0), ("doh", 2.0), ("log", 2.5), ("log", 2.2), ("doh", 2.2)]
    assert set(options) == {(f"skblobs:{method}", radius_um) for method, radius_um in expected}


def _install(install: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Installs the package that the page writes, next to mitobench's own plugins."""
    package = Path("skblobs/mitobench_skblobs")
    assert (package / "__init__.py").is_file(), "`new-plugin` wrote it"
    points = registry.read_toml(package.parent / "pyproject.toml")["project"]["entry-points"]
    assert (package / "skblobs.toml").is_file()
    files = {"mitobench_skblobs/skblobs.toml": CARD, "mitobench_skblobs/__init__.py": block("python")}
    subject.cache_clear()
    install("mitobench-skblobs", points, files)
    monkeypatch.setenv("MITOBENCH_PACKAGES", "mitobench,mitobench-skblobs")
    discovery.found.cache_clear()


def _run(command: str, mitobench: Callable[..., Any], data: Path) -> str:
    """Runs one command of the page, on small synthetic frames; what it prints."""
    words = shlex.split(command)
    assert words[0] == "mitobench"
    answer = mitobench(*words[1:], *(["--data", data] if words[1] == "run" else []))
    assert answer.code == 0, f"{command}: {answer.out}{answer.err}"
    return str(answer.out)
