"""Options under their current names, where profiles and users give old ones."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from typing import Any

from mitobench.api import Options
from mitobench.errors import MitobenchError

log = logging.getLogger("mitobench")


def under_current_names(where: str, options: type[Options], owner: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a table's options under their current names. Raises MitobenchError if one is given under both names."""
    renamed: dict[str, Any] = {}
    for option, value in values.items():
        current = current_name(options, owner, option)
        if current in renamed:
            raise MitobenchError(f"{where} gives {current} twice, once under its old name. Remove one of them.")
        renamed[current] = value
    return renamed


def current_name(options: type[Options], owner: str, option: str) -> str:
    """Returns an option's current name; logs a warning if the given name is an old one."""
    current = options.renamed.get(option, option)
    if current != option:
        _note_renamed(owner, option, current)
    return current


@functools.cache  # once a process
def _note_renamed(owner: str, option: str, current: str) -> None:
    log.warning("Option `%s` of %s is now called `%s`.", option, owner, current)
