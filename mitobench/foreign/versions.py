"""Refuses files of a newer version than this program knows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mitobench.errors import MitobenchError
from mitobench.foreign.text import printable


def check_version(
    path: Path | str, content: Mapping[str, Any], what: str, error: type[MitobenchError] = MitobenchError
) -> None:
    """Raises `error` if JSON says in its key `version` that it is not of version 1.

    The version may be a number, a text such as `1.0`, or an object with the key `major`. Without one, it is 1.
    """
    given = content.get("version", 1)
    major = given.get("major", 1) if isinstance(given, dict) else given
    if str(major).strip().partition(".")[0] != "1":
        raise error(
            f"{path}: `version` is {printable(str(given), 60)}, and version 1 of a {what} is read. Update mitobench, "
            "or export the file in version 1."
        )
