"""Fixtures of the methods' tests."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from mitobench.api import Frame


@pytest.fixture
def frame() -> Frame:
    """128 x 128 px of nothing: these methods look at annotation and scores alone."""
    return Frame("f", "toy", "f", "A", (0.25, 0.25), (128, 128), partial(np.zeros, (128, 128, 3), np.uint8))
