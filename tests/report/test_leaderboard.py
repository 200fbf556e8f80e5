"""LEADERBOARD.md: the best combinations of each section, published numbers beside them, and names that are text."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from records import complete_record, failed, frame, ok

from mitobench.report.leaderboard import MAX_COMBINATIONS, MAX_PUBLISHED, leaderboard
from mitobench.report.published_page import published_page
from mitobench.report.section_page import section_page
from mitobench.report.table import sections
from mitobench.results.record import Record
from report.counted import F1_4, F1_5, F1_8, counted
from report.tables import first_line, numbered, part, rows, second_line, table
from report.work import n_calls

pytestmark = pytest.mark.slow

COMMITTED = Path(__file__).parents[2] / "leaderboard"
MAX_LINE = 400  # characters of a row, of which half are markup


def page(*records: Record) -> str:
    return leaderboard(sections(records))


def variant(f1: float, iterations: int, **names: Any) -> Record:
    record = ok(f1=f1, **names)
    options = {"iterations": iterations}
    detector = record.plugins["detector"].model_copy(update={"options": options, "variant": options})
    return record.model_copy(update={"plugins": {**record.plugins, "detector": detector}})


# ------------------------------------------------------------------------------------------------------ a section


def test_a_row_has_every_column() -> None:
    (row,) = rows(page(ok(protocol="by-slide", notes=["no tissue"]), failed(seed=1, protocol="by-slide")))
    assert row == {
        "#": "1<br><sub>1</sub>",
        "combination": "fixed + frcnn + resnet50 + linear<br><sub>profile cpu, MITOS 2012</sub>",
        "F1": ".500<br><sub>[.100,\N{NO-BREAK SPACE}.900]</sub>",
        "detector alone": ".250",
        "AP": ".625",
        "s/frame": ".25",
        "seeds": "1, 1 FAILED",
        "notes": "1",
    }


def test_a_section_has_a_title_in_words_and_how_it_was_measured() -> None:
    text = page(ok())
    assert "## MITOS 2012, official split" in text
    assert "1 test frame of 1 slide with 3 mitoses; matcher mitos, a hit is closer than 5 um." in text
    assert r"- split mitos2012-official: the official test frames" in text


def test_sections_of_one_data_set_and_protocol_have_headings_that_differ() -> None:
    headings = [line for line in page(ok(), ok(data_digest="e" * 64)).splitlines() if line.startswith("## ")]
    assert headings == ["## MITOS 2012, official split, data A", "## MITOS 2012, official split, data B"]


def test_rows_are_ranked_by_f1_and_never_by_the_oracle() -> None:
    worse = ok(f1=0.4, detector="rpn", protocol="by-slide")
    assert worse.test is not None
    worse = worse.model_copy(update={"test": worse.test.model_copy(update={"oracle_f1": 0.99})})
    shown = rows(page(worse, ok(f1=0.5, protocol="by-slide")))
    assert [(first_line(row["#"]), first_line(row["combination"]).split(" + ")[1]) for row in shown] == [
        ("1", "frcnn"),
        ("2", "rpn"),
    ]


def test_the_variants_of_a_combination_are_folded_into_the_best() -> None:
    records = [variant(0.6, 300), variant(0.5, 200), ok(f1=0.4, detector="rpn")]
    shown = [row for row in rows(page(*records)) if row["#"]]
    assert [first_line(row["#"]) for row in shown] == ["1", "3"]
    assert [second_line(row["combination"]) for row in shown] == [
        "profile cpu, MITOS 2012, 2 variants",
        "profile cpu, MITOS 2012",
    ]


def test_only_the_best_combinations_are_shown_with_a_link_to_all_rows() -> None:
    records = [ok(f1=0.5 - 0.01 * n, detector=f"d{n:02d}", protocol="by-slide") for n in range(MAX_COMBINATIONS + 2)]
    text = page(*records)
    assert len(rows(text)) == MAX_COMBINATIONS
    assert f"The best {MAX_COMBINATIONS} of {MAX_COMBINATIONS + 2} combinations." in text
    assert f"[All {MAX_COMBINATIONS + 2} rows, records, what each part adds](sections/mitos2012-by-slide.md)" in text


@pytest.mark.skipif(not COMMITTED.is_dir(), reason="no leaderboard in this checkout")
def test_each_section_of_the_committed_page_fits_a_screen() -> None:
    text = (COMMITTED / "LEADERBOARD.md").read_text(encoding="utf-8")
    assert max(map(len, text.split("\n## "))) < 4_600
    assert max(len(line) for line in text.splitlines() if line.startswith("|")) < MAX_LINE
    for section in text.split("\n## ")[1:]:
        assert len(rows(section)) <= MAX_COMBINATIONS + MAX_PUBLISHED


def test_many_options_of_a_row_are_counted_and_few_are_named() -> None:
    few, many = ["detector.lr=0.1"], [f"detector.option_{number}=0.123456789" for number in range(5)]
    records = ok(f1=0.6), ok(detector="rpn")
    text = page(
        *(one.model_copy(update={"overrides": options}) for one, options in zip(records, (few, many), strict=True))
    )
    first, second = (row["combination"] for row in rows(text) if row["#"])
    assert "profile cpu, detector.lr=0.1, " in first
    assert "profile cpu with 5 options set, " in second


# ------------------------------------------------------------------------------------------ seeds, noise, conflicts


def test_a_row_with_fewer_seeds_than_others_is_ranked_and_shows_it() -> None:
    records = *(ok(seed=s) for s in range(3)), *(ok(f1=0.6, seed=s, detector="rpn") for s in (0, 2))
    first, second = (row for row in rows(page(*records)) if row["#"])
    assert (first_line(first["#"]), first_line(first["F1"]), first["seeds"]) == ("1", ".600", "2 of 3")
    assert (first_line(second["#"]), first_line(second["F1"]), second["seeds"]) == ("2", ".500", "3")


def test_conflicting_records_are_two_rows_without_a_rank() -> None:
    text = page(counted(F1_5), counted(F1_8), counted(F1_4, detector="rpn"))
    shown = [row for row in rows(text) if "published" not in row["combination"]]
    assert [(first_line(row["#"]), first_line(row["F1"]), row["notes"] != "") for row in shown] == [
        ("1", ".400", False),
        ("–", ".800", True),
        ("–", ".500", True),
    ]
    assert "conflicting: another record of this seed has different numbers" in text


def test_rows_that_cannot_be_distinguished_from_the_best_are_marked() -> None:
    near, far = counted([F1_8] * 5 + [F1_5], detector="near"), counted(F1_4, detector="far")
    shown = [first_line(row["#"]) for row in rows(page(counted(F1_8), near, far)) if row["#"]]
    assert shown == ["1 ≈", "2 ≈", "3"]


def test_each_row_has_the_ranks_that_it_could_have() -> None:
    records = counted([(80, 10, 10)] * 12), *(counted([(40, 40, 50)] * 12, detector=name) for name in "ab")
    shown = [row["#"] for row in rows(page(*records)) if row["#"]]
    assert shown == ["1<br><sub>1</sub>", "2<br><sub>2–3</sub>", "3<br><sub>2–3</sub>"]


def test_failed_combinations_are_last_without_a_rank() -> None:
    shown = rows(page(failed(detector="aaa", protocol="by-slide"), ok(f1=0.0, protocol="by-slide")))
    assert [(first_line(row["#"]), first_line(row["F1"])) for row in shown] == [("1", ".000"), ("–", "FAILED")]


def test_failed_runs_are_counted_where_their_rows_are_not_shown() -> None:
    records = [ok(f1=0.5, detector=f"d{n:02d}") for n in range(MAX_COMBINATIONS)]
    assert "2 runs FAILED. [All" in page(*records, failed(detector="x"), failed(detector="y"))
    assert "FAILED" not in page(*records)


# ------------------------------------------------------------------------------------------------------------- notes


def test_a_note_is_listed_once_and_rows_have_its_number() -> None:
    text = page(
        ok(notes=["no tissue", "from scratch"]),
        ok(detector="rpn", f1=0.4, notes=["no tissue", "small", "from scratch"]),
        ok(detector="fcn", f1=0.3, notes=["no tissue"]),
    )
    assert "- no tissue" in text.splitlines()
    assert text.count("from scratch") == text.count("small") == 1
    notes = numbered(text)
    shown = [row["notes"].split(", ") for row in rows(text) if row["#"]]
    assert [[notes[number] for number in numbers if number] for numbers in shown] == [
        ["from scratch"],
        ["from scratch", "small"],
        [],
    ]


def test_the_note_on_migration_is_above_all_rows_or_at_those_it_holds_for() -> None:
    entry = {"migrated": [{"schema_version": 1, "digest": "0" * 64}]}
    migrated, other = (
        Record.model_validate({**record.model_dump(), **entry}) for record in (ok(), ok(f1=0.4, detector="rpn"))
    )
    note = "migrated from record version 1: no detections on validation; thresholds and options as recorded"
    assert f"- {note}" in page(migrated, other).splitlines()
    some = page(migrated, ok(f1=0.4, detector="rpn"))
    assert f"- {note}" not in some.splitlines()
    assert [numbered(some).get(row["notes"]) == note for row in rows(some) if row["#"]] == [True, False]


# --------------------------------------------------------------------------------------------------- published numbers


def test_published_numbers_are_in_the_same_table_marked_and_without_a_rank() -> None:
    shown = rows(page(ok(f1=0.85)))
    assert len(shown) == 1 + MAX_PUBLISHED
    published = [row for row in shown if "(published)" in row["combination"]]
    assert all(row["#"] == "" and row["combination"].startswith("*") for row in published)
    scores = [first_line(row["F1"]) for row in shown]
    assert scores == sorted(scores, reverse=True)
    assert scores.index(".850") not in (0, len(scores) - 1)


def test_the_notes_say_what_was_a_hit_for_published_numbers() -> None:
    text = page(ok())
    (deepdet,) = (row for row in rows(text) if "DeepDet*" in row["combination"])
    assert "hits: rule mitos, radius 5 um" in [numbered(text)[place] for place in deepdet["notes"].split(", ")]


def test_published_numbers_of_other_data_sets_have_a_page_of_their_own() -> None:
    found = sections([ok()])
    text = published_page(found)
    assert {row["method"]: row["F1"] for row in table(text, "method")}["The authors' detector, ODAEL labels"] == ".820"
    assert "(sections/published.md)" in leaderboard(found)
    assert "## MIDOG 2021, the contest's test set" in text
    assert "The contest's test cases are not public." in text
    assert "MITOS 2012, the 15 official test frames" not in text, "it has a section"
    assert "MITOS 2012, the 15 official test frames" in published_page(sections([ok(protocol="by-slide")]))


def test_without_records_there_is_no_page_of_published_numbers() -> None:
    assert "published" not in leaderboard([])


def test_without_published_numbers_they_are_not_mentioned() -> None:
    text = page(ok(protocol="by-slide"))
    assert "(published)" not in text
    assert "published numbers and sources" not in text


def timed(name: str, counts: tuple[int, int, int], seconds: float) -> Record:
    record = counted([counts] * 10, detector=name, protocol="by-slide")
    return record.model_copy(update={"run": record.run.model_copy(update={"seconds_a_frame": seconds})})


def test_the_cheapest_row_that_is_as_good_as_the_best_is_recommended() -> None:
    best, cheap, bad = timed("best", (90, 10, 10), 3), timed("cheap", (89, 10, 11), 1), timed("bad", (60, 40, 40), 0.1)
    chosen = "fixed + cheap + resnet50 + linear, rank 2, 1.00 s/frame"
    assert f"**Recommended:** {chosen}: the cheapest row within .02 of the best F1." in page(best, cheap, bad)
    assert "**Recommended:** rank 1, as no cheaper row is known" in page(best, bad)


def test_where_slides_cannot_decide_no_row_is_recommended() -> None:
    unsure = counted([(90, 10, 10), (84, 16, 16)] * 5, detector="cheap", protocol="by-slide")
    cheap = unsure.model_copy(update={"run": unsure.run.model_copy(update={"seconds_a_frame": 1.0})})
    assert "**Recommended:** undecided" in page(timed("best", (91, 9, 9), 3), cheap)


# ----------------------------------------------------------------------------------------------- names are only text


@pytest.mark.parametrize("place", ["estimator", "detector", "verifier", "fuser", "dataset", "protocol"])
def test_no_name_is_markup(place: str) -> None:
    evil = "<script>alert(1)</script>|x"
    named: dict[str, Any] = {place: evil}
    text = page(ok(**named), failed(seed=1, reason=evil, **named))
    assert "<script" not in text.lower()
    assert "script&gt;\\|x" in text
    assert len([row for row in rows(text) if row["#"]]) == 1


def test_notes_profiles_and_training_sets_are_escaped_too() -> None:
    evil = "<b>|"
    record = ok(notes=[evil], train_on=[evil]).model_copy(update={"profile": evil})
    text = page(record, ok(detector="rpn"))
    assert "<b>|" not in text
    assert text.count(r"<b>\|".replace("<", "&lt;").replace(">", "&gt;")) >= 2
    assert len([row for row in rows(text) if row["#"]]) == 2


# --------------------------------------------------------------------------------------------------------- many rows


def grid(n_groups: int) -> list[Record]:
    """Groups of a hundred rows: five detectors, five verifiers and four fusers, on a device of their own."""
    kinds = (F1_4, F1_5, F1_8)
    return [
        counted(
            [kinds[(d * v + f + i) % 3] for i in range(6)], detector=f"d{d}", verifier=f"v{v}", fuser=f"f{f}"
        ).model_copy(update={"device": f"device-{group}"})
        for group, d, v, f in product(range(n_groups), range(5), range(5), range(4))
    ]


def build(records: list[Record]) -> list[str]:
    found = sections(records)
    return [leaderboard(found), *(section_page(section, "records") for section in found)]


@pytest.mark.slow
def test_the_work_grows_with_the_number_of_rows_and_not_faster() -> None:
    """Four times the rows, with as many pairs each, take about four times the calls: no row looks at all others."""
    few, many = (n_calls(lambda records=records: build(records)) for records in (grid(1), grid(4)))
    assert 3 < many / few < 4.6


def test_rows_are_compared_within_their_group_only() -> None:
    _, text = build(grid(2))
    assert len(rows(part(text, "## All rows"))) == 200
    assert {(effect["role"], effect["pairs"]) for effect in table(text, "role")} == {
        ("detector", "40"),
        ("verifier", "40"),
        ("fuser", "50"),
    }


def test_hundreds_of_detectors_are_compared_with_one_of_them() -> None:
    text, section = build([counted(F1_5, detector=f"d{i:03d}", protocol="by-slide") for i in range(200)])
    assert len(rows(text)) == MAX_COMBINATIONS
    assert len(rows(part(section, "## All rows"))) == 200
    assert len(table(section, "role")) == 199


def test_without_records_the_page_says_so() -> None:
    assert "There are no records yet." in page()


def test_the_count_of_the_best_row_is_a_sentence_above_the_table() -> None:
    frames = [replace(frame(f"A{i:02d}", 2, i, 0), area_mm2=0.5, domains={}) for i in range(3)]
    record, _ = complete_record(ok(), frames)
    (line,) = (line for line in page(record).splitlines() if "**The count**" in line)
    assert line.endswith(
        r"**The count** of rank 1: 6.0 detected and 4.0 annotated mitoses per mm2 \(mean of 3 cases\), bias +2.0, "
        "limits of agreement -1.9 to +5.9, ICC .00."
    )
    assert "The count" not in page(ok())


def test_the_count_of_a_later_row_says_why_it_is_not_the_best() -> None:
    frames = [replace(frame(f"A{i:02d}", 2, 1, 0), area_mm2=0.5, domains={}) for i in range(3)]
    later, _ = complete_record(ok(detector="later"), frames)
    best, _ = complete_record(ok(detector="old"), [frame(f"A{i:02d}", 2, 0, 0) for i in range(3)])
    shown = page(best, later)
    assert "**The count** of rank 2, the first row whose records hold it: 6.0 detected and 4.0 annotated" in shown


def test_the_recommendation_is_on_top_and_the_worst_domain_in_a_sentence_and_a_column() -> None:
    values = ("north", "<south>", "north")
    frames = [replace(frame(f"A{i}", i, 1, 2 - i), area_mm2=0.5, domains={"lab": values[i]}) for i in range(3)]
    record, _ = complete_record(ok(), frames)
    text = page(record)
    section = text[text.index("## MITOS 2012") :].splitlines()
    assert section[2].startswith("**Recommended:** rank 1")
    assert "**The worst domain** of rank 1: lab &lt;south&gt;, F1 .500." in section[4]
    (row, *_) = [row for row in rows(text) if row["#"]]
    assert row["worst domain"] == ".500<br><sub>lab &lt;south&gt;</sub>"
    assert "worst<br>domain" not in page(ok())
