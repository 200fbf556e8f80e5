"""What the page of results says of a section, in words and in numbers."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from report.counted import counted

from mitobench.report.table import Section, sections
from mitobench.results.record import Record

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "results_page.py"
GOOD = (90, 10, 10)
BAD = (10, 40, 90)


@pytest.fixture(scope="module")
def page() -> ModuleType:
    spec = importlib.util.spec_from_file_location("results_page", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def timed(seconds: float, record: Record) -> Record:
    return record.model_copy(update={"run": record.run.model_copy(update={"seconds_a_frame": seconds})})


def section(*records: Record) -> Section:
    (found,) = sections(records)
    return found


def test_words_are_of_the_best_row_and_of_all_its_slides(page: ModuleType) -> None:
    best = counted([(9, 1, 1), (1, 0, 1), *[GOOD] * 4], detector="blobs")
    said = page.words(section(best, counted([BAD] * 6, detector="frcnn")))
    assert "blobs" in said
    assert "frcnn" not in said
    assert "one seed" in said
    assert "Of 100 mitoses that the annotators marked, it finds 33. Of 100 cells that it marks, 50" in said
    assert "(2 mitoses)" in said, "the worst slide, small as it is"


def test_a_row_of_the_same_method_with_other_code_is_named(page: ModuleType) -> None:
    first, second = counted([GOOD] * 6, seed=0), counted([(80, 20, 20)] * 6, seed=1)
    plugins = {role: one.model_copy(update={"source": "other"}) for role, one in second.plugins.items()}
    changed = second.model_copy(update={"plugins": plugins, "digest": "other"})
    assert "measured with other versions of its code or packages, or on another device: F1 .800, seed 1." in page.words(
        section(first, changed)
    )
    assert "another row" not in page.words(section(first, counted([BAD] * 6, detector="rpn")))


def test_rows_that_differ_in_one_comparison_are_counted(page: ModuleType) -> None:
    """As they are on five slides, where allowing for all pairs leaves nothing that can be distinguished."""
    better = counted([(30, 5, 5)] * 5, detector="frcnn")
    found_by_slide = (29, 24, 28, 20, 26)
    worse = [counted([(n, 10, 35 - n) for n in found_by_slide], detector=f"rpn{number}") for number in range(30)]
    found = page.unknown(section(better, *worse))
    assert "Of the other 30 rows, 30 cannot be distinguished from the best" in found
    assert "being compared with 30 others" in found
    assert "30 of 30 would count as worse" in found


def test_seeds_are_counted_in_words(page: ModuleType) -> None:
    assert "mean of 2 seeds" in page.words(section(*(counted([GOOD] * 6, seed=seed) for seed in (0, 1))))


def test_a_part_is_better_beyond_noise_only_if_its_interval_is_clear_of_0(page: ModuleType) -> None:
    same = counted([GOOD, BAD] * 5, detector="frcnn"), counted([BAD, GOOD] * 5, detector="rpn")
    assert "**detectors**: none. Undecided: 1 of 1 comparison." in page.noise(section(*same))
    clear = counted([GOOD] * 10, detector="frcnn"), counted([BAD] * 10, detector="rpn")
    assert "**detectors**: frcnn is better than rpn (+" in page.noise(section(*clear))
    assert "Undecided: 0 of 1 comparison." in page.noise(section(*clear))


def test_without_pairs_nothing_is_said_to_be_better(page: ModuleType) -> None:
    assert page.noise(section(counted([GOOD] * 6))) == "No two rows differ in one part only."


def test_a_row_is_worth_its_time_only_if_all_faster_rows_are_worse(page: ModuleType) -> None:
    found = page.cost(
        section(
            timed(1.0, counted([BAD] * 6, detector="blobs")),
            timed(2.0, counted([GOOD] * 6, detector="frcnn")),
            timed(3.0, counted([(80, 20, 20)] * 6, detector="rpn")),
        )
    )
    assert [name in found for name in ("blobs", "frcnn", "rpn")] == [True, True, False]


def test_the_best_row_is_not_one_of_those_that_cannot_be_distinguished_from_it(page: ModuleType) -> None:
    found = page.unknown(section(counted([GOOD] * 6)))
    assert "Of the other 0 rows, 0 cannot be distinguished" in found
    assert "Rows with one seed: 1 of 1." in found


def test_rows_that_share_no_seed_are_not_said_to_be_worse(page: ModuleType) -> None:
    found = page.unknown(section(counted([GOOD] * 6, seed=0), counted([BAD] * 6, detector="rpn", seed=1)))
    assert "0 cannot be distinguished from the best, 1 cannot be compared with it, and 0 are worse" in found
