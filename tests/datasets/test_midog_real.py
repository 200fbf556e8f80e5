"""Every number of the published tables, from the real label files."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest

from mitobench.datasets import Dataset, load, reader
from mitobench.datasets.card import slide_names
from mitobench.datasets.domain_table import domain_rows

pytestmark = pytest.mark.real

# tumour type, slides, ids, scanners, laboratories, species, mitoses, hard negatives, train, test
ROWS = [
    (
        *("human breast cancer", 150, "001-150"),
        "Hamamatsu XR 001-050, Hamamatsu S360 051-100, Aperio CS2 101-150",
        *("UMC Utrecht", "human", 1721, 2714, 117, 33),
    ),
    ("canine lung cancer", 44, "201-244", "3D Histech", "VMU Vienna", "canine", 855, 951, 34, 10),
    ("canine lymphosarcoma", 55, "245-299", "3D Histech", "VMU Vienna", "canine", 3959, 4257, 43, 12),
    ("canine cutaneous mast cell tumor", 50, "300-349", "Aperio CS2", "FU Berlin", "canine", 2327, 1366, 39, 11),
    ("human neuroendocrine tumor", 55, "350-404", "Hamamatsu XR", "UMC Utrecht", "human", 639, 1761, 43, 12),
    (
        *("canine soft tissue sarcoma", 100, "405-504", "3D Histech"),
        *("AMC New York 85, VMU Vienna 15", "canine", 1286, 2375, 78, 22),
    ),
    ("human melanoma", 49, "505-553", "Hamamatsu XR", "UMC Utrecht", "human", 1150, 925, 38, 11),
]


@functools.cache
def midogpp(root: Path) -> Dataset:
    return load("midogpp", root / "midogpp", labels_only=True)


@pytest.fixture
def labelled_data(real: Path) -> Path:
    if not (real / "midogpp" / "MIDOG++.json").is_file():
        pytest.skip("no real label files of MIDOG++")
    return real


def test_the_table_of_midogpp(labelled_data: Path) -> None:
    *rows, bare, total = domain_rows(list(midogpp(labelled_data).without_image.values()))
    shown = [
        (r.tumour, r.slides, r.ids, r.scanners, r.labs, r.species, r.mitoses, r.imposters, r.train, r.test)
        for r in rows
    ]
    assert shown == ROWS
    assert (bare.labelled, bare.slides, bare.ids, bare.scanners) == (False, 50, "151-200", "Leica GT450")
    assert (total.slides, total.mitoses, total.imposters, total.train, total.test) == (503, 11937, 14349, 392, 111)


def test_what_is_odd_in_midogpp_is_noted(labelled_data: Path) -> None:
    notes = "\n".join(midogpp(labelled_data).notes)
    assert "553 of 553 images are missing: 001-553; available from https://" in notes
    assert "274 boxes leave their image" in notes
    assert "'Hamammatsu XR', which is read as 'Hamamatsu XR'" in notes
    assert "55 slides have 'canine lymphoma', which is read as 'canine lymphosarcoma'" in notes


def test_um_per_px_of_midogpp_is_derived(labelled_data: Path) -> None:
    items = midogpp(labelled_data).without_image
    by_size = {item.frame.size: item.frame.mpp[0] for item in items.values()}
    assert [by_size[size] for size in ((7215, 5412), (6577, 4933), (6447, 4835))] == [0.2263, 0.2483, 0.2533]


def test_all_votes_of_midogpp_are_kept(labelled_data: Path) -> None:
    items = midogpp(labelled_data).without_image.values()
    sure = np.concatenate([i.mitoses.confidence for i in items if i.mitoses.confidence is not None])
    unsure = np.concatenate([i.mitoses.imposter_confidence for i in items if i.mitoses.imposter_confidence is not None])
    assert {round(float(v), 3): int(n) for v, n in zip(*np.unique(sure, return_counts=True), strict=True)} == {
        0.667: 1623 + 1397,
        1.0: 8917,
    }
    assert {round(float(v), 3): int(n) for v, n in zip(*np.unique(unsure, return_counts=True), strict=True)} == {
        0.0: 8810 + 3044,
        0.333: 1560 + 935,
    }


def test_the_cards_cohorts_say_what_the_table_says(labelled_data: Path) -> None:
    card = reader("midogpp").card()
    for slide, item in midogpp(labelled_data).without_image.items():
        cohort = card.cohort_of(slide)
        assert cohort is not None
        assert (cohort.labelled, cohort.scanner) == (item.mitoses.labelled, item.frame.domains["scanner"])
        assert (cohort.lab, cohort.tumour) == (item.frame.domains["lab"], item.frame.domains["tumour"])


def test_midog21_has_its_counts_and_is_inside_midogpp(labelled_data: Path) -> None:
    own = load("midog21", labelled_data / "midog21", labels_only=True).without_image
    whole = midogpp(labelled_data).without_image
    *rows, bare, total = domain_rows(list(own.values()))
    assert (len(own), total.slides, total.mitoses, total.imposters) == (200, 150, 1721, 2714)
    assert (bare.slides, bare.ids, bare.scanners) == (50, "151-200", "Leica GT450")
    assert rows[0].scanners == ROWS[0][3]
    contained = slide_names(reader("midogpp").card().contains["midog21"])
    assert contained == set(own) <= set(whole)
    for slide, item in own.items():
        np.testing.assert_array_equal(item.mitoses.xy, whole[slide].mitoses.xy)


def test_tupac_alternative_labels(real: Path) -> None:
    if not (real / "tupac16_al").is_dir():
        pytest.skip("no real labels of TUPAC16")
    items = load("tupac16-al", real / "tupac16_al", labels_only=True).without_image.values()
    assert len(items) == 73
    assert sum(len(item.mitoses) for item in items) == 1999
    assert sum(len(item.mitoses.imposters) for item in items) == 10483
    sure = np.concatenate([item.mitoses.confidence for item in items if item.mitoses.confidence is not None])
    assert set(sure.tolist()) == {0.5, 1.0}, "a mitosis is in one or in both label sets"


def test_the_contests_own_ground_truth(real: Path) -> None:
    if not (real / "midog25_eval").is_dir():
        pytest.skip("no real ground truth of MIDOG 2025's evaluator")
    dataset = load("midog25", real / "midog25_eval", labels_only=True)
    assert len(dataset.without_image) >= 1
    assert {item.part for item in dataset.without_image.values()} == {"test"}
    assert all(item.frame.domains["region"] for item in dataset.without_image.values())
