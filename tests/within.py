"""A time limit for code that must not hang."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class HungError(Exception):
    """Code was still running at the end of its time limit."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raises HungError if the block still runs after that many seconds. Only for the main thread."""

    def hung(number: int, frame: FrameType | None) -> None:
        raise HungError(f"still running after {seconds:g} s")

    before = signal.signal(signal.SIGALRM, hung)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
