"""Splits: each protocol always assigns the same frames, and inconsistent splits are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mitobench import registry
from mitobench.api import DataError, Frame, MitobenchError, Mitoses
from mitobench.datasets import Dataset, Item, reader
from mitobench.datasets.folder import IF_SEARCHED
from mitobench.datasets.folds import of_card
from mitobench.datasets.splits import PARTS, assign, load_split, protocols, read_split

SLIDES_2014 = ("03", "04", "05", "07", "10", "11", "12", "14", "15", "17", "18")
TEST_2012 = {"00": "00 08", "01": "04 06 09", "02": "00 01 03 07", "03": "00 01 04", "04": "03 07 09"}


def dataset(name: str, ids: list[str], labelled: Callable[[str], bool] = lambda id: True) -> Dataset:
    """A data set of frames without pixels."""
    card = reader(name).card()
    items = {}
    for id in ids:
        frame = Frame(id, name, id[1:3], id[0], card.mpp[id[0]], (9, 9), lambda: np.zeros((9, 9, 3), np.uint8))
        part = "test" if id[1:3] in card.test_groups or id[1:] in card.test_fields else "train"
        mitoses = Mitoses(np.zeros((0, 2)), labelled=labelled(id))
        items[id] = Item(frame, mitoses, (Path(f"{id}.png"),), part)
    return Dataset(card, Path("data"), items)


def frames_2014(*slides: str, scanners: str = "A", each: int = 16) -> list[str]:
    quadrants = [f"{outer}{inner}" for outer in "ABCD" for inner in "abcd"]
    return [f"{s}{slide}_{n // 16:02d}{quadrants[n % 16]}" for s in scanners for slide in slides for n in range(each)]


def frames_2012(scanners: str = "A") -> list[str]:
    return [f"{s}{slide:02d}_{n:02d}" for s in scanners for slide in range(5) for n in range(10)]


@pytest.fixture
def own(tmp_path: Path) -> Callable[..., Path]:
    """Writes a user's split of MITOS 2014 by slide, with changes."""

    def write(**changes: Any) -> Path:
        parts = {"train": {"groups": ["03"]}, "val": {"groups": ["04"]}, "test": {"groups": ["05"]}}
        content = {"name": "own", "dataset": "mitos2014", "protocol": "own", "disjoint_by": "group", "parts": parts}
        content["parts"] = {**parts, **changes.pop("parts", {})}
        path = tmp_path / "own.json"
        path.write_text(json.dumps({**content, **changes}))
        return path

    return write


# ------------------------------------------------------------------------------------------- the registry


@pytest.mark.parametrize("path", sorted((registry.ROOT / "splits").glob("*.json")), ids=lambda path: path.stem)
def test_every_split_is_named_as_its_file_and_is_on_its_data_sets_card(path: Path) -> None:
    split = read_split(path)
    assert path.stem == split.name == f"{split.dataset}-{split.protocol}"
    assert of_card(split.protocol) in reader(split.dataset).card().protocols
    assert split.note


@pytest.mark.parametrize("name", ["mitos2012", "mitos2014", "synthetic", "synthetic-centroids"])
def test_every_protocol_of_a_card_has_its_split(name: str) -> None:
    assert {of_card(protocol) for protocol in protocols(name)} == set(reader(name).card().protocols)


def test_splits_that_belong_together_name_each_other() -> None:
    stored = [read_split(path) for path in (registry.ROOT / "splits").glob("*.json")]
    together = {(split.dataset, split.protocol): split.together_with for split in stored if split.together_with}
    assert together, "the folds by slide of MITOS 2012 and 2014"
    for (dataset, protocol), others in together.items():
        assert dataset not in others
        assert all(dataset in together[other, protocol] for other in others)


def test_the_official_2012_test_set_is_the_contests() -> None:
    split = assign(load_split("mitos2012", "official"), dataset("mitos2012", frames_2012("AH")))
    assert split.parts["test"] == tuple(
        f"{s}{slide}_{number}" for s in "AH" for slide, numbers in TEST_2012.items() for number in numbers.split()
    )
    assert [len(split.parts[part]) for part in PARTS] == [52, 18, 30]
    assert set(split.groups["val"]) == {"00", "01", "02", "03", "04"}


def test_2014_by_slide_keeps_every_slide_in_one_part() -> None:
    split = assign(load_split("mitos2014", "by-slide"), dataset("mitos2014", frames_2014(*SLIDES_2014)))
    assert split.groups == {
        "train": ("04", "05", "10", "15"),
        "val": ("07", "12", "14"),
        "test": ("03", "11", "17", "18"),
    }
    assert not split.shares_groups


