"""Cells and sentences: numbers as papers write them, and names that are shown as they are."""

from __future__ import annotations

import pytest
from records import failed, metrics, ok

from mitobench.evaluate import Interval
from mitobench.report import markdown
from mitobench.report.table import LeaderboardRow, Section, sections
from mitobench.results.record import Record
from report.counted import F1_5, counted


def row(*records: Record) -> LeaderboardRow:
    (found,) = sections(records)[0].rows
    return found


def section(*records: Record) -> Section:
    (found,) = sections(records)
    return found


@pytest.mark.parametrize(
    ("name", "spelled"),
    [
        ("<script>alert(1)</script>", r"&lt;script&gt;alert\(1\)&lt;/script&gt;"),
        ("a|b", r"a\|b"),
        ("[x](javascript:y)", r"\[x\]\(javascript:y\)"),
        ("two\n\n# lines", r"two \# lines"),
        ("a&lt;b", "a&amp;lt;b"),
        ("`code` *it* _it_ ~no~ !", r"\`code\` \*it\* \_it\_ \~no\~ \!"),
        ("\\", "\\\\"),
        ("$x$", r"\$x\$"),
        ("a\x00b\x1b[31mc\u202ed\u200be\u2066f\ud800g", r"ab\[31mcdefg"),
        ("naïve 中", "naïve 中"),
    ],
)
def test_names_are_shown_as_they_are(name: str, spelled: str) -> None:
    assert markdown.escape(name) == spelled


def test_a_name_is_cut_at_two_hundred_characters() -> None:
    assert markdown.escape("x" * 200) == "x" * 200
    assert markdown.escape("x" * 201) == "x" * 199 + "…"
    assert markdown.escape("x" * 300, 300) == "x" * 300


@pytest.mark.parametrize(
    ("value", "shown"), [(0.8321, ".832"), (1.0, "1.000"), (0.0, ".000"), (None, "–"), (12.5, "12.500")]
)
def test_a_number_has_three_decimals_and_no_zero_before_them(value: float | None, shown: str) -> None:
    assert markdown.number(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(0.0521, "+.052"), (-0.0521, "-.052"), (1.0, "+1.000"), (-1e-17, "+.000")]
)
def test_a_difference_has_its_sign(value: float, shown: str) -> None:
    assert markdown.signed(value) == shown


def test_f1_of_one_seed_has_the_interval_of_its_record() -> None:
    assert markdown.f1(row(ok(f1=0.5))) == ".500 [.100, .900]"


def test_f1_of_several_seeds_is_their_mean_with_the_interval_of_their_counts_summed() -> None:
    """The second seed has no hit on one frame of six: 10 / 24 beside .5, and their sums 22 / 48."""
    averaged = row(counted(F1_5), counted([F1_5] * 5 + [(0, 2, 2)], seed=1))
    assert averaged.interval is not None
    assert averaged.interval.low < 22 / 48 < averaged.interval.high
    assert markdown.f1(averaged) == f".458 {markdown.brackets(averaged.interval).strip()}"


def test_the_seeds_have_the_spread_of_f1() -> None:
    averaged = row(ok(f1=0.7, seed=2), ok(f1=0.5, seed=0), ok(f1=0.6, seed=1))
    assert markdown.f1(averaged) == ".600"  # one frame has no interval
    assert markdown.status(averaged) == "0 1 2 (.500 to .700)"


def test_a_failed_seed_is_named_and_the_mean_shows_its_number_of_seeds() -> None:
    averaged = row(ok(f1=0.5, seed=0), ok(f1=0.6, seed=1), failed(seed=2))
    assert markdown.f1(averaged) == ".550 (mean of 2)"
    assert markdown.status(averaged) == "0 1 (.500 to .600) FAILED 2"


def test_seeds_that_others_have_are_missing() -> None:
    whole = [ok(f1=0.5, seed=seed) for seed in range(3)]
    first, partial = section(*whole, ok(f1=0.3, detector="rpn", seed=0), ok(f1=0.4, detector="rpn", seed=1)).rows
    assert markdown.status(first) == "0 1 2 (.500 to .500)"
    assert markdown.status(partial) == "0 1 of 3 (.300 to .400)"
    assert markdown.f1(partial) == ".350 (mean of 2)"


def test_one_successful_seed_is_not_called_a_mean() -> None:
    assert markdown.f1(row(ok(f1=0.5), failed(seed=1))) == ".500 (one seed) [.100, .900]"


def test_the_paragraph_on_a_section_says_how_it_was_measured() -> None:
    text = markdown.measured(section(ok()))
    assert text.startswith("1 test frame of 1 slide with 3 mitoses; matcher mitos, a hit is closer than 5 um.")
    assert "Brackets: 95 % interval over 2 frames, as there are fewer than five slides: covers about ." in text
    assert markdown.measured(section(failed())) == "No row of this section has a score."


def test_a_test_part_of_one_frame_says_how_to_test_more() -> None:
    of_one = metrics(0.5, f1_interval=None)
    text = markdown.measured(section(ok().model_copy(update={"test": of_one})))
    assert "One frame gives no interval. Few slides: `--protocol cv-by-slide-of3` tests every slide once." in text
    assert "--protocol" not in markdown.measured(section(ok()))


@pytest.mark.parametrize(
    ("unit", "n_units", "method", "text"),
    [
        ("group", 20, "jackknife-wilson", "over 20 slides"),
        ("group", 8, "jackknife-wilson", "over 8 slides"),
        ("group", 6, "jackknife-wilson", "over 6 slides, covers about .97 (simulated)"),
        ("group", 15, "bootstrap-percentile", "over 15 slides, covers about .91 (simulated)"),
        ("group", 8, "of-the-future", "over 8 slides"),
    ],
)
def test_an_interval_has_its_coverage_where_that_is_uncertain_or_too_low(
    unit: str, n_units: int, method: str, text: str
) -> None:
    assert markdown.over(Interval(low=0, high=1, unit=unit, n_units=n_units, method=method, version=1)) == text


def test_an_interval_over_frames_has_its_coverage_of_other_slides() -> None:
    few = Interval(low=0, high=1, unit="frame", n_units=80, method="jackknife-wilson", version=1)
    assert markdown.over(few) == (
        "over 80 frames, as there are fewer than five slides: covers about .75 of other slides' (simulated)"
    )


def test_a_rank_range_is_one_number_where_there_is_one() -> None:
    assert [markdown.rank_range(found) for found in ((1, 4), (3, 3), None)] == ["1 to 4", "3", "–"]
