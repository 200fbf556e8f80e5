"""Compares JSON values leaf by leaf."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

ROUNDING = 1e-9  # relative: adding up in another order may change the last bits of a float
ABSENT = "absent"  # shown for a name that only one of two objects has


class Mismatch(NamedTuple):
    """A value that is not what it should be: its path (`test.frames.3.tp`), as recorded, and as expected."""

    path: str
    recorded: Any
    expected: Any


def mismatches(recorded: Any, expected: Any, path: str = "") -> Iterator[Mismatch]:
    """Yields the leaves in which two JSON values differ; a name that only one of two objects has counts as one."""
    if isinstance(recorded, dict) and isinstance(expected, dict):
        for name in {**expected, **recorded}:
            inner = f"{path}.{name}" if path else str(name)
            if name in recorded and name in expected:
                yield from mismatches(recorded[name], expected[name], inner)
            else:
                yield Mismatch(inner, recorded.get(name, ABSENT), expected.get(name, ABSENT))
    elif isinstance(recorded, list) and isinstance(expected, list) and len(recorded) == len(expected):
        for index, (one, other) in enumerate(zip(recorded, expected, strict=True)):
            yield from mismatches(one, other, f"{path}.{index}")
    elif not equal(recorded, expected):
        yield Mismatch(path, recorded, expected)


def equal(one: Any, other: Any) -> bool:
    """Returns whether two leaves are equal, apart from the last bits of a float."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return math.isclose(one, other, rel_tol=ROUNDING, abs_tol=1e-12)
    return bool(one == other)
