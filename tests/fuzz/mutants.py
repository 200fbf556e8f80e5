"""Alters files as damage or an attacker might: a byte, a token, a value, a key."""

from __future__ import annotations

import copy
import re
from random import Random
from typing import Any

NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
TOKENS = (
    *("NaN", "nan", "-Infinity", "inf", "-inf", "1e400", "-1e400", "1e308", "5e-324", "-0.0", "0", "-1", "1.5"),
    *("9" * 5_000, "0x" + "f" * 5_000, "18446744073709551616", "9223372036854775807", "1000000000", "4294967296"),
    *("true", "null", '""', "[]", "{}", "1979-05-27", "07:32:00", "[" * 3_000, "{a=" * 500, "a." * 3_000),
    *(
        '"\x1b]0;owned\x07"',
        '"\\u202e"',
        '"\\ud800"',
        '"\\u0000"',
        '"=1+1"',
        '"../../x"',
        f'"{"x" * 300}"',
        "\x00",
        "\r",
    ),
)
NAMES = (".", "..", "", "../x", "/", "x/..", "\x00", "x" * 300, "~nobody/x", "con", "\ud800", "/dev/zero")  # of files
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 1.5, -0.0, 1e308, -1e308, 5e-324, 1e-3, 65, 10**9, 2**32, 2**63 - 1, 2**64, 10**400),
    *(
        float("nan"),
        float("inf"),
        float("-inf"),
        "",
        "nan",
        "x" * 300,
        "\x1b]0;owned\x07",
        "\u202egpj",
        "=1+1",
        "../../x",
    ),
    *("\x00", "/dev/zero", "none", "all", [], {}, [[]], [None], {"": {}}, ["x"] * 1_000),
)


def in_bytes(content: bytes, rng: Random) -> bytes:
    """Bytes changed, removed, put in, doubled or cut off."""
    found = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 3, 20))):
        at = rng.randrange(len(found) + 1)
        end = min(len(found), at + rng.choice((1, 2, 8, 300)))
        change = rng.randrange(5)
        if change == 0 and found:
            found[min(at, len(found) - 1)] ^= 1 << rng.randrange(8)
        elif change == 1:
            del found[at:end]
        elif change == 2:
            found[at:at] = rng.randbytes(rng.choice((1, 4, 100)))
        elif change == 3:
            found[at:at] = found[at:end]
        elif rng.random() < 0.3:
            del found[at:]
    return bytes(found)


def in_text(text: str, rng: Random) -> str:
    """A number or a line replaced, doubled or removed, or anything put anywhere."""
    for _ in range(rng.choice((1, 1, 2, 5))):
        numbers = list(NUMBER.finditer(text))
        change = rng.randrange(6)
        if change < 3 and numbers:
            found = rng.choice(numbers)
            text = text[: found.start()] + rng.choice(TOKENS) + text[found.end() :]
        elif change == 3:
            lines = text.splitlines(keepends=True) or [""]
            at = rng.randrange(len(lines))
            lines[at : at + 1] = rng.choice(([], [lines[at]] * 2, [rng.choice(TOKENS) + "\n", lines[at]]))
            text = "".join(lines)
        elif change == 4:
            at = rng.randrange(len(text) + 1)
            text = text[:at] + rng.choice(TOKENS) + text[at:]
        else:
            text = in_bytes(text.encode(errors="surrogatepass"), rng).decode(errors="replace")
    return text


def in_tree(tree: Any, rng: Random) -> Any:
    """A JSON value with values replaced, removed or added at any depth."""
    tree = copy.deepcopy(tree)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        places = list(_places(tree))
        holder, key = rng.choice(places)
        change = rng.randrange(8)
        if change == 0:
            del holder[key]
        elif change == 1 and isinstance(holder, dict):
            holder[rng.choice(("more", "", "x" * 300, "\x1b[2J"))] = _value(rng)
        elif change == 2:
            nested: Any = _value(rng)
            for _ in range(rng.choice((3, 70, 600))):
                nested = rng.choice(([nested], {"a": nested}))
            holder[key] = nested
        elif change == 3 and isinstance(holder[key], int | float):
            holder[key] = holder[key] * rng.choice((-1, 2, 1.0000001, 1e6)) + rng.choice((0, 1, 0.5))
        else:
            holder[key] = _value(rng)
    return tree


def _value(rng: Random) -> Any:
    """Copies the value: one list in two places could later become a cycle."""
    return copy.deepcopy(rng.choice(VALUES))


def _places(tree: Any) -> Any:
    left = [tree]
    while left:
        one = left.pop()
        keys = list(one) if isinstance(one, dict) else range(len(one))
        for key in keys:
            yield one, key
            if isinstance(one[key], dict | list) and one[key]:
                left.append(one[key])
