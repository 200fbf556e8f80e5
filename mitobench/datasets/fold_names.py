"""The names of protocols that are computed from a data set, and of their folds."""

from __future__ import annotations

import re

ALL, BY_SLIDE, LEAVE_OUT, SINGLE = "all", "cv-by-slide", "leave-one-domain-out-", "single-domain-"
MIN_SLIDES = 3  # that are tested; fewer are few
FEW_SLIDES = f"Few slides: `--protocol {BY_SLIDE}-of3` tests every slide once."

_FOLD = re.compile(r"(?P<base>.+)-(?P<number>[1-9]\d*)of(?P<of>[1-9]\d*)")
_WHOLE = re.compile(r"(?P<base>.+)-of(?P<of>[1-9]\d*)")


def fold_of(protocol: str) -> tuple[str, int, int] | None:
    """Returns the protocol of a fold, its number and how many there are: ("cv-by-slide", 2, 5); None for others."""
    found = _FOLD.fullmatch(protocol)
    return (found["base"], int(found["number"]), int(found["of"])) if found else None


def is_computed(protocol: str) -> bool:
    """Returns whether this is the name of a computed protocol, or of a fold of one. Its domain may not exist."""
    base = base_of(protocol)[0]
    return base in (ALL, BY_SLIDE) or base.startswith((LEAVE_OUT, SINGLE))


def pools(protocol: str) -> bool:
    """Returns whether the folds of a protocol test every slide once, so that their counts may be summed."""
    return not protocol.startswith(SINGLE)


def base_of(protocol: str) -> tuple[str, int | None]:
    """Returns the name without number and count of folds, and the count."""
    fold, whole = fold_of(protocol), _WHOLE.fullmatch(protocol)
    if fold:
        return fold[0], fold[2]
    return (whole["base"], int(whole["of"])) if whole else (protocol, None)


def of_card(protocol: str) -> str:
    """Returns the name that a card has for a protocol: that without number and count for a fold."""
    fold = fold_of(protocol)
    return fold[0] if fold else protocol


def kind_of(base: str) -> str:
    """Returns the kind of domain of a protocol's base: `scanner` for `leave-one-domain-out-scanner`."""
    return base.removeprefix(LEAVE_OUT).removeprefix(SINGLE)
