"""Strict readers of JSON and TOML.

The standard readers accept NaN, infinity, numbers of any length, duplicate keys and any nesting. Such values cause
errors much later, where the file is no longer known. Here they are refused when the file is read, with a message that
names the file and the line or the key.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any, NoReturn

from mitobench.errors import MitobenchError
from mitobench.foreign import limits
from mitobench.foreign.files import read_text
from mitobench.foreign.packed import read_unpacked
from mitobench.foreign.text import printable

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# The time that TOML's reader needs grows with the square of the parts of a dotted key.
_LONG_KEY = re.compile(
    rf"""(?<![\w"'-])(?:(?:[\w-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*){{{limits.MAX_NESTING}}}""", re.ASCII
)


class InvalidValue(ValueError):
    """A JSON or TOML value that is not allowed.

    `token` is a number or key of the text, which is used to find the line.
    """

    def __init__(self, why: str, token: str = "") -> None:
        super().__init__(why)
        self.token = token


def read_json(path: Path, max_bytes: int, what: str, error: type[MitobenchError] = MitobenchError) -> Any:
    """Reads the value in a JSON file, also with a byte order mark, or packed (`.gz`). Raises as `load_json` does."""
    if path.suffix == ".gz":
        return load_json(read_unpacked(path, max_bytes, what, error), path, error)
    return load_json(read_text(path, max_bytes, what, error, "utf-8-sig"), path, error)


def read_toml(path: Path, max_bytes: int, what: str, error: type[MitobenchError] = MitobenchError) -> dict[str, Any]:
    """Reads the tables in a TOML file, also with a byte order mark. Raises `error` as `load_toml` does."""
    return load_toml(read_text(path, max_bytes, what, error, "utf-8-sig"), path, error)


def load_json(text: str | bytes, where: Path | str = "JSON", error: type[MitobenchError] = MitobenchError) -> Any:
    """Returns the value of a JSON text.

    Args:
        text: UTF-8.
        where: the file, for the message.
        error: class of the error to raise.

    Raises `error` for a text that is not JSON, and for NaN, infinity, numbers beyond 64 bits or the range of a float,
    duplicate keys, more than `MAX_NESTING` levels, NUL characters and unpaired surrogates.
    """
    try:
        text = text.decode() if isinstance(text, bytes) else text
        value = json.loads(
            text,
            parse_constant=_constant,
            parse_int=_integer,
            parse_float=_float,
            object_pairs_hook=_object,
        )
        _check(value)
        return value
    except UnicodeDecodeError as reason:
        raise error(f"{where}: is not UTF-8 text: {reason.reason}. Save it as UTF-8.") from reason
    except json.JSONDecodeError as reason:
        raise error(f"{where}:{reason.lineno}: is not valid JSON: {reason.msg}. Correct the line.") from reason
    except RecursionError as reason:
        raise error(f"{where}: {_DEEP}.") from reason
    except InvalidValue as reason:
        raise error(f"{_place(where, str(text), reason.token)}: {reason}.") from reason


def load_toml(
    text: str | bytes, where: Path | str = "TOML", error: type[MitobenchError] = MitobenchError
) -> dict[str, Any]:
    """Returns the tables of a TOML text. Raises `error` as `load_json` does, and for dates and times."""
    try:
        text = text.decode() if isinstance(text, bytes) else text
        long = _LONG_KEY.search(text)
        if long:
            raise InvalidValue(_DEEP, long[0])
        value = tomllib.loads(text)
        _check(value)
        return value
    except UnicodeDecodeError as reason:
        raise error(f"{where}: is not UTF-8 text: {reason.reason}. Save it as UTF-8.") from reason
    except tomllib.TOMLDecodeError as reason:
        raise error(f"{where}: is not valid TOML: {reason}.") from reason
    except RecursionError as reason:
        raise error(f"{where}: {_DEEP}.") from reason
    except InvalidValue as reason:
        raise error(f"{_place(where, str(text), reason.token)}: {reason}.") from reason
    except ValueError as reason:  # an impossible date, an integer of thousands of digits
        raise error(f"{where}: is not valid TOML: {reason}.") from reason


_DEEP = f"lists and tables are nested more than {limits.MAX_NESTING} levels deep. Make them flatter"


def _constant(token: str) -> NoReturn:
    raise InvalidValue(f"{token} is not a number. Write a finite number", token)


def _integer(token: str) -> int:
    if len(token) > limits.MAX_DIGITS or abs(int(token)) > limits.MAX_INTEGER:
        raise InvalidValue(f"{_short(token)} is beyond 64 bits. Write a smaller number", token)
    return int(token)


def _float(token: str) -> float:
    if len(token) > limits.MAX_DIGITS or not math.isfinite(float(token)):
        raise InvalidValue(f"{_short(token)} is beyond what a number can hold. Write a finite number", token)
    return float(token)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        (doubled, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise InvalidValue(f"the key {_short(doubled)!r} occurs twice in one object. Remove one")
    return found


def _check(value: Any) -> None:
    """Raises InvalidValue for values that are not allowed. It is not recursive, because it also checks the nesting."""
    left: list[tuple[Any, str, int]] = [(value, "", 1)]
    while left:
        one, key, depth = left.pop()
        if isinstance(one, (dict, list)) and depth > limits.MAX_NESTING:
            raise InvalidValue(_DEEP)
        if isinstance(one, dict):
            for name in one:
                _check_text(name, name)
            left += [(inner, name, depth + 1) for name, inner in one.items()]
        elif isinstance(one, list):
            left += [(inner, key, depth + 1) for inner in one]
        else:
            _check_leaf(one, key)


def _check_leaf(value: Any, key: str) -> None:
    named = f"{_short(key)}: " if key else ""
    if isinstance(value, str):
        _check_text(value, key)
    elif isinstance(value, float) and not math.isfinite(value):
        raise InvalidValue(f"{named}{value} is not a number. Write a finite number", key)
    elif isinstance(value, int) and abs(value) > limits.MAX_INTEGER:
        raise InvalidValue(f"{named}the number is beyond 64 bits. Write a smaller one", key)
    elif not isinstance(value, (int, float, type(None))):  # bool is an int; only TOML's dates and times are left
        raise InvalidValue(f"{named}{value} is a date or time, which is not allowed. Put it in quotes", key)


def _check_text(text: str, key: str) -> None:
    if "\0" in text or (not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text)):
        raise InvalidValue(f"{_short(key)}: the text contains a NUL character or an unpaired surrogate. Remove it", key)


def _short(token: str) -> str:
    return printable(token, 40)


def _place(where: Path | str, text: str, token: str) -> str:
    """Returns `FILE:LINE` if the token occurs exactly once in the text, otherwise the file."""
    found = [m.start() for m in re.finditer(rf"(?<![\w.+-]){re.escape(token)}(?![\w.+-])", text)] if token else []
    return f"{where}:{text.count(chr(10), 0, found[0]) + 1}" if len(found) == 1 else f"{where}"
