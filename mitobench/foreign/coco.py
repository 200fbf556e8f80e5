"""The lists of a COCO file, whose entries have an id; and the file of images that belongs to a list of results."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mitobench.errors import MitobenchError
from mitobench.foreign.limits import MAX_LABELS_BYTES
from mitobench.foreign.parsing import read_json
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


def read_images(path: Path, error: type[MitobenchError] = MitobenchError) -> dict[str, Any]:
    """Returns the content of a file that says which image an `image_id` means: `images`, and perhaps `categories`.

    It is a COCO file, whose `annotations` are not read, or its list of images alone. Raises `error` for another file.
    """
    content = read_json(path, MAX_LABELS_BYTES, "file of images", error)
    images = content.get("images") if isinstance(content, dict) else content
    if not isinstance(images, list) or not images:
        raise error(f"{path}: lists no images. Give a COCO file with `images`, a list of id and file_name.")
    categories = content.get("categories", []) if isinstance(content, dict) else []
    return {"images": images, "categories": categories}


def is_results(content: Any) -> bool:
    """Whether JSON is a list of COCO results: objects with `image_id` and `bbox`."""
    first = content[0] if isinstance(content, list) and content else None
    return isinstance(first, dict) and {"image_id", "bbox"} <= set(first)


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
