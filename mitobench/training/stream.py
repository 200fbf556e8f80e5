"""The source of training items, and the progress of a training that is part of a fit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from mitobench.api import Context


class Stream(Protocol):
    """An endless source of training items."""

    def draw(self, rng: np.random.Generator) -> Any:
        """Returns one training item. All of its randomness must come from `rng`."""


def part_of(context: Context, before: int, total: int) -> Context:
    """Returns a context whose progress and curves count on from `before` steps done, of `total` of the whole fit."""
    return replace(
        context,
        progress=lambda done, _: context.progress(before + done, total),
        log_scalar=lambda name, value, step: context.log_scalar(name, value, before + step),
    )
