"""Numbers that no measurement gives, whatever a record's digests say: they would fill a plot, or a machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mitobench.foreign import printable

RATIOS = {"precision", "recall", "f1", "oracle_f1", "average_precision", "recall_ceiling", "low", "high"}
MOST = 1e9  # of any other number: seconds, counts, um, px


def impossible(scores: Mapping[str, Any]) -> list[str]:
    """Names of the values that are not in their range: a ratio from 0 to 1, any other number up to a billion.

    Args:
        scores: of a record, as plain values at any depth; names in the result are joined by dots.
    """
    found = _numbers(scores, "", False)
    return [where for where, ratio, value in found if not (0 <= value <= 1 if ratio else abs(value) <= MOST)]


def _numbers(value: Any, where: str, ratio: bool) -> Iterator[tuple[str, bool, float]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _numbers(inner, f"{where}.{name}".lstrip("."), name in RATIOS or where.endswith("froc"))
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from _numbers(inner, f"{where}.{number}", False)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield where, ratio, value


NEEDED = ("frame", "x", "y", "score")  # columns that every reader of a record's detections uses
PLACES = ("x", "y")  # of which none may be empty
IN_PX = {*PLACES, "x1", "y1", "x2", "y2"}
MOST_PX = 1e6  # a whole slide has fewer along a side


def broken_row(rows: Iterable[Mapping[str, str | None]]) -> str | None:
    """What is wrong with the first row of detections that holds no numbers; None where nothing is.

    Every cell but the frame's must be empty or a finite number up to a billion.
    """
    for number, row in enumerate(rows, start=2):
        absent = [name for name in NEEDED if name not in row]
        if absent:
            return f"a column is missing or holds no number: {', '.join(absent)}"
        wrong = next((name for name, cell in row.items() if name != "frame" and not _is_number(cell, name)), "")
        if wrong is None or wrong:
            return f"row {number}: a column is missing or holds no number: {printable(wrong, 40)}"
    return None


def _is_number(cell: str | None, name: str) -> bool:
    if not cell:
        return cell is not None and name not in PLACES
    try:
        return abs(float(cell)) <= (MOST_PX if name in IN_PX else MOST)
    except (ValueError, TypeError):  # TypeError: a list, of cells beyond the header
        return False
