"""How a check fails: with a message, or where the plugin's code raised."""

from __future__ import annotations

import traceback

from mitobench import discovery
from mitobench.errors import PluginError, raised_at


def require(condition: object, message: str) -> None:
    """Raises PluginError with a message unless a condition holds."""
    if not condition:
        raise PluginError(message)


def where(role: str, name: str, reason: BaseException) -> str:
    """Returns file and line of the plugin's code that raised, or of the code that raised if it is not the plugin's."""
    place = raised_at(reason, discovery.find(role, name).module)
    last = traceback.extract_tb(reason.__traceback__)[-1]
    file, line = place or (last.filename, last.lineno)
    return f"{file}:{line}"
