"""`mitobench weights`: makes files of weights to start from, by the subcommands that packages add.

A package declares `[project.entry-points."mitobench.weights"] name = "module:function"`; the function is a command of
Typer. One that cannot be imported is listed as broken, and says why when it is called.
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
from mitobench.errors import PluginError

GROUP = "mitobench.weights"


class Added(TyperGroup):
    """The subcommands of all packages, each imported when it is shown or called."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Their names, sorted."""
        return sorted(_entries())

    def get_command(self, ctx: Any, cmd_name: str) -> TyperCommand | None:
        """One of them; None where no package adds it."""
        entry = _entries().get(cmd_name)
        return _command(entry) if entry else None


app = typer.Typer(
    cls=Added,
    help="Make files of weights that training can start from.",
    epilog="Installed packages add the commands: `convert` (of a .caffemodel) comes with mitobench-mmdet.",
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
            callback=partial(_raise, f"{problem} Install a version of it that works, or uninstall it."),
            context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
            help=f"Broken: {package} cannot be imported.",
        )


def _raise(problem: str) -> None:
    raise PluginError(problem)


def _of(name: str, function: Callable[..., Any]) -> TyperCommand:
    """A function as a command of Typer."""
    app = typer.Typer(add_completion=False, rich_markup_mode="rich")
    app.command(name)(function)
    return cast(TyperCommand, get_command(app))
