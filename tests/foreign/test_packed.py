"""gzip is unpacked up to its limit."""

from __future__ import annotations

import gzip
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mitobench.foreign import gunzip

pytestmark = pytest.mark.slow


@given(st.lists(st.binary(max_size=10_000), max_size=4))
def test_unpacking_returns_the_packed_bytes(members: list[bytes]) -> None:
    content = b"".join(members)
    packed = b"".join(map(gzip.compress, members))
    assert gunzip(packed, len(content)) == content
    if content:
        with pytest.raises(ValueError, match="limit"):
            gunzip(packed, len(content) - 1)


@pytest.mark.parametrize("layers", [1, 2])
def test_a_decompression_bomb_stops_at_the_limit(layers: int) -> None:
    bomb = gzip.compress(bytes(1 << 27)) * layers
    tracemalloc.start()
    with pytest.raises(ValueError, match="more than 1,000,000 bytes"):
        gunzip(bomb, 1_000_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000


def test_many_empty_members_take_no_time() -> None:
    assert gunzip(gzip.compress(b"") * 100_000, 10) == b""


@given(st.binary(min_size=1, max_size=200))
def test_data_that_is_not_gzip_is_rejected(noise: bytes) -> None:
    with pytest.raises(ValueError, match=r"not gzip|cut short"):
        gunzip(noise.replace(b"\x1f\x8b", b"..").lstrip(b"\0") or b".", 1000)


def test_truncated_data_is_rejected() -> None:
    packed = gzip.compress(b"mitoses" * 1000)
    for end in range(1, len(packed)):
        with pytest.raises(ValueError, match="cut short"):
            gunzip(packed[:end], 10_000)