def test_2014_official_tests_on_unlabelled_slides() -> None:
    slides = (*SLIDES_2014, "06", "08", "09", "13", "16")
    official = {"06", "08", "09", "13", "16"}
    whole = dataset("mitos2014", frames_2014(*slides), labelled=lambda id: id[1:3] not in official)
    assert set(assign(load_split("mitos2014", "official"), whole).groups["test"]) == official


@pytest.mark.parametrize(("name", "protocol"), [("mitos2012", "official"), ("mitos2014", "paper")])
def test_protocols_that_share_slides_say_so(name: str, protocol: str) -> None:
    ids = frames_2012() if name == "mitos2012" else frames_2014(*SLIDES_2014)
    split = assign(load_split(name, protocol), dataset(name, ids))
    assert split.shares_groups
    assert "not independent of the patient" in split.note


# ----------------------------------------------------------------------------------------- the paper's draw


def test_2014_paper_has_960_and_240_of_the_full_set() -> None:
    ids = frames_2014(*SLIDES_2014[:10], each=112) + frames_2014("18", each=80) + frames_2014("06", each=32)
    split = assign(load_split("mitos2014", "paper"), dataset("mitos2014", ids))
    assert {part: len(split.parts[part]) for part in PARTS} == {"train": 840, "val": 120, "test": 240}
    assert "06" not in {id[1:3] for part in PARTS for id in split.parts[part]}


def test_a_partial_copy_is_split_in_the_same_proportions() -> None:
    split = assign(load_split("mitos2014", "paper"), dataset("mitos2014", frames_2014("03", "04", each=50)))
    assert {part: len(split.parts[part]) for part in PARTS} == {"train": 70, "val": 10, "test": 20}


def test_scans_of_one_tissue_stay_together_and_a_selection_is_split_the_same() -> None:
    both = dataset("mitos2014", frames_2014("03", scanners="AH", each=80) + frames_2014("04", scanners="H", each=30))
    whole = assign(load_split("mitos2014", "paper"), both)
    for part in PARTS:
        fields_a, fields_h = ({id[1:] for id in whole.parts[part] if id[0] == s} for s in "AH")
        assert fields_a <= fields_h
    alone = assign(load_split("mitos2014", "paper"), both.select(["A"]))
    assert alone.parts == {part: tuple(id for id in whole.parts[part] if id[0] == "A") for part in PARTS}


def test_the_draw_is_the_same_every_time() -> None:
    ids = frames_2014(*SLIDES_2014)
    split = load_split("mitos2014", "paper")
    one, other = assign(split, dataset("mitos2014", ids)), assign(split, dataset("mitos2014", ids[::-1]))
    assert one.parts == other.parts


# ------------------------------------------------------------------------------------------- the user's own


def test_a_users_split_is_given_as_a_path(own: Callable[..., Path]) -> None:
    split = assign(load_split("mitos2014", own()), dataset("mitos2014", frames_2014("03", "04", "05", each=1)))
    assert split.parts == {"train": ("A03_00Aa",), "val": ("A04_00Aa",), "test": ("A05_00Aa",)}


def test_an_unknown_protocol_is_an_error_with_the_closest_names() -> None:
    with pytest.raises(MitobenchError, match=r"Did you mean by-slide.*by-slide, cv-by-slide-1of3, .*official, paper"):
        load_split("mitos2014", "by-slides")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"parts": {"val": {"groups": ["04"], "fields": ["04_00Aa"]}}}, "parts.val: .*exactly one of"),
        ({"disjoint": "group"}, r"disjoint: unknown key\. Did you mean disjoint_by\?"),
        ({"dataset": "mitos2012"}, "is a split of 'mitos2012', not of 'mitos2014'"),
    ],
)
def test_an_invalid_split_file_is_an_error_that_says_why(
    own: Callable[..., Path], changes: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(MitobenchError, match=rf"own\.json: .*{complaint}"):
        load_split("mitos2014", own(**changes))


def test_broken_json_is_an_error_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "own.json").write_text('{\n"name": }')
    with pytest.raises(MitobenchError, match=r"own\.json:2: is not valid JSON"):
        load_split("mitos2014", tmp_path / "own.json")
    with pytest.raises(MitobenchError, match=r"absent\.json: cannot be read"):
        load_split("mitos2014", str(tmp_path / "absent.json"))


def test_groups_that_overlap_though_declared_disjoint_are_refused(own: Callable[..., Path]) -> None:
    here = dataset("mitos2014", frames_2014("03", "04", each=2) + frames_2014("05", each=2))
    parts = {"val": {"fields": ["03_00Ab"]}, "train": {"fields": ["03_00Aa"]}}
    with pytest.raises(MitobenchError, match=r"own\.json: groups 03 are in both train and val"):
        assign(load_split("mitos2014", own(parts=parts)), here)
    assert assign(load_split("mitos2014", own(parts=parts, disjoint_by=None)), here).parts["val"] == ("A03_00Ab",)


