"""Cards of plugins: TOML files with title, paper, licences, training data and profiles.

A plugin's card is `NAME.toml` in its own package, otherwise in the registry. The card of a member of a family,
`NAME:ARGUMENT`, is the family's card with the values of its table `[member."ARGUMENT"]`, and of the file
`NAME__ARGUMENT.toml` in the same folders. Cards in the user's own folder override single values of both.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mitobench import registry
from mitobench.errors import MitobenchError

FOLDER = "MITOBENCH_CARDS"  # environment variable with the user's own folder of cards
MEMBER, PROFILE, TRAINED_ON = "member", "profile", "trained_on"


def read(role: str, name: str, argument: str | None, folders: Sequence[Path], users: bool = True) -> dict[str, Any]:
    """Returns the card of a plugin, or of a member of a family; empty if there is none.

    Args:
        role: the plugin's role; a card of another role is not its card.
        name: the plugin's or family's name.
        argument: of the member in its full spelling; None for a plugin or a whole family.
        folders: of its package, the outermost first, then of the registry.
        users: whether the user's own cards count.

    Raises MitobenchError for a file that is not TOML, and for a value that is read by mitobench and has another type.
    """
    card: dict[str, Any] = {}
    for places in (folders, *([[user_folder()]] if users else [])):
        for _, part in _parts(role, name, argument, places):
            card |= {key: value for key, value in part.items() if key not in (MEMBER, PROFILE)}
    return card


def profile(
    role: str, name: str, argument: str | None, folders: Sequence[Path], wanted: str
) -> list[tuple[str, dict[str, Any]]]:
    """Returns the options that a package gives a plugin in a profile, as (where, options); later ones win.

    A family's come before those of its member. The user's own cards are not read: users have profiles of their own.
    Raises MitobenchError as `read` does.
    """
    found = []
    for place, part in _parts(role, name, argument, folders):
        options = part.get(PROFILE, {}).get(wanted)
        if options is not None:
            found.append((f"{place} [{PROFILE}.{wanted}]", options))
    return found


def user_folder() -> Path:
    """Returns the folder of the user's own cards: `MITOBENCH_CARDS`, or `cards` in the user's configuration folder."""
    import platformdirs

    return Path(os.environ.get(FOLDER) or platformdirs.user_config_path("mitobench") / "cards")


def file_name(name: str, argument: str) -> str:
    """Returns the name of a member's file: other characters than letters, digits, `.`, `_` and `-` become `_`."""
    return f"{name}__{re.sub(r'[^A-Za-z0-9._-]', '_', argument)}.toml"


def _parts(role: str, name: str, argument: str | None, folders: Sequence[Path]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields (where, values): the family's card, its table of the member, and the member's own file."""
    found = _first(role, f"{name}.toml", folders)
    if found:
        path, card = found
        yield str(path), card
        own = card.get(MEMBER, {}).get(argument) if argument is not None else None
        if own is not None:
            yield f'{path} [{MEMBER}."{argument}"]', own
    if argument is not None:
        found = _first(role, file_name(name, argument), folders)
        if found:
            yield str(found[0]), found[1]


def _first(role: str, file: str, folders: Sequence[Path]) -> tuple[Path, dict[str, Any]] | None:
    """Returns the first card of that file name and role in the folders."""
    for path in (folder / file for folder in folders):
        if path.is_file():
            card = registry.read_toml(path)
            if card.pop("role", role) == role:
                _check(path, card)
                return path, card
    return None


def _check(path: Path, card: Mapping[str, Any]) -> None:
    """Raises MitobenchError for tables and lists of another form than mitobench reads."""
    for where, part in ((path, card), *((f'{path} [{MEMBER}."{key}"]', m) for key, m in _table(path, card, MEMBER))):
        for name, options in _table(where, part, PROFILE):
            if not isinstance(options, dict):
                raise MitobenchError(f"{where}: {PROFILE}.{name} must be a table: [{PROFILE}.{name}].")
        datasets = part.get(TRAINED_ON, [])
        if not (isinstance(datasets, list) and all(isinstance(name, str) for name in datasets)):
            raise MitobenchError(f'{where}: {TRAINED_ON} must be a list of data sets: {TRAINED_ON} = ["mitos2012"].')


def _table(where: object, card: Any, key: str) -> list[tuple[str, Any]]:
    value = card.get(key, {}) if isinstance(card, dict) else None
    if not isinstance(value, dict) or (key == MEMBER and not all(isinstance(each, dict) for each in value.values())):
        raise MitobenchError(f'{where}: {key} must be a table of tables: [{key}."NAME"].')
    return list(value.items())
