"""What a check of the doctor finds."""

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
        what: was looked at.
        state: `ok`, `FAIL`, or `note` for what is worth knowing but stops nothing.
        detail: what was found there.
        mend: what to do about it.
    """

    what: str
    state: State
    detail: str
    mend: str = ""


Check = Callable[[], Iterator[Finding]]


def guarded(what: str, check: Check, mend: str) -> Iterator[Finding]:
    """What a check finds, or, where it raises, that it failed."""
    try:
        yield from check()
    except MitobenchError as reason:
        yield Finding(what, "FAIL", str(reason), "")
    except Exception as reason:  # whatever a broken installation throws is what has to be told
        yield Finding(what, "FAIL", f"{type(reason).__name__}: {reason}", mend)
