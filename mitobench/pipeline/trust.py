"""What plugins would do that needs the user's permission: run a program, contact a hub. Asked before anything runs.

`mitobench run` allows the commands that the user typed. Records, packed models, profiles and experiments may come from
anybody: what they name is shown in full first, and needs `--allow-external` or `--allow-download`.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from mitobench import discovery
from mitobench.api import Options, Plugin
from mitobench.errors import MitobenchError, PluginError
from mitobench.hub import ALLOW_DOWNLOAD, download_allowed
from mitobench.pipeline.graph import Plan
from mitobench.pipeline.plugin_ref import needs
from mitobench.pipeline.requirements import loadable
from mitobench.pipeline.settings import Settings

EXTERNAL, DOWNLOAD = "external", "download"
KINDS = {EXTERNAL: "run this command", DOWNLOAD: "contact a hub"}
FORBID_EXTERNAL = "MITOBENCH_FORBID_EXTERNAL"  # read by everything that runs a program


class Permission(NamedTuple):
    """What a plugin would do: `kind` is one of KINDS, `text` the command or what is fetched from where."""

    kind: str
    text: str


def requests_of(role: str, cls: type[Plugin], options: Options, folder: Path | None = None) -> list[Permission]:
    """Returns what a plugin with these options, saved in this folder if in any, would do.

    Raises PluginError if it cannot say.
    """
    return [Permission(*need) for need in needs(role, cls, options, folder)]


def requests_of_plan(plan: Plan) -> list[Permission]:
    """Returns what all plugins of a plan would do, each once."""
    refs = {
        id(ref): ref
        for stage in plan.stages.values()
        for ref in (stage.plugin, *stage.members.values())
        if ref is not None
    }
    return list(dict.fromkeys(Permission(*need) for ref in refs.values() for need in ref.trusts()))


def check(found: Iterable[Permission], allowed: Container[str | Permission], source: str) -> None:
    """Checks that everything is allowed.

    Args:
        found: what plugins would do.
        allowed: kinds, and single requests, that the user allowed.
        source: what asks for it, for the message: a record, a model, a run.

    Raises MitobenchError with every command and hub in full, in ASCII: no character of it can change how it is shown.
    """
    refused = [one for one in dict.fromkeys(found) if one.kind not in allowed and one not in allowed]
    if refused:
        lines = [f"  {KINDS.get(kind, ascii(kind))}: {text!a}" for kind, text in refused]
        trusted = ", with all of your rights on this machine" if any(one.kind == EXTERNAL for one in refused) else ""
        flags = " and ".join(f"--allow-{kind}" for kind in dict.fromkeys(request.kind for request in refused))
        raise MitobenchError(
            "\n".join(
                [
                    f"{source} would",
                    *lines,
                    f"Nothing was run. If you trust this{trusted}, give {flags}.",
                ]
            )
        )


def allowed_for(allow: Collection[str], typed: Sequence[Mapping[str, Sequence[str]]]) -> Container[str | Permission]:
    """Returns the kinds that are allowed, and the single commands of plugins that the user typed."""
    kinds = {*allow, *([DOWNLOAD] if download_allowed() else [])}
    commands = set[Permission]()
    plugins = {(role, name) for roles in typed for role, names in roles.items() for name in names}
    for role, name in plugins:
        with suppress(MitobenchError):  # the plan reports a plugin that cannot be loaded, or cannot say
            cls = discovery.load(role, name)
            commands |= {one for one in requests_of(role, cls, cls.Options()) if one.kind == EXTERNAL}
    return kinds | commands


def requests_of_grids(
    named: Sequence[Mapping[str, Sequence[str]]], settings: Sequence[Settings]
) -> Iterator[Permission]:
    """Yields what the plugins, and those that they require, would do. Those that cannot be loaded do nothing.

    Raises MitobenchError for an option of a plugin that is wrong.
    """
    for roles, own in zip(named, settings, strict=True):
        for role, cls, options in loadable(own, roles):
            with suppress(PluginError):  # the plan asks again
                yield from requests_of(role, cls, options)


@contextmanager
def only(allowed: Collection[str]) -> Iterator[None]:
    """Within the block, here and in processes started from here, programs and downloads work only if they are allowed.

    `check` comes first, with a message. This is the second lock, for what no plugin has declared. It never opens a
    lock: downloads also need MITOBENCH_ALLOW_DOWNLOAD, which `--allow-download` sets.
    """
    wanted: dict[str, str | None] = {} if EXTERNAL in allowed else {FORBID_EXTERNAL: "1"}
    wanted |= {} if DOWNLOAD in allowed else {ALLOW_DOWNLOAD: None}
    with _environment(wanted):
        yield


@contextmanager
def allowing(allowed: Collection[str]) -> Iterator[None]:
    """Within the block, this process and those that it starts may download, if that is allowed."""
    with _environment({ALLOW_DOWNLOAD: "1"} if DOWNLOAD in allowed else {}):
        yield


@contextmanager
def _environment(wanted: Mapping[str, str | None]) -> Iterator[None]:
    """Within the block, environment variables have these values; None: they are not set."""
    before = {name: os.environ.get(name) for name in wanted}
    _set(wanted)
    try:
        yield
    finally:
        _set(before)


def _set(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
