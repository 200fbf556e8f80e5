"""A time limit for code that must not hang."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class HungError(Exception):
    """Code that was still under way when its time was over."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raises HungError in what is still under way after that many seconds, in the main thread."""

    def hung(number: int, frame: FrameType | None) -> None:
        raise HungError(f"still under way after {seconds:g} s")

    before = signal.signal(signal.SIGALRM, hung)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
