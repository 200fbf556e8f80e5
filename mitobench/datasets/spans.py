"""Names many slides in a few words."""

from __future__ import annotations

from collections.abc import Sequence


def spans(slides: Sequence[str], most: int = 12) -> str:
    """Names slides as ranges, sorted: `001-003 007`; after `most` ranges says how many more there are."""
    ranges: list[list[str]] = []
    for slide in sorted(slides):
        if ranges and _follows(ranges[-1][-1], slide):
            ranges[-1].append(slide)
        else:
            ranges.append([slide])
    texts = [run[0] if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in ranges]
    return " ".join(texts[:most]) + (f" and {len(texts) - most} more ranges" if len(texts) > most else "")


def _follows(one: str, other: str) -> bool:
    return one.isdecimal() and other.isdecimal() and int(other) == int(one) + 1
