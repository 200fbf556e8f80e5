"""Finds numbers that no measurement can give, even if a record's digests are right; they would break plots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

RATIOS = {"precision", "recall", "f1", "oracle_f1", "average_precision", "recall_ceiling", "low", "high", "same_side"}
MAX_VALUE = 1e9  # of any other number: seconds, counts, um, px


def impossible(scores: Mapping[str, Any]) -> list[str]:
    """Returns the paths of values outside their range: from 0 to 1 for a ratio, up to a billion for other numbers.

    Args:
        scores: of a record, as JSON; the names in a path are joined by dots.
    """
    found = _numbers(scores, "", False)
    return [where for where, ratio, value in found if not (0 <= value <= 1 if ratio else abs(value) <= MAX_VALUE)]


def _numbers(value: Any, where: str, ratio: bool) -> Iterator[tuple[str, bool, float]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _numbers(inner, f"{where}.{name}".lstrip("."), name in RATIOS or where.endswith("froc"))
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from _numbers(inner, f"{where}.{number}", False)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield where, ratio, value
