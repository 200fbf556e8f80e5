"""Mismatches of JSON values are named, apart from the last bits of floats."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mitobench.results.mismatch import equal, mismatches

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


@given(JSON)
def test_a_value_does_not_differ_from_itself(value: Any) -> None:
    assert list(mismatches(value, value)) == []


def test_a_mismatch_has_its_path_and_both_values() -> None:
    recorded, recomputed = {"test": {"frames": [{"tp": 1}, {"tp": 2}]}}, {"test": {"frames": [{"tp": 1}, {"tp": 3}]}}
    assert list(mismatches(recorded, recomputed)) == [("test.frames.1.tp", 2, 3)]


def test_a_name_that_only_one_object_has_is_a_mismatch() -> None:
    assert list(mismatches({"froc": {"16": 1}}, {"froc": {}})) == [("froc.16", 1, "absent")]
    assert list(mismatches({}, {"f1": 0.5})) == [("f1", "absent", 0.5)]
    assert list(mismatches({}, {"f1": None})) == [("f1", "absent", None)]


def test_lists_of_other_lengths_differ_as_a_whole() -> None:
    assert list(mismatches({"a": [1]}, {"a": [1, 2]})) == [("a", [1], [1, 2])]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (0.1 + 0.2, 0.3, True),
        (0.3, 0.3 * (1 + 1e-8), False),
        (1, 1.0, True),
        (True, 1, False),
        (0, False, False),
        (None, 0, False),
        ("1", 1, False),
    ],
)
def test_only_the_last_bits_of_a_float_may_differ(one: Any, other: Any, same: bool) -> None:
    assert equal(one, other) is equal(other, one) is same
