"""Data sets: coverage, digests, cards, and finding the right reader."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mitobench import discovery, registry
from mitobench.api import DataError, MitobenchError, PluginError
from mitobench.datasets import Card, available, load, reader
from mitobench.datasets.card import Expected
from mitobench.datasets.mitos2012 import Mitos2012, read_layout
from mitobench.discovery import InstalledPlugin

Write = Callable[..., Path]


def test_available_finds_data_sets_at_any_depth(write2012: Write, write2014: Write, tmp_path: Path) -> None:
    assert available(tmp_path) == []
    write2012("A00_01")
    assert available(tmp_path) == ["mitos2012"]
    write2014("A03_00Aa")
    assert available(tmp_path.parent / tmp_path.name) == ["mitos2012", "mitos2014"]


def test_a_broken_reader_is_skipped_with_a_note(
    write2012: Write, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    plugins = {role: dict(found) for role, found in discovery.found().items()}
    plugins["dataset"]["odd"] = [InstalledPlugin("dataset", "odd", "no.such.module:Odd", "odd-package", "1.0")]
    monkeypatch.setattr(discovery, "found", lambda: plugins)
    assert available(write2012("A00_01")) == ["mitos2012"]
    assert "Skipped data set odd" in caplog.text
    assert "odd-package 1.0" in caplog.text


def test_an_entry_point_that_is_not_a_reader_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    plugins = {role: dict(found) for role, found in discovery.found().items()}
    plugins["dataset"]["odd"] = [InstalledPlugin("dataset", "odd", "pathlib:Path", "odd-package", "1.0")]
    monkeypatch.setattr(discovery, "found", lambda: plugins)
    with pytest.raises(PluginError, match="odd-package"):
        reader("odd")


def test_an_unknown_data_set_gets_the_nearest_names(tmp_path: Path) -> None:
    with pytest.raises(MitobenchError, match="Did you mean mitos2012"):
        load("mitos-2012", tmp_path)


def test_a_folder_of_another_data_set_says_what_it_holds(write2014: Write) -> None:
    with pytest.raises(DataError, match="It holds mitos2014"):
        load("mitos2012", write2014("A03_00Aa"))


def test_coverage_says_what_a_partial_copy_holds(write2014: Write) -> None:
    root = write2014("H03_00Aa", "H03_00Ab", "A03_00Aa")
    assert load("mitos2014", root).coverage == "2 of 1200 H frames, 1 of 1200 A frames; positives only"
    (root / "H03" / "mitosis" / "H03_00Ab_mitosis.csv").write_text("")
    assert load("mitos2014", root).coverage == "2 of 1200 H frames, 1 of 1200 A frames"
    assert load("mitos2014", root).select(["A"]).coverage == "1 of 1200 A frames; positives only"


def test_coverage_of_a_complete_copy_is_none(write2012: Write) -> None:
    train = [f"A00_{n:02d}" for n in range(1, 8)] + ["A00_09"]
    root = write2012(*train)
    card = Mitos2012.card().model_copy(update={"expected": {"A": {"train": Expected(frames=8)}}})
    assert load("mitos2012", root).coverage == "8 of 35 A frames, 0 of 15 A test frames"
    assert read_layout(root, card).coverage is None


def test_a_missing_test_set_with_withheld_labels_is_not_incomplete(write2014: Write) -> None:
    assert "test" not in str(load("mitos2014", write2014("A03_00Aa")).coverage)
    assert "1 of 496 A test frames" in str(load("mitos2014", write2014("A06_00Aa", labelled=False)).coverage)


def test_select_keeps_the_fields_of_all_scanners(write2014: Write) -> None:
    dataset = load("mitos2014", write2014("A03_00Aa", "H03_00Ab"))
    only = dataset.select(["H"])
    assert list(only.items) == ["H03_00Ab"]
    assert only.fields == dataset.fields == {"03_00Aa": "train", "03_00Ab": "train"}
    with pytest.raises(DataError, match="has no scanner 'Z'"):
        dataset.select(["Z"])


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "mitosis" / "A03_00Aa_mitosis.csv").write_text("1,2,1\n"),
        lambda folder: (folder / "mitosis" / "A03_00Aa_not_mitosis.csv").unlink(),
        lambda folder: (folder / "frames" / "x40" / "A03_00Aa.tiff").open("ab").write(b"x"),
    ],
)
def test_a_frames_digest_depends_on_every_byte_of_its_files(write2014: Write, change: Callable[[Path], object]) -> None:
    root = write2014("A03_00Aa", "A03_00Ab")
    before = load("mitos2014", root)
    digests = [before.frame_digest(id) for id in before.items]
    change(root / "A03")
    after = load("mitos2014", root)
    assert after.frame_digest("A03_00Aa") != digests[0]
    assert after.frame_digest("A03_00Ab") == digests[1]
    assert after.digest() != before.digest()
    assert after.digest(["A03_00Ab"]) == before.digest(["A03_00Ab"])


def test_the_digest_depends_on_neither_folder_nor_order(write2014: Write) -> None:
    root = write2014("A03_00Aa", "A03_00Ab")
    before = load("mitos2014", root).digest(["A03_00Aa", "A03_00Ab"])
    moved = root.rename(root.with_name("elsewhere"))
    assert load("mitos2014", moved).digest(["A03_00Ab", "A03_00Aa"]) == before


def test_an_empty_list_of_mitoses_is_not_an_empty_list_of_imposters(write2014: Write) -> None:
    root = write2014("A03_00Aa")
    mitosis, imposter = (root / "A03" / "mitosis" / f"A03_00Aa_{kind}.csv" for kind in ("mitosis", "not_mitosis"))
    mitosis.write_text("")
    imposter.unlink()
    with_none = load("mitos2014", root).digest()
    mitosis.rename(imposter)
    assert load("mitos2014", root).digest() != with_none


CARDS = sorted((registry.ROOT / "datasets").glob("*.toml"))


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.stem)
def test_every_card_is_valid_and_has_a_reader(path: Path) -> None:
    card = Card.load(path)
    assert card.name == path.stem
    assert reader(card.name).card() == card


def test_a_wrong_card_is_an_error_with_file_and_field(tmp_path: Path) -> None:
    path = tmp_path / "odd.toml"
    path.write_text('name = "odd"\nradius_um = -1\n')
    with pytest.raises(MitobenchError, match=r"odd\.toml: is not a valid data set card: .*radius_um"):
        Card.load(path)


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.stem)
def test_cut_offs_are_of_tumour_types_that_the_data_set_has(path: Path) -> None:
    card = Card.load(path)
    known = {card.domains.get("tumour"), *(cohort.tumour for cohort in card.cohorts)}
    assert card.cut_offs_by_tumour.keys() <= known
    if "human breast cancer" in known:
        assert card.cut_offs_by_tumour["human breast cancer"] == [4, 8]


def test_implausible_um_per_px_is_refused(write2012: Write) -> None:
    card = Mitos2012.card().model_copy(update={"mpp": {"A": (2.5, 0.25)}})
    with pytest.raises(DataError, match=r"2\.5 um/px along x"):
        read_layout(write2012("A00_01"), card)
