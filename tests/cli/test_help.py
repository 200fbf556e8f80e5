"""The command line: help, version, and fast start-up without heavy imports."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from typing import Any

import pytest

from mitobench import __version__

pytestmark = pytest.mark.slow

COMMANDS = (
    "compare",
    "gallery",
    "reproduce",
    "submit",
    "pack",
    "predict",
    "run",
    "experiment",
    "export",
    "weights",
    "list",
    "info",
    "score",
    "doctor",
    "data",
    "leaderboard",
    "new-plugin",
    "check-plugin",
)
# pydantic is not included: recent versions of typer import it themselves.
HEAVY = ("torch", "torchvision", "numpy", "scipy", "skimage", "sklearn", "matplotlib", "mmengine", "mmcv", "mmdet")
OURS = ("mitobench.api", "mitobench.benchmark", "mitobench.pipeline", "mitobench.datasets", "mitobench.evaluate")


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["list"], ["list", "--role", "detector"], ["run", "--help"]], ids=str
)
def test_nothing_heavy_is_imported(arguments: list[str]) -> None:
    program = (
        f"import sys; sys.argv = ['mitobench', *{arguments}]\n"
        "from mitobench.cli import main\n"
        "try: main()\n"
        f"finally: print('LOADED', [name for name in {HEAVY + OURS} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "LOADED []"


def test_version_is_that_of_the_package(mitobench: Callable[..., Any]) -> None:
    answer = mitobench("--version")
    assert (answer.code, answer.out) == (0, f"mitobench {__version__}\n")
    assert __version__ == metadata.version("mitobench")


def test_paragraphs_of_help_are_not_broken_into_lines(
    mitobench: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    shown = mitobench("predict", "--help").out
    assert "PNG, JPEG, JPEG 2000, WebP and BMP" in shown
    assert "because they cannot be read; 2: an argument is wrong, or nothing could be searched or written." in shown


def test_help_names_every_command(mitobench: Callable[..., Any]) -> None:
    answer = mitobench("--help")
    assert answer.code == 0
    assert [name for name in COMMANDS if f" {name} " not in answer.out] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(mitobench: Callable[..., Any], command: str) -> None:
    answer = mitobench(command, "--help")
    assert answer.code == 0
    assert f" {command} [OPTIONS]" in answer.out


@pytest.mark.parametrize(
    "command",
    [
        "score",
        "info",
        "list",
        "run",
        "experiment",
        "export",
        "compare",
        "gallery",
        "reproduce",
        "submit",
        "pack",
        "predict",
        "leaderboard build",
        "leaderboard show",
        "leaderboard check",
        "leaderboard add",
    ],
)
def test_help_shows_an_example(mitobench: Callable[..., Any], command: str) -> None:
    answer = mitobench(*command.split(), "--help")
    assert "Example" in answer.out
    assert f"mitobench {command} " in answer.out


def test_an_unknown_command_is_an_error_without_a_traceback(mitobench: Callable[..., Any]) -> None:
    answer = mitobench("lst")
    assert answer.code == 2
    assert "lst" in answer.err
    assert "Traceback" not in answer.err
