"""The command line: one small file a command, heavy imports inside the command."""

from __future__ import annotations

import io
import sys

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
    """Run the command line. What a user can mend is told without a traceback; exit code 2."""
    _show_what_cannot_be_encoded()
    try:
        app()
    except MitobenchError as reason:
        print(f"error: {reason}", file=sys.stderr)
        sys.exit(2)
