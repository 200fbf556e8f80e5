"""LEADERBOARD.md: what may be compared stands together, what failed is shown, and no name is markup."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from time import process_time
from typing import Any

import pytest
from boards import thousand
from records import failed, ok

from mitobench.report.leaderboard import leaderboard
from mitobench.report.table import sections
from mitobench.results import record
from mitobench.results.record import Record
from report.counted import F1_4, F1_5, F1_8, counted

F1 = "F1 [95 %]"


def page(*records: Record) -> str:
    return leaderboard(sections(records))


def table(text: str, first: str) -> list[dict[str, str]]:
    """The rows of all tables whose first column is `first`, by column; an escaped bar is no end of a cell."""
    found: list[dict[str, str]] = []
    columns: list[str] = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.replace(r"\|", "¦").strip("|").split("|")]
        if not line.startswith("|") or cells[0] == first or not columns:
            columns = cells if line.startswith("|") and cells[0] == first else []
        elif cells[0] != "---":
            found.append(dict(zip(columns, cells, strict=True)))
    return found


def rows(text: str) -> list[dict[str, str]]:
    return table(text, "#")


# ------------------------------------------------------------------------------------------------------ a section


def test_a_row_has_every_column() -> None:
    (row,) = rows(page(ok()))
    assert row == {
        "#": "1",
        "rank range": "1",
        "estimator": "fixed",
        "detector": "frcnn",
        "verifier": "resnet50",
        "fuser": "linear",
        "P": ".500",
        "R": ".333",
        F1: ".500 [.100, .900]",
        "F1 detector alone": ".250",
        "oracle F1": ".750",
        "AP": ".625",
        "s/frame": ".25",
        "seeds (spread)": "0",
        "record": f"[s0](records/{ok().stem}.json)",
    }


def test_a_section_says_how_it_was_measured() -> None:
    text = page(ok())
    assert "## mitos2012, protocol official" in text
    assert "1 test frames of 1 slides, 3 mitoses; matcher mitos, a hit is closer than 5 um." in text
    assert r"- split mitos2012-official: the official test frames" in text


def test_sections_of_one_data_set_and_protocol_have_headings_that_differ() -> None:
    headings = [line for line in page(ok(), ok(data_digest="e" * 64)).splitlines() if line.startswith("## ")]
    assert sorted(headings) == [
        f"## mitos2012, protocol official, radius 5.0 um, matcher mitos, test data {digit * 8}" for digit in "de"
    ]


def test_what_all_rows_share_stands_over_the_table_and_what_some_have_in_a_column() -> None:
    text = page(ok(), ok(detector="rpn", f1=0.4))
    assert {"- trained on mitos2012", "- profile cpu"} <= set(text.splitlines())
    assert not {"trained on", "profile", "note"} & set(rows(text)[0])
    other = ok(detector="rpn", f1=0.4, train_on=["mitos2012", "synthetic"]).model_copy(update={"profile": "smoke"})
    assert [(row["trained on"], row["profile"]) for row in rows(page(ok(), other))] == [
        ("mitos2012", "cpu"),
        ("mitos2012, synthetic", "smoke"),
    ]


def test_rows_are_ranked_by_f1_and_never_by_the_oracle() -> None:
    worse = ok(f1=0.4, detector="rpn")
    assert worse.test is not None
    worse = worse.model_copy(update={"test": worse.test.model_copy(update={"oracle_f1": 0.99})})
    assert [(row["#"], row["detector"]) for row in rows(page(worse, ok(f1=0.5)))] == [("1", "frcnn"), ("2", "rpn")]


# ------------------------------------------------------------------------------------------ seeds, noise, conflicts


def test_seeds_are_one_row_with_mean_and_spread() -> None:
    (row,) = rows(page(ok(f1=0.7, seed=2), ok(f1=0.5, seed=0), ok(f1=0.6, seed=1)))
    assert row[F1] == ".600"
    assert row["seeds (spread)"] == "0 1 2 (.500 to .700)"
    assert row["record"].count("](records/") == 3


def test_a_failed_seed_is_shown_and_not_averaged() -> None:
    text = page(ok(f1=0.5, seed=0), failed(seed=1, reason="the loss is NaN"), ok(f1=0.7, seed=2))
    (row,) = rows(text)
    assert row[F1] == ".600 (mean of 2)"
    assert row["seeds (spread)"] == "0 2 (.500 to .700) FAILED 1"
    assert r"- fixed + frcnn + resnet50 + linear, seed 1: the loss is NaN" in text


def test_a_row_with_fewer_seeds_than_others_is_ranked_and_says_so() -> None:
    first, second = rows(page(*(ok(seed=s) for s in range(3)), *(ok(f1=0.6, seed=s, detector="rpn") for s in (0, 2))))
    assert (first["#"], first[F1], first["seeds (spread)"]) == ("1", ".600 (mean of 2)", "0 2 of 3 (.600 to .600)")
    assert (second["#"], second[F1]) == ("2", ".500")


def test_two_numbers_for_one_thing_are_two_rows_marked_and_without_a_rank() -> None:
    shown = rows(page(counted(F1_5), counted(F1_8), counted(F1_4, detector="rpn")))
    assert [(row["#"], row[F1][:4], row["note"].split(":")[0]) for row in shown] == [
        ("1", ".400", ""),
        ("–", ".800", "conflicting"),
        ("–", ".500", "conflicting"),
    ]


def test_rows_inside_the_noise_of_the_best_share_a_mark() -> None:
    near, far = counted([F1_8] * 5 + [F1_5], detector="near"), counted(F1_4, detector="far")
    assert [row["#"] for row in rows(page(counted(F1_8), near, far))] == ["1 ≈", "2 ≈", "3"]


def test_a_best_row_that_stands_alone_has_no_mark() -> None:
    assert [row["#"] for row in rows(page(counted(F1_8), counted(F1_4, detector="far")))] == ["1", "2"]


def test_what_failed_altogether_is_last_without_a_rank() -> None:
    shown = rows(page(failed(detector="aaa"), ok(f1=0.0)))
    assert [(row["#"], row["detector"], row[F1].split()[0]) for row in shown] == [
        ("1", "frcnn", ".000"),
        ("–", "aaa", "FAILED"),
    ]


def test_an_undefined_score_is_a_dash_and_comes_after_a_zero() -> None:
    shown = rows(page(ok(f1=None, detector="aaa"), ok(f1=0.0)))
    assert [row["detector"] for row in shown] == ["frcnn", "aaa"]
    assert shown[1][F1].startswith("–")


@pytest.mark.parametrize(
    "change", [{"data_digest": "e" * 64}, {"matcher": "hungarian"}, {"protocol": "by-slide"}], ids=str
)
def test_what_was_not_measured_alike_is_never_in_one_section(change: dict[str, Any]) -> None:
    found = sections([ok(), ok(detector="rpn", **change)])
    assert [len(section.rows) for section in found] == [1, 1]
    assert [row["#"] for row in rows(leaderboard(found))] == ["1", "1"]


def test_options_that_differ_are_rows_that_differ() -> None:
    one = ok()
    changed = one.plugins["detector"].model_copy(update={"options": {"lr": 0.1}})
    other = one.model_copy(update={"plugins": {**one.plugins, "detector": changed}})
    assert len(rows(page(one, other))) == 2


def test_a_note_of_all_rows_stands_over_the_table_and_one_of_some_in_their_row() -> None:
    text = page(ok(notes=["no tissue", "from scratch"]), ok(detector="rpn", f1=0.4, notes=["no tissue"]))
    assert "- no tissue" in text.splitlines()
    assert [row["note"] for row in rows(text)] == ["from scratch", ""]


# ----------------------------------------------------------------------------------------------- names are only text


@pytest.mark.parametrize("place", ["estimator", "detector", "verifier", "fuser", "dataset", "protocol"])
def test_no_name_is_markup_wherever_it_stands(place: str) -> None:
    evil = "<script>alert(1)</script>|x"
    named: dict[str, Any] = {place: evil}
    text = page(ok(**named), failed(seed=1, reason=evil, **named))
    assert "<script" not in text
    assert "script&gt;\\|x" in text
    assert len(rows(text)) == 1


def test_notes_profiles_and_training_sets_are_escaped_too() -> None:
    evil = "<b>|"
    made = ok(notes=[evil], train_on=[evil]).model_copy(update={"profile": evil})
    text = page(made, ok(detector="rpn"))
    assert "<b>" not in text
    assert len(rows(text)) == 2


def test_effects_and_failures_are_escaped_too() -> None:
    evil = "<script>alert(1)</script>|x"
    text = page(counted(F1_5, detector=evil), counted(F1_8), failed(detector=evil, verifier=evil, reason=evil))
    assert "<script" not in text
    assert len(table(text, "role")) == 1


# ---------------------------------------------------------------------------------------- what is beside the measured


def test_what_each_part_adds_stands_below_the_rows() -> None:
    text = page(counted(F1_5), counted(F1_8, detector="rpn"))
    (effect,) = table(text, "role")
    assert effect.pop(F1).startswith("+.300 [+.")
    assert effect == {"role": "detector", "plugin": "rpn", "against": "frcnn", "pairs": "1"}


def test_an_effect_in_the_noise_has_the_mark() -> None:
    (effect,) = table(page(counted(F1_8), counted([F1_8] * 5 + [F1_5], detector="rpn")), "role")
    assert effect[F1].endswith("≈")


def test_of_many_plugins_it_is_said_what_they_are_set_against() -> None:
    said = "- detector: more than 12 plugins, so each is set against d0 only, which is in most rows."
    many = [counted(F1_8, detector="d0"), *(counted(F1_5, detector=f"d{i}") for i in range(1, 13))]
    assert said in page(*many).splitlines()
    assert "more than 12" not in page(*many[:12])


def test_what_is_said_of_verifiers_stands_above_the_table() -> None:
    text = " ".join(page(counted(F1_5), counted(F1_8, detector="rpn")).split())
    assert "Against `none`, a verifier adds what it and its fuser add together." in text


def test_a_long_note_of_a_split_keeps_its_end() -> None:
    long = f"{'frames ' * 50}not independent of the patient"
    made = ok()
    (entry,) = made.data.values()
    data = {"mitos2012": entry.model_copy(update={"split": entry.split.model_copy(update={"note": long})})}
    assert long in page(made.model_copy(update={"data": data}))


def test_without_a_pair_nothing_is_said_of_parts() -> None:
    assert "What each part adds" not in page(ok())


def test_published_numbers_stand_apart_and_are_not_ranked() -> None:
    text = page(ok(f1=0.1))
    published = table(text, "published")
    assert [row["#"] for row in rows(text)] == ["1"]
    found = next(row for row in published if row["published"] == "DeepDet")
    assert [found[name] for name in ("P", "R", "F1", "s/frame", "source")] == [".854", ".812", ".832", ".72", "3"]
    assert "3. Li C, Wang X" in text
    assert [row["F1"] for row in published] == sorted((row["F1"] for row in published), reverse=True)
    assert "### Published, not measured here" in text


def test_where_nothing_is_published_nothing_is_said_of_it() -> None:
    assert "Published" not in page(ok(protocol="by-slide"))


@pytest.mark.slow
def test_a_thousand_rows_take_less_than_three_seconds() -> None:
    """Of a processor: ten by ten by ten parts, each resampled once though it is in 27 pairs."""
    kinds = (F1_4, F1_5, F1_8)
    parts = product(range(10), repeat=3)
    records = [
        counted([kinds[(d * v + f + i) % 3] for i in range(40)], detector=f"d{d}", verifier=f"v{v}", fuser=f"f{f}")
        for d, v, f in parts
    ]
    started = process_time()
    text = page(*records)
    assert process_time() - started < 3
    assert len(rows(text)) == 1000
    assert {effect["pairs"] for effect in table(text, "role")} == {"100"}


@pytest.mark.slow
def test_a_thousand_records_of_hundreds_of_detectors_take_less_than_a_second_and_a_half(tmp_path: Path) -> None:
    made = [found for _, found in record.read_all(thousand(tmp_path) / "records")]
    started = process_time()
    text = leaderboard(sections(made))
    assert process_time() - started < 1.5
    assert len(rows(text)) == 334
    assert len(table(text, "role")) == 333


def test_without_a_record_the_page_says_so() -> None:
    assert "There is no record yet." in page()


def test_each_row_has_the_ranks_that_it_may_have() -> None:
    found = rows(page(counted([(80, 10, 10)] * 12), *(counted([(40, 40, 50)] * 12, detector=name) for name in "ab")))
    assert [(row["#"], row["rank range"]) for row in found] == [("1", "1"), ("2", "2 to 3"), ("3", "2 to 3")]
