"""Whether specs of plugins come from the user, or from a record or a packed model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_foreign: ContextVar[bool] = ContextVar("foreign", default=False)


@contextmanager
def foreign_specs() -> Iterator[None]:
    """Within it, specs come from a record or a packed model, not from the user.

    A family that runs a file which its argument names must then refuse to: see `are_foreign`.
    """
    token = _foreign.set(True)
    try:
        yield
    finally:
        _foreign.reset(token)


def are_foreign() -> bool:
    """Returns whether specs come from a record or a packed model at present, not from the user."""
    return _foreign.get()
