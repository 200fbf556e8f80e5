"""What a training is given: its items, and its part of a fit's progress."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from mitobench.api import Context


class Stream(Protocol):
    """Endless training items."""

    def draw(self, rng: np.random.Generator) -> Any:
        """One training item; all of its randomness comes from `rng`."""


def part_of(context: Context, before: int, total: int) -> Context:
    """The context of a training that is a part of one of `total` steps, with `before` of them done: its progress."""
    return replace(context, progress=lambda done, _: context.progress(before + done, total))
