"""um/px along x and y: when two of one image differ, and how they are written."""

from __future__ import annotations

Mpp = tuple[float, float]

MAX_DIFFERENCE = 0.05  # relative, between the um/px in a file and others of the same image, such as those of a card


def differ(found: Mpp | None, expected: Mpp | None) -> bool:
    """Whether the um/px in a file differ from those expected by more than 5 %; False if either is unknown."""
    if found is None or expected is None:
        return False
    return any(abs(a / b - 1) > MAX_DIFFERENCE for a, b in zip(found, expected, strict=True))


def um_px(mpp: Mpp) -> str:
    """Formats um/px along x and y; one number if they are equal."""
    x, y = (f"{value:.4g}" for value in mpp)
    return x if x == y else f"{x} x {y}"
