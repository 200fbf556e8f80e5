"""The counts of the real frames are those of their publication."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from mitobench.datasets import Dataset, available, load
from mitobench.datasets.splits import PARTS, assign, load_split

pytestmark = [pytest.mark.slow, pytest.mark.real]


def counts(dataset: Dataset, scanner: str, part: str) -> tuple[int, int, int]:
    items = [item for item in dataset.items.values() if (item.frame.scanner, item.part) == (scanner, part)]
    return len(items), sum(len(i.mitoses) for i in items), sum(len(i.mitoses.imposters) for i in items)


def test_both_data_sets_are_found_and_read_in_seconds(real: Path) -> None:
    start = time.perf_counter()
    assert {"mitos2012", "mitos2014"} <= set(available(real))
    for name in ("mitos2012", "mitos2014"):
        load(name, real)
    assert time.perf_counter() - start < 5


def test_mitos2012_is_complete(real: Path) -> None:
    dataset = load("mitos2012", real)
    assert counts(dataset, "A", "train") == (35, 226, 0)
    assert counts(dataset, "A", "test") == (15, 101, 0)
    assert dataset.coverage is None
    assert all(item.mitoses.masks is not None and item.mitoses.labelled for item in dataset.items.values())


def test_mitos2012_validation_is_a_quarter_of_every_kind(real: Path) -> None:
    dataset = load("mitos2012", real)
    split = assign(load_split("mitos2012", "official"), dataset)
    mitoses = {part: sum(len(dataset.items[id].mitoses) for id in split.parts[part]) for part in PARTS}
    assert {part: len(split.parts[part]) for part in PARTS} == {"train": 26, "val": 9, "test": 15}
    assert mitoses == {"train": 169, "val": 57, "test": 101}


def test_centroids_of_2012_masks_are_those_that_the_authors_used(real: Path) -> None:
    dataset = load("mitos2012", real)
    for line in (real / "deepmitosis_authors" / "ground_truth.txt").read_text().splitlines():
        name, x, y = line.split()
        distance = np.hypot(*(dataset.items[name.split("/")[1]].mitoses.xy - [float(x), float(y)]).T)
        assert distance.min() < 2.0, line


def test_mitos2014_is_partial_and_its_coverage_says_so(real: Path) -> None:
    dataset = load("mitos2014", real)
    assert counts(dataset, "H", "train") == (292, 550, 772)
    assert counts(dataset, "A", "train") == (6, 12, 30)
    assert dataset.coverage == "292 of 1200 H frames, 6 of 1200 A frames; positives only"


@pytest.mark.parametrize("protocol", ["by-slide", "paper"])
def test_mitos2014_splits_fill_every_part(real: Path, protocol: str) -> None:
    dataset = load("mitos2014", real)
    split = assign(load_split("mitos2014", protocol), dataset)
    assert all(split.parts[part] for part in PARTS)
    assert split.shares_groups == (protocol == "paper")


@pytest.mark.parametrize(("name", "id"), [("mitos2012", "A00_00"), ("mitos2014", "H03_00Aa")])
def test_a_frame_reads_as_its_header_says(real: Path, name: str, id: str) -> None:
    items = load(name, real).items
    frame = items.get(id, next(iter(items.values()))).frame
    pixels = frame.read()
    assert (pixels.dtype, pixels.shape) == (np.uint8, (frame.size[1], frame.size[0], 3))
