"""Where two JSON values differ, leaf by leaf."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

ROUNDING = 1e-9  # relative: what another order of adding up may change in the last bits of a float


class Difference(NamedTuple):
    """A leaf that is not what it should be: its path (`test.frames.3.tp`), as recorded, as recomputed."""

    path: str
    recorded: Any
    recomputed: Any


def differences(recorded: Any, recomputed: Any, path: str = "") -> Iterator[Difference]:
    """The leaves in which two JSON values differ; of objects only those that `recomputed` has."""
    if isinstance(recorded, dict) and isinstance(recomputed, dict):
        for name, value in recomputed.items():
            yield from differences(recorded.get(name), value, f"{path}.{name}" if path else name)
    elif isinstance(recorded, list) and isinstance(recomputed, list) and len(recorded) == len(recomputed):
        for place, (one, other) in enumerate(zip(recorded, recomputed, strict=True)):
            yield from differences(one, other, f"{path}.{place}")
    elif not equal(recorded, recomputed):
        yield Difference(path, recorded, recomputed)


def equal(one: Any, other: Any) -> bool:
    """Whether two leaves are equal but for the last bits of a float."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return math.isclose(one, other, rel_tol=ROUNDING, abs_tol=1e-12)
    return bool(one == other)
