"""Rank ranges worked out by hand: which rows slides can distinguish, and which not."""

from __future__ import annotations

import numpy as np
import pytest
from records import failed, ok

from mitobench.report.table import Section, sections
from mitobench.results.record import Record
from report.counted import F1_4, F1_5, F1_8, F1_10, Counts, counted

MANY = 4  # times the counts of a slide: enough mitoses to be certain


def slides(each: Counts, n: int = 12) -> list[Counts]:
    tp, fp, fn = each
    return [(MANY * tp, MANY * fp, MANY * fn)] * n


def section(*records: Record) -> Section:
    (found,) = sections(records)
    return found


def ranges(ranking: Section) -> dict[str, tuple[int, int] | None]:
    return {str(row.first.combination["detector"]): ranking.rank_range(row) for row in ranking.rows}


def tied(ranking: Section) -> set[str]:
    return {str(row.first.combination["detector"]) for row in ranking.rows if ranking.tied(row)}


def test_a_clearly_better_row_is_first_and_two_equal_ones_share_the_next_ranks() -> None:
    ranking = section(
        counted(slides(F1_10), detector="best"),
        counted(slides(F1_5), detector="a"),
        counted(slides(F1_5), detector="b"),
    )
    assert ranges(ranking) == {"best": (1, 1), "a": (2, 3), "b": (2, 3)}
    assert tied(ranking) == {"best"}
    assert ranking.marked == frozenset()


def test_equal_rows_may_have_any_rank() -> None:
    ranking = section(*(counted(slides(F1_5), detector=name) for name in "abc"))
    assert set(ranges(ranking).values()) == {(1, 3)}
    assert tied(ranking) == {"a", "b", "c"}


def test_rows_that_all_differ_have_one_rank_each() -> None:
    kinds = {"a": F1_10, "b": F1_8, "c": F1_5, "d": F1_4}
    ranking = section(*(counted([*slides(kind, 40)], detector=name) for name, kind in kinds.items()))
    assert ranges(ranking) == {"a": (1, 1), "b": (2, 2), "c": (3, 3), "d": (4, 4)}


def test_a_difference_that_changes_with_the_slides_distinguishes_no_rows() -> None:
    one = [(8, 2, 2), (4, 4, 6), (9, 1, 1), (5, 5, 5), (7, 2, 3), (6, 3, 4)]
    other = [(4, 4, 6), (8, 2, 2), (5, 4, 5), (9, 1, 1), (6, 3, 4), (7, 2, 3)]
    found = [
        counted([(tp, fp, 10 - tp) for tp, fp, _ in each], detector=name)
        for name, each in (("one", one), ("other", other))
    ]
    assert ranges(section(*found)) == {"one": (1, 2), "other": (1, 2)}


@pytest.mark.parametrize("seed", range(3))
def test_the_marked_rows_are_those_that_could_be_first(seed: int) -> None:
    draw = np.random.default_rng(seed)
    ranking = section(
        *(
            counted(
                [(int(tp), int(draw.integers(0, 4)), 10 - int(tp)) for tp in draw.binomial(10, p, 8)], detector=name
            )
            for name, p in zip("abcdefgh", np.linspace(0.9, 0.3, 8), strict=True)
        )
    )
    found = ranges(ranking)
    assert {name for name, each in found.items() if each and each[0] == 1} == tied(ranking)
    assert ranking.best is not None
    assert ranking.rank_range(ranking.best) == (1, len(tied(ranking)))
    assert len(tied(ranking)) < 8


def test_more_rows_need_more_certainty() -> None:
    """The same two rows: distinguished when alone, but not among thirty others equal to the first."""
    best, worse = counted([F1_10] * 6, detector="best"), counted([F1_5] * 6, detector="worse")
    assert ranges(section(best, worse)) == {"best": (1, 1), "worse": (2, 2)}
    crowd = [counted([F1_10] * 6, detector=f"as-good-{n}") for n in range(30)]
    assert ranges(section(best, worse, *crowd))["worse"] != (32, 32)


def test_rows_without_a_rank_have_no_range_and_widen_no_others() -> None:
    ranking = section(
        counted(slides(F1_10), detector="best"),
        counted(slides(F1_5), detector="rest"),
        counted(slides(F1_8), detector="twice"),
        counted(slides(F1_4), detector="twice"),
        failed(detector="failed"),
    )
    assert ranges(ranking) == {"best": (1, 1), "rest": (2, 2), "twice": None, "failed": None}
    assert tied(ranking) == {"best"}


def test_several_seeds_are_compared_by_those_that_both_have() -> None:
    """On seed 0 they are equal; what seed 1 shows is of one row alone."""
    ranking = section(
        counted(slides(F1_5), detector="two"),
        counted(slides(F1_10), detector="two", seed=1),
        counted(slides(F1_5), detector="one"),
    )
    assert ranges(ranking) == {"two": (1, 2), "one": (1, 2)}


def test_a_row_on_other_seeds_alone_can_have_any_rank_but_is_not_marked() -> None:
    ranking = section(
        counted(slides(F1_10), detector="best"),
        counted(slides(F1_5), detector="rest"),
        counted(slides(F1_4), detector="other", seed=1),
    )
    assert ranges(ranking) == {"best": (1, 2), "rest": (2, 3), "other": (1, 3)}
    assert tied(ranking) == {"best"}


def test_the_range_holds_the_rank_of_the_mean_even_where_common_seeds_say_otherwise() -> None:
    """By the mean of two seeds `two` is first; on seed 0, which both have, it is far behind."""
    ranking = section(
        counted(slides(F1_4), detector="two"),
        counted(slides(F1_10), detector="two", seed=1),
        counted(slides((11, 10, 5)), detector="one"),
        counted(slides((2, 2, 14)), detector="last"),
    )
    assert ranking.rows[0].first.combination["detector"] == "two"
    for place, found in enumerate(ranges(ranking).values(), 1):
        assert found is not None
        assert found[0] <= place <= found[1]


@pytest.mark.parametrize("f1", [0.0, 1.0])
def test_a_single_row_has_the_only_rank(f1: float) -> None:
    assert ranges(section(ok(f1=f1, detector="x"))) == {"x": (1, 1)}
