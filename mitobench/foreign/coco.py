"""The lists of a COCO file, whose entries have an id."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mitobench.errors import MitobenchError
from mitobench.foreign.text import printable

Id = int | str


def entries(
    path: Path, content: Mapping[str, Any], key: str, error: type[MitobenchError] = MitobenchError
) -> list[tuple[str, dict[str, Any]]]:
    """Returns (`FILE: KEY[n]`, entry) for each entry of a list; an absent list is empty.

    Raises `error` naming file, key and entry if it is not a list of objects.
    """
    values = content.get(key, [])
    if not isinstance(values, list):
        raise error(f"{path}: `{key}` must be a list, not {_short(values)}. Correct it.")
    for number, entry in enumerate(values):
        if not isinstance(entry, dict):
            raise error(f"{path}: {key}[{number}] must be an object, not {_short(entry)}. Correct it.")
    return [(f"{path}: {key}[{number}]", entry) for number, entry in enumerate(values)]


def texts_by_id(
    path: Path, content: Mapping[str, Any], key: str, text: str, error: type[MitobenchError] = MitobenchError
) -> dict[Id, str]:
    """Returns the text (`file_name` of `images`, `name` of `categories`) of each id.

    Raises `error` naming file, key and entry for a missing or wrong id or text, and for an id that occurs twice.
    """
    found: dict[Id, str] = {}
    for where, entry in entries(path, content, key, error):
        id = id_of(where, entry, "id", error)
        if id in found:
            raise error(f"{where}: the id {_short(id)} occurs twice. Give each its own.")
        value = entry.get(text)
        if not isinstance(value, str) or not value:
            raise error(f"{where}: `{text}` must be a text, not {_short(value)}. Correct it.")
        found[id] = value
    return found


def id_of(where: str, entry: Mapping[str, Any], key: str, error: type[MitobenchError] = MitobenchError) -> Id:
    """Returns the id in a key of an entry. Raises `error` if it is not a number or a text."""
    value = entry.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise error(f"{where}: `{key}` must be a number or a text, not {_short(value)}. Correct it.")
    return value


def box_of(
    where: str, entry: Mapping[str, Any], form: str, error: type[MitobenchError] = MitobenchError
) -> list[float]:
    """Returns the four numbers of `bbox`; `form` says what they are, for the message."""
    box = entry.get("bbox")
    if not (isinstance(box, list) and len(box) == 4 and all(type(value) in (int, float) for value in box)):
        raise error(f"{where}: `bbox` must be four numbers: {form} in px. Correct it.")
    return [float(value) for value in box]


def _short(value: Any) -> str:
    return printable(repr(value), 40)
