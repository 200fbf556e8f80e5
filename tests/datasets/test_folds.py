"""Computed splits: folds by slide and by domain, the same on every machine, that share no slide between parts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from mitobench.api import Frame, Mitoses
from mitobench.datasets import Card, Dataset, Item, load
from mitobench.datasets.folds import computed, expand, find_split, fold_of, is_computed
from mitobench.datasets.splits import SplitFile, SplitPart, assign
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


def scanned(slides: dict[str, str]) -> Dataset:
    """A data set with two frames of each slide by each of its scanners: `{"00": "AB"}`; `-` is an unknown scanner."""
    items = {}
    for name, scanners in slides.items():
        for scanner in scanners:
            for number in (0, 1):
                domains = {} if scanner == "-" else {"scanner": f"Scanner {scanner}"}
                id = f"{scanner}{name}_{number}"
                frame = Frame(id, "mine", name, scanner, (0.25, 0.25), (64, 64), np.zeros, domains=domains)
                items[id] = Item(frame, Mitoses(np.zeros((2, 2))), (Path("none.png"),))
    return replace(TWELVE, items=dict(sorted(items.items())), fields={})


BOTH = scanned({f"{number:02}": "AB" if number % 3 == 0 else "AB"[number % 2] for number in range(12)})


def frames(of: Dataset, protocol: str) -> dict[str, set[tuple[str, str]]]:
    """The slides and scanners of the frames of each part."""
    found = assign(computed(of, protocol), of).parts
    items = {part: [of.items[id].frame for id in ids] for part, ids in found.items()}
    return {part: {(frame.group, frame.scanner) for frame in found} for part, found in items.items()}


@pytest.mark.parametrize(("number", "tested", "other"), [(1, "A", "B"), (2, "B", "A")])
def test_a_slide_with_two_scans_is_tested_on_frames_of_the_tested_scanner(number: int, tested: str, other: str) -> None:
    parts = frames(BOTH, f"leave-one-domain-out-scanner-{number}of2")
    here = {(item.frame.group, item.frame.scanner) for item in BOTH.items.values()}
    assert parts["test"] == {one for one in here if one[1] == tested}
    learned = parts["train"] | parts["val"]
    assert learned == {one for one in here if one[1] == other} - {(slide, other) for slide, _ in parts["test"]}
    note = computed(BOTH, f"leave-one-domain-out-scanner-{number}of2").note
    assert note.startswith(f"Tested on scanner Scanner {tested} only.")
    assert "Frames of these slides with another scanner or none, which are in no part: 8." in note


def test_a_single_domain_is_trained_on_its_own_frames() -> None:
    tested = []
    for number, scanner in enumerate("AB", 1):
        parts = frames(BOTH, f"single-domain-scanner-{number}of2")
        assert {found for _, found in parts["train"] | parts["val"]} == {scanner}
        assert not {slide for slide, _ in parts["train"] | parts["val"]} & {slide for slide, _ in parts["test"]}
        tested.append(parts["test"])
    assert tested[0] == tested[1]
    assert {scanner for _, scanner in tested[0]} == set("AB")


def test_where_every_slide_has_both_scans() -> None:
    every = scanned({f"{number:02}": "AB" for number in range(5)})
    assert len(expand(every, "leave-one-domain-out-scanner")) == 2
    with pytest.raises(DataError, match=r"no slide is left to train .* frames of another scanner, too: 5"):
        computed(every, "leave-one-domain-out-scanner-1of2")
    one, two = (frames(every, f"single-domain-scanner-{number}of2") for number in (1, 2))
    assert {(slide, "B") for slide, _ in one["train"]} == two["train"], (
        "a slide is in one part, whichever is trained on"
    )


def test_slides_of_several_domains_that_leave_nothing_to_test_are_named() -> None:
    trained_on = ("00", "01", "04", "05", "06", "09")  # of five slides of A, and of five of C
    slides = {f"{number:02}": "A" if number < 5 else "C" for number in range(10)}
    crowded = scanned({name: scanner + "B" * (name in trained_on) for name, scanner in slides.items()})
    with pytest.raises(
        DataError, match="no slide of scanner Scanner B is left for val: its slides have frames of other"
    ):
        computed(crowded, "single-domain-scanner-1of3")


def test_frames_of_an_unknown_domain_are_in_no_part() -> None:
    some = scanned({"00": "A-", "01": "A", "02": "B-", "03": "B", "04": "B"})
    split = computed(some, "leave-one-domain-out-scanner-1of2")
    assert "with another scanner or none, which are in no part: 4." in split.note
    assert "-" not in {scanner for part in frames(some, split.protocol).values() for _, scanner in part}


def test_parts_name_domains_only_where_slides_have_several() -> None:
    """So that the digests of older splits stay as they are."""
    plain = computed(TWELVE, "leave-one-domain-out-tumour-1of3").model_dump(mode="json")
    assert all("where" not in part for part in plain["parts"].values())
    mixed = computed(BOTH, "leave-one-domain-out-scanner-1of2")
    assert mixed.parts.test.where == {"scanner": ("Scanner A",)}
    assert SplitFile.model_validate(mixed.model_dump(mode="json")) == mixed


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


def test_a_part_of_an_unknown_kind_of_domain_is_refused() -> None:
    with pytest.raises(ValidationError, match="where: 'colour' is not a domain"):
        SplitPart(groups=("00",), where={"colour": ("red",)})


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
