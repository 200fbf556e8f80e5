"""Frames that show the same tissue are found, however they were copied; frames of other tissue are not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from frame_copies import KINDS, Pixels
from numpy.random import Generator

from mitobench.datasets import load
from mitobench.datasets.contamination import duplicates
from mitobench.datasets.duplicates import Fingerprint, find, fingerprint
from mitobench.datasets.synthesis import make_frame

pytestmark = pytest.mark.slow

SIDE = 256
QUICK = ("turned or mirrored", "all of these")  # `make test-thorough` takes every kind alone, too


@pytest.fixture(scope="module")
def frames() -> dict[str, Pixels]:
    """Frames of unrelated tissue, each of a slide of its own."""
    return {f"slide {slide}": make_frame(5, slide, 0, SIDE).image for slide in range(8)}


@pytest.fixture(scope="module")
def known(frames: dict[str, Pixels]) -> dict[str, Fingerprint]:
    return {key: fingerprint(pixels) for key, pixels in frames.items()}


@pytest.mark.parametrize(
    "copied", [pytest.param(c, id=n, marks=[] if n in QUICK else [pytest.mark.thorough]) for n, c in KINDS.items()]
)
def test_copies_are_found_and_nothing_else(
    copied: Callable[[Pixels, Generator], Pixels], frames: dict[str, Pixels], known: dict[str, Fingerprint]
) -> None:
    rng = np.random.default_rng(0)
    planted = {f"copy of {key}": fingerprint(copied(frames[key], rng)) for key in sorted(frames)[:4]}
    found = {frozenset((pair.one, pair.other)) for pair in find({**known, **planted})}
    wanted = {frozenset((key, key.removeprefix("copy of "))) for key in planted}
    assert found == wanted  # the thorough test counts more


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


@pytest.mark.thorough
def test_of_200_copies_95_percent_are_found_among_1000_frames_and_nothing_else() -> None:
    """40 copies of each kind, each of another frame. benchmarks/duplicates.py plants 200 of each kind."""
    rng = np.random.default_rng(0)
    frames = {f"slide {slide}": make_frame(11, slide, 0, SIDE).image for slide in range(1000)}
    known = {key: fingerprint(pixels) for key, pixels in frames.items()}
    copiers = list(KINDS.values())
    planted = {
        f"copy of {key}": fingerprint(copiers[place % len(copiers)](frames[key], rng))
        for place, key in enumerate(rng.permutation(sorted(frames))[:200])
    }
    found = {frozenset((pair.one, pair.other)) for pair in find({**known, **planted})}
    wanted = {frozenset((key, key.removeprefix("copy of "))) for key in planted}
    assert len(wanted) == 200
    assert found <= wanted, "frames of other tissue"
    assert len(found) >= 0.95 * len(wanted)


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["mitos2012", "mitos2014"])
def test_of_all_real_frames_no_two_are_reported(real_data: Path, name: str) -> None:
    """Not even the two scans of one field in MITOS 2014: their ids declare them."""
    dataset = load(name, real_data)
    items = {id: (dataset, item) for id, item in dataset.items.items()}
    assert len(items) >= 50
    assert duplicates(items) == []


def test_of_two_real_scans_of_one_field_and_no_other_pair(real_data: Path) -> None:
    """A few real frames: those of other fields are not reported."""
    dataset = load("mitos2012", real_data)
    some = {id: fingerprint(item.frame.read()) for id, item in list(dataset.items.items())[:3]}
    assert find(some) == []
