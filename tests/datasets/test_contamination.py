"""Which test slides may have been seen: by declared data sets, and by image, with a cache that may be damaged."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mitos2014_frames import mitos2014
from PIL import Image

from mitobench import discovery, file_cache
from mitobench.datasets import Card, load, reader
from mitobench.datasets.check import same_tissue_across
from mitobench.datasets.contamination import duplicates, in_data, note, seen
from mitobench.results import record

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv(file_cache.FOLDER, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize(
    ("tested", "trained", "number"),
    [("midog21", "midogpp", 2), ("midogpp", "midog21", 2), ("midog21", "midog21", 3), ("midog21", "mitos2012", 0)],
)
def test_declared_slides(tested: str, trained: str, number: int) -> None:
    slides = ["001", "150", "500"]
    assert len(seen(reader(tested).card(), slides, trained)) == number


TUPAC, MIDOG = ["01", "23", "24", "73"], ["001", "150", "151", "404", "405"]
WHOLE = {  # which of these slides each data set has
    "amida13": TUPAC[:2],
    "tupac16": TUPAC,
    "tupac16-al": TUPAC,
    "ami-br": [*TUPAC, *MIDOG[:2]],
    "midog21": MIDOG[:3],
    "midog22": MIDOG[:4],
    "midogpp": MIDOG,
}


def test_every_pair_of_data_sets_shares_what_both_are_made_of() -> None:
    """Also where neither card names the other: AMi-Br and AMIDA13 are linked by the TUPAC16 sets only."""
    tested = [name for name in discovery.names("dataset") if not name.startswith("toy")]
    assert set(WHOLE) - {"ami-br"} <= set(tested)
    for name in tested:
        slides = WHOLE.get(name, [*TUPAC, *MIDOG])
        for other in {*tested, "ami-br", "unknown"} - {name}:
            wanted = sorted(set(WHOLE.get(name, [])) & set(WHOLE.get(other, [])))
            assert seen(reader(name).card(), slides, other) == wanted, f"tested on {name}, trained on {other}"


def test_a_data_set_without_a_reader_may_contain_slides() -> None:
    card = Card.model_validate(
        {"name": "mine", "title": "Mine", "radius_um": 7.5, "has_masks": False, "has_imposters": False}
        | {"mpp": {"A": [0.25, 0.25]}, "protocols": [], "contained_in": {"theirs": ["01-03"]}}
    )
    assert seen(card, ["02", "05"], "theirs") == ["02"]
    assert seen(card, ["02", "05"], "others") == []


def test_the_note_counts_slides() -> None:
    assert note(["1"], ["1", "2"], "X") == "1 of 2 test slides may have been seen, by X"


def copied(folder: Path, one: str, other: str) -> None:
    """Makes one frame the mirror image of another."""
    pixels = np.asarray(Image.open(folder / one[:3] / "frames" / "x40" / f"{one}.png"))
    Image.fromarray(pixels[:, ::-1]).save(folder / other[:3] / "frames" / "x40" / f"{other}.png")


def test_a_copy_in_another_slide_is_found(tmp_path: Path) -> None:
    folder = mitos2014(tmp_path / "data", "A03_00Aa", "A04_00Aa", "A07_00Aa")
    dataset = load("mitos2014", folder)
    assert in_data({"mitos2014": dataset}) == []
    copied(folder, "A03_00Aa", "A04_00Aa")
    (pair,) = in_data({"mitos2014": load("mitos2014", folder)})
    assert (pair.one, pair.other) == ("mitos2014/A03_00Aa", "mitos2014/A04_00Aa")


def test_two_scans_of_one_field_are_declared_by_their_ids(tmp_path: Path) -> None:
    folder = mitos2014(tmp_path / "data", "A03_00Aa", "H03_00Aa")
    copied(folder, "A03_00Aa", "H03_00Aa")
    dataset = load("mitos2014", folder)
    assert duplicates({id: (dataset, item) for id, item in dataset.items.items()}) == []


@pytest.fixture
def two_sets(tmp_path: Path) -> Path:
    """A copy of MITOS 2014, and a folder with a copy of one of its images and the mirror image of another."""
    folder = mitos2014(tmp_path / "data" / "contest", "A03_00Aa", "A04_00Aa")
    mine = tmp_path / "data" / "mine"
    mine.mkdir()
    one, two = (folder / id[:3] / "frames" / "x40" / f"{id}.png" for id in ("A03_00Aa", "A04_00Aa"))
    shutil.copy(one, mine / "one.png")
    Image.fromarray(np.asarray(Image.open(two))[:, ::-1]).save(mine / "two.png")
    (mine / "points.csv").write_text("image,x,y\none.png,50,60\ntwo.png,70,80\n")
    (mine / "dataset.toml").write_text('title = "Mine"\nradius_um = 7.5\nmpp = 0.25\n')
    return tmp_path / "data"


def test_data_check_names_frames_that_are_in_two_data_sets(mitobench: Callable[..., Any], two_sets: Path) -> None:
    answer = mitobench("data", "check", two_sets)
    assert answer.code == 1, "two frames are too few for any split"
    lines = " ".join(answer.out.split()).partition("the same tissue in two data sets: 2")[2]
    assert f"A03_00Aa.png (mitos2014): is the same image as {two_sets / 'mine' / 'one.png'} (folder)" in lines
    assert f"A04_00Aa.png (mitos2014): shows the same tissue as {two_sets / 'mine' / 'two.png'} (folder)" in lines


def test_slides_that_two_cards_declare_and_files_that_both_read_are_not_named(two_sets: Path) -> None:
    contest, mine = load("mitos2014", two_sets), load("folder", two_sets)
    assert same_tissue_across([contest]) == []
    other = replace(contest, card=contest.card.model_copy(update={"name": "theirs"}))
    assert same_tissue_across([contest, other]) == [], "the same files"
    renamed = {
        id: replace(item, frame=replace(item.frame, group={"one": "03", "two": "04"}[id]))
        for id, item in mine.items.items()
    }
    declared = contest.card.model_copy(update={"contains": {"folder": ("03",)}})
    (line,) = same_tissue_across([replace(contest, card=declared), replace(mine, items=renamed)])
    assert "two.png" in line


def test_run_and_data_check_say_so(toys: dict[str, str], mitobench: Callable[..., Any], tmp_path: Path) -> None:
    folder = mitos2014(tmp_path / "data", "A03_00Aa", "A04_00Aa", "A07_00Aa", "A11_00Aa")
    copied(folder, "A04_00Aa", "A03_00Aa")  # a training frame becomes a test frame
    (tmp_path / "toys.toml").write_text('title = "toys"\n')
    answer = mitobench(
        *("run", "-e", "toy-boxes", "-d", "toy-dark", "-v", "none", "-f", "toy-sum", "--data", folder),
        *("--dataset", "mitos2014", "--protocol", "by-slide", "--profile", tmp_path / "toys.toml", "--device", "cpu"),
        *("--store", tmp_path / "store", "--out", tmp_path / "out"),
    )
    assert answer.code == 0, answer.out + answer.err
    ((_, found),) = record.read_all(tmp_path / "out" / "records")
    wanted = "1 of 2 test slides may have been seen, by training or validation frames that show the same tissue"
    assert wanted in found.notes
    answer = mitobench("data", "check", folder, "--dataset", "mitos2014")
    assert "shows the same tissue as" in " ".join(answer.out.split())
    shutil.rmtree(folder)
