"""The command line: one module per command. Heavy imports are inside the commands, so that `--help` is fast."""

from __future__ import annotations

import inspect
import io
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand

from mitobench import __version__
from mitobench.cli import (
    calibrate,
    compare,
    data,
    doctor,
    experiment,
    export,
    gallery,
    info,
    leaderboard,
    matrix,
    new_plugin,
    pack,
    predict,
    reproduce,
    run,
    score,
    store,
    submit,
    terminal,
    weights,
)
from mitobench.errors import MitobenchError

app = typer.Typer(
    name="mitobench",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _show_version(asked: bool) -> None:
    if asked:
        terminal.echo(f"mitobench {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version and exit.")
    ] = False,
) -> None:
    """A plugin-based model zoo and benchmark harness for mitosis detection in H&E histology."""


app.command("run")(run.run)
app.command("matrix")(matrix.matrix)
app.command("experiment")(experiment.experiment)
app.command("compare")(compare.compare)
app.command("gallery")(gallery.gallery)
app.command("reproduce")(reproduce.reproduce)
app.command("submit")(submit.submit)
app.command("pack")(pack.pack)
app.command("predict")(predict.predict)
app.command("calibrate")(calibrate.calibrate)
app.command("export")(export.export)
app.command("list")(info.list_plugins)
app.command("info")(info.info)
app.command("score")(score.score)
app.command("doctor")(doctor.doctor)
app.command("new-plugin")(new_plugin.new_plugin)
app.command("check-plugin")(new_plugin.check_plugin)
app.add_typer(data.app, name="data")
app.add_typer(leaderboard.app, name="leaderboard")
app.add_typer(store.app, name="store")
app.add_typer(weights.app, name="weights")


def _help(function: Callable[..., Any]) -> str:
    """The docstring of a command with one line per paragraph. Typer would keep the line breaks within paragraphs."""
    paragraphs = (inspect.getdoc(function) or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


class _Command(TyperCommand):
    """A command that refuses an empty path, such as of a variable that is not set: `Path` takes it for `.`.

    It calls numbers with limits integers in messages, where click says "integer range".
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        for param in self.params:
            param.type.name = param.type.name.removesuffix(" range")

    def parse_args(self, context: Any, arguments: list[str]) -> list[str]:
        rest = super().parse_args(context, arguments)
        for param in self.params:
            given = context.params.get(param.name)
            if param.type.name == "path" and "" in (given if isinstance(given, (list, tuple)) else [given]):
                raise typer.BadParameter("the path is empty. The current folder is written as a dot.", context, param)
        return rest


for group in (app, data.app, leaderboard.app, store.app):
    for command in group.registered_commands:
        command.cls = _Command
        if command.callback is not None:
            command.help = _help(command.callback)


def _escape_unencodable() -> None:
    """Shows characters that the console cannot encode, and undecodable bytes of file names, as escapes (`\\xe9`)."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def main() -> None:
    """Runs the command line. An error that the user can fix is shown without a traceback; exit code 2."""
    _escape_unencodable()
    try:
        with terminal.guarded():
            app()
    except MitobenchError as reason:
        _fail(str(reason))
    except BrokenPipeError:  # the reader of the output closed the pipe
        sys.exit(1)
    except OSError as reason:
        _fail(
            f"{reason.filename or 'A file'}: {reason.strerror or reason}. Check the path, its permissions and the disk."
        )


def _fail(message: str) -> NoReturn:
    with suppress(OSError):  # even the error message cannot be written
        terminal.echo(f"error: {message}", err=True, lines=True)
    sys.exit(2)
