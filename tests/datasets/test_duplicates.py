"""Frames that show the same tissue are found, however they were copied; frames of other tissue are not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from frame_copies import KINDS, Pixels
from numpy.random import Generator

from mitobench.datasets import load
from mitobench.datasets.duplicates import Fingerprint, find, fingerprint
from mitobench.datasets.synthesis import make_frame

pytestmark = pytest.mark.slow

SIDE = 256


@pytest.fixture(scope="module")
def frames() -> dict[str, Pixels]:
    """Frames of unrelated tissue, each of a slide of its own."""
    return {f"slide {slide}": make_frame(5, slide, 0, SIDE).image for slide in range(8)}


@pytest.fixture(scope="module")
def known(frames: dict[str, Pixels]) -> dict[str, Fingerprint]:
    return {key: fingerprint(pixels) for key, pixels in frames.items()}


@pytest.mark.parametrize("copied", KINDS.values(), ids=KINDS.keys())
def test_copies_are_found_and_nothing_else(
    copied: Callable[[Pixels, Generator], Pixels], frames: dict[str, Pixels], known: dict[str, Fingerprint]
) -> None:
    rng = np.random.default_rng(0)
    planted = {f"copy of {key}": fingerprint(copied(frames[key], rng)) for key in sorted(frames)[:4]}
    found = {frozenset((pair.one, pair.other)) for pair in find({**known, **planted})}
    wanted = {frozenset((key, key.removeprefix("copy of "))) for key in planted}
    assert found == wanted  # benchmarks/duplicates.py counts more


def test_frames_of_other_tissue_are_not_reported(known: dict[str, Fingerprint]) -> None:
    assert find(known) == []


def test_an_exact_copy_is_named_so(frames: dict[str, Pixels], known: dict[str, Fingerprint]) -> None:
    key = min(frames)
    (pair,) = find({**known, "copy": fingerprint(frames[key].copy())})
    assert (pair.one, pair.other, pair.exact) == ("copy", key, True)


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_frame_without_any_point_is_like_no_other(value: int, known: dict[str, Fingerprint]) -> None:
    blank = fingerprint(np.full((SIDE, SIDE, 3), value, dtype=np.uint8))
    assert find({**known, "blank": blank}) == []
    assert find({}) == []
    assert find({"tiny": fingerprint(np.zeros((3, 2, 3), dtype=np.uint8))}) == []


def test_of_two_real_scans_of_one_field_and_no_other_pair(real_data: Path) -> None:
    """A few real frames: those of other fields are not reported."""
    dataset = load("mitos2012", real_data)
    some = {id: fingerprint(item.frame.read()) for id, item in list(dataset.items.items())[:3]}
    assert find(some) == []
