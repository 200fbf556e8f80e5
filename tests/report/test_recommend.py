"""The recommended row is the cheapest that is not worse than the best, where the data can decide."""

from __future__ import annotations

import pytest
from records import failed

from mitobench.report.recommend import Candidate, Recommendation, recommend
from mitobench.report.table import sections
from mitobench.results.record import Record
from report.counted import counted

Slide = tuple[int, int, int]
GOOD: Slide = (90, 10, 10)
NEARLY: Slide = (89, 10, 11)
WORSE: Slide = (60, 40, 40)


def timed(name: str, each: Slide | list[Slide], seconds: float | None, seed: int = 0, device: str = "cpu") -> Record:
    record = counted([each] * 10 if isinstance(each, tuple) else each, detector=name, seed=seed)
    run = record.run.model_copy(update={"seconds_a_frame": seconds})
    return record.model_copy(update={"run": run, "device": device})


def found(*records: Record, margin: float = 0.02) -> Recommendation:
    (section,) = sections(records)
    return recommend(section, margin)


def name(one: Candidate | None) -> str | None:
    return one and str(one.row.first.combination["detector"])


def unsure() -> list[Slide]:
    """The same sums as `GOOD`, but other counts on each slide."""
    return [(98, 2, 2), (82, 18, 18)] * 5


def test_the_cheapest_row_that_is_not_worse_is_chosen() -> None:
    what = found(timed("best", GOOD, 3.0), timed("cheap", NEARLY, 1.0), timed("bad", WORSE, 0.1))
    assert (name(what.best), name(what.chosen), what.undecided) == ("best", "cheap", [])
    assert what.chosen is not None
    assert what.chosen.lead is not None
    assert what.chosen.lead.interval is not None
    assert what.chosen.lead.interval.high <= 0.02


def test_the_best_is_chosen_where_all_that_is_cheaper_is_worse() -> None:
    what = found(timed("best", GOOD, 3.0), timed("bad", WORSE, 0.1))
    assert (name(what.chosen), what.undecided) == ("best", [])


def test_the_best_is_chosen_where_nothing_is_cheaper() -> None:
    assert name(found(timed("best", GOOD, 1.0), timed("dear", unsure(), 3.0)).chosen) == "best"
    assert name(found(timed("best", GOOD, 1.0)).chosen) == "best"


def test_a_cheaper_row_that_may_be_as_good_leaves_it_undecided() -> None:
    records = timed("best", (91, 9, 9), 3.0), timed("cheap", [(90, 10, 10), (84, 16, 16)] * 5, 1.0)
    assert (found(*records).chosen, found(*records).as_cheap) == (None, [])
    assert [name(one) for one in found(*records).undecided] == ["cheap"]
    assert name(found(*records, margin=0.2).chosen) == "cheap"
    assert name(found(*records, margin=0.0).chosen) == "best"


def test_a_row_that_is_known_to_be_as_good_is_chosen_although_a_cheaper_one_is_undecided() -> None:
    cheapest = timed("cheapest", [(90, 10, 10), (84, 16, 16)] * 5, 0.5)
    what = found(timed("best", (91, 9, 9), 3.0), timed("cheap", (90, 9, 10), 1.0), cheapest)
    assert (name(what.chosen), [name(one) for one in what.undecided]) == ("cheap", ["cheapest"])


def test_of_rows_that_cost_the_same_the_better_one_is_chosen_and_the_other_named() -> None:
    what = found(timed("best", GOOD, 3.0), timed("one", NEARLY, 1.0), timed("other", (89, 11, 11), 1.0))
    assert (name(what.chosen), [name(one) for one in what.as_cheap]) == ("one", ["other"])


def test_a_row_without_seconds_is_named_and_not_chosen() -> None:
    what = found(timed("best", GOOD, 3.0), timed("cheap", NEARLY, None))
    assert (name(what.chosen), [name(one) for one in what.untimed]) == ("best", ["cheap"])


def test_a_row_that_is_not_worse_is_chosen_over_a_best_row_without_seconds() -> None:
    what = found(timed("best", GOOD, None), timed("cheap", NEARLY, 1.0))
    assert (name(what.best), name(what.chosen)) == ("best", "cheap")
    assert found(timed("best", GOOD, None), timed("bad", WORSE, 1.0)).chosen is None


def test_a_row_on_other_seeds_is_undecided() -> None:
    what = found(timed("best", GOOD, 3.0), timed("other", NEARLY, 1.0, seed=1))
    assert (what.chosen, [name(one) for one in what.undecided]) == (None, ["other"])


def test_different_devices_are_named() -> None:
    assert found(timed("best", GOOD, 3.0), timed("cheap", NEARLY, 1.0, device="cuda")).devices == ["cpu", "cuda"]
    assert not found(timed("best", GOOD, 3.0)).devices


def test_without_a_ranked_row_nothing_is_recommended() -> None:
    assert found(failed()) == Recommendation(None, None)


@pytest.mark.parametrize("margin", [0.0, 0.02, 1.0])
def test_equal_rows_are_not_worse_by_any_margin(margin: float) -> None:
    assert name(found(timed("a", GOOD, 3.0), timed("b", GOOD, 1.0), margin=margin).chosen) == "b"
