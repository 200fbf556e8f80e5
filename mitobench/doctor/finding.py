"""The finding of a check, and how failing checks are handled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from mitobench.errors import MitobenchError

State = Literal["ok", "FAIL", "note"]


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        what: what was checked.
        state: `ok`, `FAIL`, or `note` for something worth knowing that is not a failure.
        detail: the result.
        fix: how to fix it.
    """

    what: str
    state: State
    detail: str
    fix: str = ""


Check = Callable[[], Iterator[Finding]]


def guarded(what: str, check: Check, fix: str) -> Iterator[Finding]:
    """Yields the findings of a check; if it raises, a failed finding with `fix`."""
    try:
        yield from check()
    except MitobenchError as reason:
        yield Finding(what, "FAIL", str(reason), "")
    except Exception as reason:  # a broken installation may raise anything
        yield Finding(what, "FAIL", f"{type(reason).__name__}: {reason}", fix)
