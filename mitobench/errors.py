"""Errors that a user can mend: told in one message, without a traceback, with a non-zero exit."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


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
MOST_FIELDS = 5
MOST_CHARACTERS = 300


def nearest(name: str, known: Iterable[str]) -> str:
    """One sentence for an unknown `name`: the nearest known names, then all of them (the first thirty)."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(close)}? " if close else ""
    shown = ", ".join(known[:MOST_NAMES]) + (f" and {len(known) - MOST_NAMES} more" if len(known) > MOST_NAMES else "")
    return f"{hint}There is: {shown or 'nothing'}."


def wrong_fields(reason: ValidationError, below: str = "") -> str:
    """What is wrong with a file's content, field by field (the first five): `parts.val: Field required; ...`.

    `below` is where the content stands in its file, for example `combination.`.
    """
    sentences = [f"{below}{sentence}" for _, sentence in field_errors(reason)]
    more = [f"and {len(sentences) - MOST_FIELDS} more"] if len(sentences) > MOST_FIELDS else []
    return "; ".join([*sentences[:MOST_FIELDS], *more])


def field_errors(reason: ValidationError) -> Iterator[tuple[tuple[int | str, ...], str]]:
    """(place, `place: what is wrong`) of each field, in one short line; names in it may come from a stranger's file."""
    for error in reason.errors(include_url=False, include_input=False):
        place = ".".join(map(str, error["loc"]))
        yield error["loc"], one_line(f"{place}: {error['msg']}" if place else error["msg"])


def one_line(text: str) -> str:
    """A stranger's text in one short line, without control characters."""
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return shown if len(shown) <= MOST_CHARACTERS else f"{shown[: MOST_CHARACTERS - 1]}…"


def as_text(name: str) -> str:
    """A file's name or an argument as text that can be written: bytes of it that are no UTF-8 as `\\udce9`."""
    return name.encode(errors="backslashreplace").decode()
