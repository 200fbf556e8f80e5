"""A search for weights knows its role and store, and lists what it did not find."""

from __future__ import annotations

from pathlib import Path

from mitobench.weights_search import current, searching


def test_a_block_inherits_what_it_leaves_out() -> None:
    with searching(store=Path("store")), searching("detector") as search:
        assert current() is search
        assert (search.role, search.store) == ("detector", Path("store"))
    assert (current().role, current().store) == (None, None)


def test_each_search_lists_its_own_missing_weights() -> None:
    with searching() as outer:
        with searching() as inner:
            current().missing.append("a")
        assert (outer.missing, inner.missing) == ([], ["a"])
    current().missing.append("nobody reads this")
    assert current().missing == []
