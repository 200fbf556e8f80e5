"""Plugins with all others that they require, as classes with their options."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from mitobench import discovery
from mitobench.api import Options, Plugin
from mitobench.errors import MitobenchError, PluginError
from mitobench.pipeline.plugin_ref import required
from mitobench.pipeline.settings import Settings

Configured = tuple[str, type[Plugin], Options]  # a plugin's role, class and options


def with_required(
    settings: Settings, role: str, name: str, extra: Mapping[str, Any] | None = None
) -> Iterator[Configured]:
    """Yields a plugin, then each that it requires, directly or not; `extra` options override the others.

    Raises MitobenchError for an option of the plugin that is wrong, PluginError for a plugin that cannot be loaded or
    is required with wrong options, and as `plugin_ref.hook` does.
    """
    cls = discovery.load(role, name)
    options = settings.options(role, cls, extra)
    yield role, cls, options
    for other_role, wanted in required(role, cls, options).values():
        others = with_required(settings, other_role, wanted.name, wanted.options)
        with requiring(role, name, wanted.name):
            first = next(others)
        yield first
        yield from others


@contextmanager
def requiring(role: str, name: str, other: str) -> Iterator[None]:
    """Within it, a plugin is loaded that another one requires: what cannot be loaded breaks the one that requires it.

    A MitobenchError then becomes a PluginError that names both.
    """
    try:
        yield
    except MitobenchError as reason:
        raise PluginError(f"{role} {name!r} requires {other!r}: {reason}") from reason


def loadable(settings: Settings, roles: Mapping[str, Sequence[str]]) -> Iterator[Configured]:
    """Yields the plugins of a grid, and those that they require, as far as they can be loaded.

    Raises MitobenchError for an option of a plugin that is wrong.
    """
    for role, names in roles.items():
        for name in names:
            with suppress(PluginError):  # reported by the plan
                yield from with_required(settings, role, name)
