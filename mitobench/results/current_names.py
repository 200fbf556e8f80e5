"""A record's options under the names that they have now, so that records from before a rename compare with new ones.

Nothing of this is stored: a record keeps the names that it was written with.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mitobench import discovery

if TYPE_CHECKING:
    from mitobench.results.schema import PluginEntry, Record


def current_options(where: str, plugin: PluginEntry) -> dict[str, Any]:
    """A plugin's options under their current names; `where` is its key in `Record.plugins`."""
    return _current(where, plugin, plugin.options)


def current_variant(where: str, plugin: PluginEntry) -> dict[str, Any]:
    """The options that tables show next to a plugin's name, under their current names."""
    return _current(where, plugin, plugin.variant)


def current_overrides(record: Record) -> list[str]:
    """The record's `--set` texts, with the current names of the options."""
    return [_current_text(record, text) for text in record.overrides]


def _current(where: str, plugin: PluginEntry, options: Mapping[str, Any]) -> dict[str, Any]:
    """Sorted by name where one was renamed, as stored options are; a value under its current name wins."""
    renamed = discovery.renamed_options(_role(where), plugin.name)
    if not renamed.keys() & options.keys():
        return dict(options)
    current = {renamed[old]: value for old, value in options.items() if old in renamed}
    current |= {name: value for name, value in options.items() if name not in renamed}
    return dict(sorted(current.items()))


def _current_text(record: Record, text: str) -> str:
    place, equals, value = text.partition("=")
    role, _, rest = place.partition(".")
    name, _, option = rest.rpartition(".")  # the argument of a family's member may hold dots
    entries = [
        entry
        for where, entry in record.plugins.items()
        if _role(where) == role and name in ("", entry.name, discovery.split(entry.name)[0])
    ]
    renamed = {
        old: current for entry in entries for old, current in discovery.renamed_options(role, entry.name).items()
    }
    if option not in renamed:
        return text
    return f"{place.removesuffix(option)}{renamed[option]}{equals}{value}"


def _role(where: str) -> str:
    """The role of an entry of `Record.plugins`; `verifier requires frcnn` is a detector, as only those are required."""
    return "detector" if " requires " in where or " uses " in where else where
