"""`mitobench weights`: makes files of pretrained weights: `convert`, and subcommands from other packages.

A package adds a subcommand by `[project.entry-points."mitobench.weights"] name = "module:function"`, where the function
is a Typer command. A subcommand that cannot be imported is listed as broken, and reports the reason when it is called.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import metadata
from typing import Any, cast

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from mitobench import discovery
from mitobench.cli.weights_convert import convert
from mitobench.errors import PluginError

GROUP = "mitobench.weights"


class WeightsCommands(TyperGroup):
    """The subcommands of all packages. Each is imported only when its help is shown or it is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Returns the names of the subcommands, sorted."""
        return sorted({"convert", *_entries()})

    def get_command(self, ctx: Any, cmd_name: str) -> TyperCommand | None:
        """Returns a subcommand; None if no package provides it."""
        if cmd_name == "convert":
            return _of(cmd_name, convert)
        entry = _entries().get(cmd_name)
        return _command(entry) if entry else None


app = typer.Typer(
    cls=WeightsCommands,
    help="Make files of pretrained weights, from which training can start.",
    epilog="Installed packages may add commands, and formats to `convert`: .caffemodel comes with mitobench-mmdet.",
    no_args_is_help=True,
)
app.callback()(lambda: None)


def _entries() -> dict[str, metadata.EntryPoint]:
    entries = metadata.entry_points(group=GROUP)
    return {entry.name: entry for entry in entries if entry.dist and discovery.allowed(entry.dist.name)}


def _command(entry: metadata.EntryPoint) -> TyperCommand:
    package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else "?"
    try:
        return _of(entry.name, entry.load())
    except (Exception, SystemExit) as reason:
        problem = f"`mitobench weights {entry.name}` of package {package} is broken: {type(reason).__name__}: {reason}."
        return TyperCommand(
            entry.name,
            callback=partial(_raise, f"{problem} Install a working version of the package, or uninstall it."),
            context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
            help=f"Broken: {package} cannot be imported.",
        )


def _raise(problem: str) -> None:
    raise PluginError(problem)


def _of(name: str, function: Callable[..., Any]) -> TyperCommand:
    """Turns a function into a Typer command."""
    app = typer.Typer(add_completion=False, rich_markup_mode="rich")
    app.command(name)(function)
    return cast(TyperCommand, get_command(app))
