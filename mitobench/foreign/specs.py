"""Whether specs of plugins were typed by the user, or come from a record, a model, a profile or an experiment.

They count as foreign unless the code that reads what the user typed says otherwise: what is forgotten is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_typed: ContextVar[bool] = ContextVar("typed", default=False)


@contextmanager
def typed_specs() -> Iterator[None]:
    """Within it, specs are what the user typed. Spell them out here (`discovery.spelled`), and do nothing else."""
    token = _typed.set(True)
    try:
        yield
    finally:
        _typed.reset(token)


def are_foreign() -> bool:
    """Returns whether the user did not type the specs that are read at present.

    A family that runs a file which its argument names must then refuse to.
    """
    return not _typed.get()
