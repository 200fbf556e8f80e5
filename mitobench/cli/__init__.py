"""The command line: one small file a command, heavy imports inside the command."""

from __future__ import annotations

import io
import sys
from contextlib import suppress
from typing import NoReturn

import typer

from mitobench.cli import (
    compare,
    data,
    doctor,
    experiment,
    gallery,
    info,
    leaderboard,
    new_plugin,
    pack,
    predict,
    reproduce,
    run,
    score,
    submit,
    terminal,
    weights,
)
from mitobench.errors import MitobenchError

app = typer.Typer(
    name="mitobench",
    help="A plugin-based model zoo and benchmark harness for mitosis detection in H&E histology.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command("run")(run.run)
app.command("experiment")(experiment.experiment)
app.command("compare")(compare.compare)
app.command("gallery")(gallery.gallery)
app.command("reproduce")(reproduce.reproduce)
app.command("submit")(submit.submit)
app.command("pack")(pack.pack)
app.command("predict")(predict.predict)
app.command("list")(info.list_plugins)
app.command("info")(info.info)
app.command("score")(score.score)
app.command("doctor")(doctor.doctor)
app.command("new-plugin")(new_plugin.new_plugin)
app.command("check-plugin")(new_plugin.check_plugin)
app.add_typer(data.app, name="data")
app.add_typer(leaderboard.app, name="leaderboard")
app.add_typer(weights.app, name="weights")


def _show_what_cannot_be_encoded() -> None:
    """Letters that the console's encoding lacks, and bytes of file names that are no text, are shown as `\\xe9`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def main() -> None:
    """Run the command line. An error that the user can fix is shown without a traceback; exit code 2."""
    _show_what_cannot_be_encoded()
    try:
        with terminal.guarded():
            app()
    except MitobenchError as reason:
        _fail(str(reason))
    except BrokenPipeError:  # whoever reads the output has seen enough
        sys.exit(1)
    except OSError as reason:
        _fail(
            f"{reason.filename or 'A file'}: {reason.strerror or reason}. Check the path, its permissions and the disk."
        )


def _fail(message: str) -> NoReturn:
    with suppress(OSError):  # there is nowhere left to say it
        terminal.echo(f"error: {message}", err=True, lines=True)
    sys.exit(2)
