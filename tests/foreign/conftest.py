"""Limits the time of every test here, because none may hang."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from within import within


@pytest.fixture(autouse=True)
def in_time() -> Iterator[None]:
    with within(30):
        yield