def test_a_frame_in_two_parts_is_refused(own: Callable[..., Path]) -> None:
    path = own(parts={"val": {"groups": ["03", "04"]}}, disjoint_by=None)
    with pytest.raises(MitobenchError, match="frames A03_00Aa are in both train and val"):
        assign(load_split("mitos2014", path), dataset("mitos2014", frames_2014("03", "04", "05", each=1)))


def test_an_empty_part_is_an_error_with_the_available_slides(own: Callable[..., Path]) -> None:
    here = dataset("mitos2014", frames_2014("03", "04", "07", each=1))
    with pytest.raises(MitobenchError, match=r"part 'test' \(slides 05\) is empty.*3 frames of slides 03 04 07"):
        assign(load_split("mitos2014", own()), here)


def test_names_that_are_not_here_are_noted_for_the_parts_that_are_needed(own: Callable[..., Path]) -> None:
    here = dataset("mitos2014", [*frames_2014("03", "04", "05", each=1), "H07_00Aa"])
    path = own(parts={"test": {"groups": ["05", "07", "O5"]}, "val": {"fields": ["04_00Aa", "04_00Ba"]}})
    split = load_split("mitos2014", path)
    missing = "the split own names fields 04_00Ba, slides O5, which are not here"
    assert assign(split, here).missing == missing
    assert assign(split, here.select("A")).missing == missing, "07 is here, by another scanner"
    assert assign(split, here, ["test"]).missing == "the split own names slides O5, which are not here"
    assert assign(split, here, ["train"]).missing == ""
    many = load_split("mitos2014", own(parts={"test": {"groups": ["05", *map(str, range(100, 130))]}}))
    assert " 118 119 and 10 more, which are not here" in assign(many, here).missing


@pytest.mark.parametrize(
    ("part", "use"), [("test", r"tested on \(--dataset\)"), ("train", r"learned from \(--train-on\)")]
)
def test_a_part_that_the_split_itself_leaves_empty_is_missed_only_where_it_is_needed(
    own: Callable[..., Path], part: str, use: str
) -> None:
    here = dataset("mitos2014", frames_2014("03", "04", "05", each=1))
    split = load_split("mitos2014", own(parts={part: {"groups": []}}))
    assert assign(split, here).parts[part] == ()
    with pytest.raises(DataError, match=rf"own\.json: part '{part}' names no frames, so mitos2014 cannot be {use}"):
        assign(split, here, [part])


@pytest.mark.parametrize(("slide", "part"), [("03", "train"), ("04", "val")])
def test_frames_without_labels_cannot_be_fitted_on(own: Callable[..., Path], slide: str, part: str) -> None:
    here = dataset("mitos2014", frames_2014("03", "04", "05", each=1), labelled=lambda id: id[1:3] != slide)
    with pytest.raises(DataError, match=rf"A{slide}_00Aa.*without labels cannot be used for training.*part '{part}'"):
        assign(load_split("mitos2014", own()), here)


def test_only_a_users_own_split_is_to_be_edited(own: Callable[..., Path]) -> None:
    slides = [f"{number:02}" for number in range(3, 19)]
    here = dataset("mitos2014", frames_2014(*slides, each=1), labelled=lambda id: False)
    with pytest.raises(
        DataError, match=r"part 'train' of \S+own\.json has 1\. Add .*, or remove the frames from the split"
    ):
        assign(load_split("mitos2014", own()), here)
    with pytest.raises(DataError, match=r"part 'train' of protocol by-slide has \d+\. Add their annotation\.$"):
        assign(load_split("mitos2014", "by-slide"), here)
    with pytest.raises(
        DataError, match=r'annotation\. If such images were searched, write .*: unannotated = "empty"\.$'
    ):
        assign(load_split("mitos2014", "by-slide"), replace(here, if_searched=IF_SEARCHED))


def test_frames_without_labels_can_be_tested_on(own: Callable[..., Path]) -> None:
    here = dataset("mitos2014", frames_2014("03", "04", "05", each=1), labelled=lambda id: id[1:3] != "05")
    assert assign(load_split("mitos2014", own()), here).parts["test"] == ("A05_00Aa",)


def test_a_split_of_another_data_set_is_refused() -> None:
    with pytest.raises(MitobenchError, match="is a split of 'mitos2012', not of 'mitos2014'"):
        assign(load_split("mitos2012", "official"), dataset("mitos2014", frames_2014("03", each=1)))
