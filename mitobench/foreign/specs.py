"""Whether specs of plugins were typed by the user, or come from a record, a model, a profile or an experiment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_foreign: ContextVar[bool] = ContextVar("foreign", default=False)


@contextmanager
def foreign_specs() -> Iterator[None]:
    """Within it, specs come from a record, a packed model, a profile or an experiment: the user did not type them.

    A family that runs a file which its argument names must then refuse to: see `are_foreign`.
    """
    token = _foreign.set(True)
    try:
        yield
    finally:
        _foreign.reset(token)


def are_foreign() -> bool:
    """Returns whether specs come from a file at present: the user did not type them."""
    return _foreign.get()
