"""Errors that a user can fix. The command line prints their message without a traceback and exits with an error."""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class MitobenchError(Exception):
    """An error the user can fix. The message says what is wrong, where (file and line), and how to fix it."""


class DataError(MitobenchError):
    """A data set cannot be read, or its files contradict each other."""


class PluginError(MitobenchError):
    """A plugin cannot be loaded, or it returned something that its interface forbids."""


class StoreError(MitobenchError):
    """The store cannot be written or read (disk full, no permission)."""


class RecordError(MitobenchError):
    """A record is damaged, was edited, or has another schema version."""


MAX_NAMES = 30
MANY_NAMES = 100
MAX_FIELDS = 5
MAX_CHARACTERS = 300


def nearest(name: str, known: Iterable[str]) -> str:
    """Suggests names in place of an unknown one: `Did you mean a? Available: a, b.`, with at most 30 names.

    Of more than 100 names it lists only those that are similar, if there are any. Letter case makes no difference.
    """
    known = sorted(known)
    by_lower = {each.lower(): each for each in known}
    close = [by_lower[each] for each in difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.5)]
    hint = f"Did you mean {' or '.join(close)}? " if close else ""
    if close and len(known) > MANY_NAMES:
        return f"{hint}{len(known):,} names are available."
    return f"{hint}Available: {listed(known, MAX_NAMES)}." if known else "None are installed."


def wrong_fields(reason: ValidationError, below: str = "", known: Iterable[str] = ()) -> str:
    """Lists what is wrong with a file's content by field, at most five of them: `parts.val: Field required; ...`.

    Args:
        reason: the error of the content's model.
        below: the place of the content within its file, for example `combination.`.
        known: the keys of the content, for suggestions in place of an unknown one.
    """
    sentences = [f"{below}{sentence}" for _, sentence in field_errors(reason, known)]
    more = [f"and {len(sentences) - MAX_FIELDS} more"] if len(sentences) > MAX_FIELDS else []
    return "; ".join([*sentences[:MAX_FIELDS], *more])


def field_errors(reason: ValidationError, known: Iterable[str] = ()) -> Iterator[tuple[tuple[int | str, ...], str]]:
    """Yields (place, `place: what is wrong`) for each wrong field; each text is one line without control characters.

    `known`: as for `wrong_fields`.
    """
    for error in reason.errors(include_url=False, include_input=False):
        place, message = ".".join(map(str, error["loc"])), error["msg"]
        if known and error["type"] == "extra_forbidden" and len(error["loc"]) == 1:
            message = f"unknown key. {nearest(place, known)}".removesuffix(".")
        yield error["loc"], one_line(f"{place}: {message}" if place else message)


def one_line(text: str) -> str:
    """Returns an untrusted text as one line of at most 300 characters, without control characters."""
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return shown if len(shown) <= MAX_CHARACTERS else f"{shown[: MAX_CHARACTERS - 1]}…"


def raised_at(reason: BaseException, package: str) -> tuple[Path, int] | None:
    """Returns file and line of a package's code that raised an error; None if none of its code did.

    `package`: the name of its outermost module. A syntax error has the place in its own file, if it has one.
    """
    if isinstance(reason, SyntaxError) and reason.filename and reason.lineno and Path(reason.filename).is_file():
        return Path(reason.filename), reason.lineno
    own = [
        (Path(frame.f_code.co_filename), line)
        for frame, line in traceback.walk_tb(reason.__traceback__)
        if frame.f_globals.get("__name__", "").partition(".")[0] == package
    ]
    return own[-1] if own else None


def counted(number: int, one: str, many: str = "") -> str:
    """Returns a number with its noun: `1 slide`, `1,000 slides`. `many`: the plural, if it is not `one` with an s."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def listed(names: Sequence[str], most: int, between: str = ", ") -> str:
    """Lists names, at most so many of them: `a, b and 3 more`."""
    rest = f" and {len(names) - most:,} more" if len(names) > most else ""
    return between.join(names[:most]) + rest


def as_text(name: str) -> str:
    """Returns a file name or argument as text that can be encoded: bytes that are not UTF-8 become `\\udce9`."""
    return name.encode(errors="backslashreplace").decode()
