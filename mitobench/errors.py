"""Errors that a user can mend: told in one message, without a traceback, with a non-zero exit."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class MitobenchError(Exception):
    """Something a user can mend. The message names the thing, where it is (file and line), and the mend."""


class DataError(MitobenchError):
    """A data set that cannot be read or trusted."""


class PluginError(MitobenchError):
    """A plugin that cannot be loaded, or that returned what its interface forbids."""


class StoreError(MitobenchError):
    """The store cannot be written or read (disk full, no permission)."""


class RecordError(MitobenchError):
    """A record that is broken, edited or of another schema version."""


MOST_NAMES = 30


def nearest(name: str, known: Iterable[str]) -> str:
    """One sentence for an unknown `name`: the nearest known names, then all of them (the first thirty)."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(close)}? " if close else ""
    shown = ", ".join(known[:MOST_NAMES]) + (f" and {len(known) - MOST_NAMES} more" if len(known) > MOST_NAMES else "")
    return f"{hint}There is: {shown or 'nothing'}."
