"""Computed splits: folds by slide and by domain, the same on every machine, that share no slide between parts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mitobench.api import Frame, Mitoses
from mitobench.datasets import Card, Dataset, Item, load
from mitobench.datasets.folds import computed, expand, find_split, fold_of, is_computed
from mitobench.datasets.splits import assign
from mitobench.errors import DataError, MitobenchError


def dataset(slides: dict[str, tuple[int, str]], unlabelled: str = "") -> Dataset:
    """A data set with one frame a slide: its number of mitoses and its tumour type."""
    items = {}
    for name, (mitoses, tumour) in slides.items():
        domains = {"tumour": tumour} if tumour else {}
        frame = Frame(f"A{name}_0", "mine", name, "A", (0.25, 0.25), (64, 64), np.zeros, domains=domains)
        annotation = Mitoses(np.zeros((mitoses, 2)), labelled=name != unlabelled)
        items[frame.id] = Item(frame, annotation, (Path("none.png"),))
    card = Card.model_validate(
        {"name": "mine", "title": "Mine", "radius_um": 7.5, "has_masks": False, "has_imposters": False}
        | {"mpp": {"A": [0.25, 0.25]}, "protocols": []}
    )
    return Dataset(card, Path(), items)


TWELVE = dataset({f"{number:02}": (number * 3 % 7, "xyz"[number % 3]) for number in range(12)})


def groups(of: Dataset, protocol: str) -> dict[str, set[str]]:
    split = assign(computed(of, protocol), of)
    return {part: set(found) for part, found in split.groups.items()}


@pytest.mark.parametrize("protocol", ["cv-by-slide", "cv-by-slide-of4", "leave-one-domain-out-tumour"])
def test_every_slide_is_tested_once(protocol: str) -> None:
    names = expand(TWELVE, protocol)
    tested = [slide for name in names for slide in groups(TWELVE, name)["test"]]
    assert sorted(tested) == sorted({item.frame.group for item in TWELVE.items.values()})


@pytest.mark.parametrize("protocol", ["all", "cv-by-slide-2of5", "leave-one-domain-out-tumour-1of3"])
def test_every_slide_is_in_one_part(protocol: str) -> None:
    parts = groups(TWELVE, protocol)
    assert sum(map(len, parts.values())) == len(set().union(*parts.values())) == 12
    assert all(parts.values())


def test_folds_have_names() -> None:
    assert expand(TWELVE, "cv-by-slide") == [f"cv-by-slide-{number}of5" for number in range(1, 6)]
    assert expand(TWELVE, "cv-by-slide-of3") == [f"cv-by-slide-{number}of3" for number in (1, 2, 3)]
    assert expand(TWELVE, "cv-by-slide-2of3") == ["cv-by-slide-2of3"]
    assert expand(TWELVE, "all") == ["all"]
    assert fold_of("cv-by-slide-2of3") == ("cv-by-slide", 2, 3)
    assert fold_of("by-slide") is None
    assert is_computed("single-domain-lab-1of2")
    assert not is_computed("official")


def test_a_domain_is_left_out_as_a_whole() -> None:
    for number, tumour in enumerate("xyz", 1):
        parts = groups(TWELVE, f"leave-one-domain-out-tumour-{number}of3")
        of = {item.frame.group: item.frame.domains["tumour"] for item in TWELVE.items.values()}
        assert {of[slide] for slide in parts["test"]} == {tumour}
        assert tumour not in {of[slide] for slide in parts["train"] | parts["val"]}


def test_a_single_domain_is_tested_on_all() -> None:
    of = {item.frame.group: item.frame.domains["tumour"] for item in TWELVE.items.values()}
    tested = []
    for number, tumour in enumerate("xyz", 1):
        parts = groups(TWELVE, f"single-domain-tumour-{number}of3")
        assert {of[slide] for slide in parts["train"] | parts["val"]} == {tumour}
        assert {of[slide] for slide in parts["test"]} == set("xyz")
        tested.append(parts["test"])
    assert tested[0] == tested[1] == tested[2], "every domain is tested on the same slides"


def test_unlabelled_slides_are_in_no_part() -> None:
    some = dataset({f"{number:02}": (2, "") for number in range(6)}, unlabelled="03")
    assert "03" not in set().union(*groups(some, "cv-by-slide-1of3").values())
    assert "Slides without labels, which are in no part: 1." in computed(some, "cv-by-slide-1of3").note


def test_slides_without_the_domain_are_named() -> None:
    some = dataset({f"{number:02}": (2, "" if number == 4 else "xyz"[number % 3]) for number in range(12)})
    found = computed(some, "leave-one-domain-out-tumour-1of3")
    assert "Slides without labels or without a tumour, which are in no part: 1." in found.note
    assert "in no part" not in computed(TWELVE, "single-domain-tumour-1of3").note


def test_mitoses_are_shared_out() -> None:
    many = dataset({f"{number:02}": (100 if number < 3 else 1, "") for number in range(9)})
    tested = [groups(many, f"cv-by-slide-{number}of3")["test"] for number in (1, 2, 3)]
    assert all(len(part & {"00", "01", "02"}) == 1 for part in tested)


@settings(deadline=None)
@given(st.lists(st.integers(0, 50), min_size=4, max_size=20), st.integers(2, 6))
def test_any_data_set_is_divided(mitoses: list[int], folds: int) -> None:
    made = dataset({f"{number:02}": (count, "") for number, count in enumerate(mitoses)})
    if folds > len(mitoses):
        with pytest.raises(DataError, match="each fold needs one"):
            computed(made, f"cv-by-slide-1of{folds}")
        return
    tests = [groups(made, f"cv-by-slide-{number}of{folds}")["test"] for number in range(1, folds + 1)]
    assert all(tests)
    assert sum(map(len, tests)) == len(set().union(*tests)) == len(mitoses)


@pytest.mark.parametrize(
    ("protocol", "message"),
    [
        ("cv-by-slide-3of2", "does not exist"),
        ("cv-by-slide-1of13", "each fold needs one"),
        ("cv-by-slide", "has several folds"),
        ("leave-one-domain-out-colour-1of2", "'colour' is not a domain. Choose among scanner"),
        ("leave-one-domain-out-tumour-1of2", "this copy has 3 values of tumour: x, y, z"),
        ("leave-one-domain-out-lab-1of2", "needs slides of two values of lab"),
    ],
)
def test_what_does_not_exist_is_named(protocol: str, message: str) -> None:
    with pytest.raises(MitobenchError, match=message):
        computed(TWELVE, protocol)


def test_too_few_slides() -> None:
    two = dataset({"00": (1, "x"), "01": (1, "y")})
    with pytest.raises(DataError, match="needs 3 labelled slides"):
        expand(two, "cv-by-slide")
    with pytest.raises(DataError, match="needs 3 labelled slides of each tumour"):
        computed(two, "single-domain-tumour-1of2")


def test_too_few_slides_for_three_parts() -> None:
    three = dataset({"00": (1, ""), "01": (1, ""), "02": (1, "")})
    with pytest.raises(DataError, match="too few slides"):
        computed(three, "cv-by-slide-1of2")


def test_a_stored_fold_comes_before_a_computed_one(small_data: Path) -> None:
    synthetic = load("synthetic", small_data)
    assert find_split(synthetic, "by-slide").path.name == "synthetic-by-slide.json"
    assert find_split(synthetic, "cv-by-slide-1of5").note.startswith("Fold 1 of 5 by slide.")


def test_the_split_does_not_depend_on_the_order_of_frames() -> None:
    turned = replace(TWELVE, items=dict(reversed(TWELVE.items.items())))
    assert computed(turned, "cv-by-slide-1of5") == computed(TWELVE, "cv-by-slide-1of5")
