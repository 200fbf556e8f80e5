"""What the harness and `mitobench.training.find_weights` exchange while a plugin chooses its pretrained weights.

`Plugin.pretrained` gets options only. `record:` also needs the role of the plugin and the folder of the store, and a
record must name the weights that were wanted and not found.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

MAX_LEARNED_FROM, MAX_LEARNED_FROM_TEXT = 20, 140  # data sets, and characters of each with its protocol
UNKNOWN_FRAMES = "frames that are not known here"  # in place of data sets that weights were trained on
WHOLE = "started from a whole network"  # in the training info of a fit: its pretrained weights are a whole network's
NOTHING_TO_TAKE_OVER = (
    "iterations = 0 uses a trained network as it is: give its weights with pretrained=record:RECORD.json or "
    "pretrained=FILE."
)


@dataclass(frozen=True)
class WeightsSearch:
    """One search for pretrained weights.

    Attributes:
        role: role of the plugin that searches; None outside a plan.
        store: folder of the store of the run; None: the default one.
        missing: names of the weights that `auto` looked for and did not find.
        learned_from: the data sets that the weights of a record were trained on, each with its protocol.
    """

    role: str | None = None
    store: Path | None = None
    missing: list[str] = field(default_factory=list)
    learned_from: list[str] = field(default_factory=list)


_current: ContextVar[WeightsSearch | None] = ContextVar("weights_search", default=None)


@contextmanager
def searching(role: str | None = None, store: Path | None = None) -> Iterator[WeightsSearch]:
    """Describes the searches within the block; what is left out is that of the enclosing block."""
    outer = current()
    search = WeightsSearch(role or outer.role, store or outer.store)
    token = _current.set(search)
    try:
        yield search
    finally:
        _current.reset(token)


def current() -> WeightsSearch:
    """Returns the search that the innermost block describes."""
    return _current.get() or WeightsSearch()
