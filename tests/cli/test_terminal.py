"""Control characters in untrusted text never reach the terminal."""

from __future__ import annotations

import ast
import io
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.logging import RichHandler
from rich.progress import Progress, TextColumn
from rich.table import Table

from mitobench import cli
from mitobench.cli import terminal

pytestmark = pytest.mark.slow

HOSTILE = {
    "title": "\x1b]0;owned\x07",
    "clipboard": "\x1b]52;c;cm0gLXJm\x07",
    "colour": "\x1b[31;8m",
    "cursor": "\x1b[2J\x1b[H",
    "C1": "\x9b2J\x9d0;owned\x9c",
    "overwrite": "\rNothing is wrong.",
    "backspace": "bad\b\b\bgood",
    "bidi": "\u202egpj.exe",
    "half a character": "\udc80",
}
hostile = pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)


def harmless(shown: str) -> bool:
    shown.encode()
    return not any(c in shown for c in "\x1b\x07\x9b\x9c\x9d\r\b\u202e")


@hostile
def test_echo_shows_it(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    terminal.echo(f"name {text}", fg=None)
    terminal.echo(f"name {text}", err=True)
    for shown in capsys.readouterr():
        assert shown.startswith("name ")
        assert harmless(shown)


def test_a_line_stays_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.echo("name\nNothing is wrong.")
    assert capsys.readouterr().out == "name\\nNothing is wrong.\n"


@hostile
def test_the_console_shows_it_wherever_it_stands(text: str) -> None:
    console = terminal.Console(file=io.StringIO(), width=200, markup=False)
    table = Table(text, title=text, caption=text)
    table.add_row(text)
    console.print(text, table)
    console.log(text)
    with Progress(TextColumn("{task.description}"), console=console) as progress:
        progress.add_task(text)
    log = logging.Logger("test")
    log.addHandler(RichHandler(console=console, show_path=False))
    log.warning("%s", text)
    assert harmless(console.file.getvalue())


def test_no_line_of_a_table_in_a_file_ends_in_spaces() -> None:
    console = terminal.Console(file=io.StringIO(), width=20)
    table = Table("what", "fix", box=None, pad_edge=False)
    table.add_row("a", "")
    table.add_row("b", "a long text that is not folded")
    console.print(table)
    assert console.file.getvalue() == "what  fix\na\nb     a long text that is not folded\n"


def test_the_consoles_own_styles_are_obeyed() -> None:
    console = terminal.Console(file=io.StringIO(), width=80, force_terminal=True, color_system="standard")
    console.print("[red]FAILED[/red]", "\\[red]", ":warning:")
    assert console.file.getvalue() == "\x1b[31mFAILED\x1b[0m [red] :warning:\n"


@hostile
@pytest.mark.parametrize("options", [["score", "TEXT.csv", "--dataset", "none"], ["xTEXT"], ["run", "--TEXT"]], ids=str)
def test_no_command_obeys_its_arguments(
    text: str, options: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["mitobench", *(option.replace("TEXT", text) for option in options)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code != 0
    shown = capsys.readouterr()
    assert harmless(shown.out + shown.err)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("command", [["list"], ["--help"], ["leaderboard", "check", "nowhere"]], ids=str)
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_full_disk_is_an_error_in_one_line(command: list[str], stream: str) -> None:
    program = [sys.executable, "-c", "from mitobench.cli import main; main()", *command]
    with open("/dev/full", "w") as full:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: full}
        done = subprocess.run(program, **pipes, text=True, timeout=60)
    if stream == "stdout" and command[0] != "leaderboard":
        assert done.returncode == 2
        assert done.stderr.startswith("error: Standard output cannot be written: No space left on device.")
    assert "Traceback" not in (done.stderr or "")
    assert "Exception" not in (done.stderr or "")


def test_a_reader_that_stops_is_no_error() -> None:
    program = f"{sys.executable} -c 'from mitobench.cli import main; main()' run --help | head -n 1"
    done = subprocess.run(program, shell=True, capture_output=True, text=True, timeout=60, env=dict(os.environ))
    assert done.stderr == ""


FILES = sorted(Path(cli.__file__).parents[1].rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_nothing_writes_to_the_terminal_another_way(path: Path) -> None:
    if path.name == "terminal.py":
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in ("print", "typer.echo", "typer.secho", "click.echo", "sys.stdout.write"), node.lineno
        if isinstance(node, ast.ImportFrom) and node.module in ("rich.console", "rich"):
            assert not {"Console", "print"} & {alias.name for alias in node.names}, node.lineno


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, ""),
        (float("inf"), ""),
        (12.4, "about 12 s left"),
        (150, "about 2 min left"),
        (9_000, "about 2.5 h left"),
    ],
)
def test_time_left_is_shown_in_words(seconds: float | None, shown: str) -> None:
    assert terminal.time_left(seconds) == shown
