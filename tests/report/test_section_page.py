"""The page of a section: all rows with links to their records, failures, effects, published numbers with sources."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from records import complete_record, failed, frame, ok

from mitobench.evaluate.agreement import Agreement
from mitobench.report.section_page import plural, section_page
from mitobench.report.table import sections
from mitobench.results.record import Record
from mitobench.results.schema import Frames
from report.counted import F1_5, F1_8, Counts, counted
from report.tables import first_line, numbered, part, rows, second_line, table

F1 = "F1 [95 %]"
EVIL = "<script>alert(1)</script>|x"


def page(*records: Record) -> str:
    (section,) = sections(records)
    return section_page(section, "../records")


def test_a_row_has_every_column() -> None:
    (row,) = rows(page(ok(), failed(seed=1)))
    links = [f"[{text}](../records/{record.stem}.json)" for text, record in (("0", ok()), ("1 FAILED", failed(seed=1)))]
    assert row == {
        "#": "1<br><sub>1</sub>",
        "combination": "fixed + frcnn + resnet50 + linear<br><sub>profile cpu; MITOS 2012</sub>",
        "P": ".500",
        "R": ".333",
        "F1": ".500<br><sub>[.100,\N{NO-BREAK SPACE}.900]</sub>",
        "detector alone": ".250",
        "oracle F1": ".750",
        "AP": ".625",
        "s/frame": ".25",
        "seeds": " ".join(links),
        "notes": "",
    }


def test_seeds_are_one_row_with_mean_and_spread() -> None:
    (row,) = rows(page(ok(f1=0.7, seed=2), ok(f1=0.5, seed=0), ok(f1=0.6, seed=1)))
    assert row["F1"] == ".600"
    assert second_line(row["seeds"]) == ".500–.700"
    assert row["seeds"].count("](../records/") == 3


def test_a_failed_seed_is_shown_and_not_averaged() -> None:
    text = page(ok(f1=0.5, seed=0), failed(seed=1, reason="the loss is NaN"), ok(f1=0.7, seed=2))
    (row,) = rows(text)
    assert first_line(row["F1"]) == ".600"
    assert "[1 FAILED](" in row["seeds"]
    assert r"- fixed + frcnn + resnet50 + linear, seed 1: the loss is NaN" in text


def test_a_row_that_lacks_seeds_shows_how_many_there_should_be() -> None:
    first, second = rows(page(*(ok(seed=s) for s in range(3)), ok(f1=0.6, detector="rpn")))
    assert first["seeds"].endswith(".json) of 3")
    assert " of " not in second["seeds"]


def test_variants_are_rows_with_what_distinguishes_them() -> None:
    one, longer = ok(f1=0.6), ok(f1=0.5, train_on=["mitos2012", "synthetic"])
    override = {
        "overrides": ["pipeline.candidate_threshold=0.25"],
        "pipeline": {**one.pipeline, "candidate_threshold": 0.25},
    }
    longer = longer.model_copy(update={"data": {**longer.data, "synthetic": longer.data["mitos2012"]}})
    shown = rows(page(one, longer, ok(f1=0.4).model_copy(update=override)))
    assert [second_line(row["combination"]) for row in shown] == [
        "profile cpu; MITOS 2012",
        "profile cpu; MITOS 2012 + Synthetic",
        r"profile cpu; MITOS 2012; candidate\_threshold 0.25",
    ]


def test_rows_that_look_the_same_have_a_note_on_how_they_differ() -> None:
    one = ok(protocol="by-slide")
    changed = one.plugins["detector"].model_copy(update={"options": {"lr": 0.1}})
    text = page(one, one.model_copy(update={"plugins": {**one.plugins, "detector": changed}}))
    notes = {numbered(text)[row["notes"]] for row in rows(text)}
    assert notes == {"with detector lr 1e-05", "with detector lr 0.1"}


def test_a_score_that_is_undefined_is_a_dash_and_comes_after_a_zero() -> None:
    shown = rows(page(ok(f1=None, detector="aaa"), ok(f1=0.0)))
    assert [first_line(row["F1"]) for row in shown] == [".000", "–"]


# ---------------------------------------------------------------------------------------------- below the rows


def test_what_each_part_adds_is_below_the_rows() -> None:
    (effect,) = table(page(counted(F1_5), counted(F1_8, detector="rpn")), "role")
    assert effect.pop(F1).startswith("+.300 [+.")
    assert effect == {"role": "detector", "plugin": "rpn", "compared with": "frcnn", "pairs": "1"}


def test_an_effect_whose_interval_includes_zero_is_marked() -> None:
    (effect,) = table(page(counted(F1_8), counted([F1_8] * 5 + [F1_5], detector="rpn")), "role")
    assert effect[F1].endswith("≈")


def test_with_many_plugins_the_page_names_the_one_they_are_compared_with() -> None:
    line = "- detector: more than 12 plugins, so each is compared only with d0, which is in most rows."
    many = [counted(F1_8, detector="d0"), *(counted(F1_5, detector=f"d{i}") for i in range(1, 13))]
    assert line in page(*many).splitlines()
    assert "more than 12" not in page(*many[:12])


def test_the_page_explains_that_a_verifier_comes_with_its_fuser() -> None:
    text = " ".join(page(counted(F1_5), counted(F1_8, detector="rpn")).split())
    assert "A verifier compared with `none` includes the effect of its fuser." in text


def test_a_long_note_of_a_split_keeps_its_end() -> None:
    long = f"{'frames ' * 50}not independent of the patient"
    record = ok()
    (entry,) = record.data.values()
    data = {"mitos2012": entry.model_copy(update={"split": entry.split.model_copy(update={"note": long})})}
    assert long in page(record.model_copy(update={"data": data}))


def test_without_a_pair_effects_are_not_mentioned() -> None:
    assert "What each part adds" not in page(ok())


def test_all_published_numbers_have_a_table_of_their_own_with_sources() -> None:
    text = page(ok(f1=0.1))
    published = table(text, "method")
    assert len(published) > 5
    assert {row["hits"] for row in published} == {"rule mitos, radius 5 um", "rule and radius unknown"}
    found = next(row for row in published if row["method"] == "DeepDet")
    assert [found[name] for name in ("P", "R", "F1", "s/frame", "source")] == [".854", ".812", ".832", ".72", "3"]
    assert "3. Li C, Wang X" in text
    assert [row["F1"] for row in published] == sorted((row["F1"] for row in published), reverse=True)
    assert "## Published, not measured here" in text


def test_without_published_numbers_they_are_not_mentioned() -> None:
    assert "## Published" not in page(ok(protocol="by-slide"))


# ----------------------------------------------------------------------------------------------- names are only text


@pytest.mark.parametrize("place", ["estimator", "detector", "verifier", "fuser", "dataset", "protocol"])
def test_no_name_is_markup(place: str) -> None:
    named: dict[str, Any] = {place: EVIL}
    text = page(ok(**named), failed(seed=1, reason=EVIL, **named))
    assert "<script" not in text.lower()
    assert "script&gt;\\|x" in text
    assert len(rows(text)) == 1


def test_effects_failures_notes_and_files_are_escaped_too() -> None:
    records = [
        counted(F1_5, detector=EVIL).model_copy(update={"notes": [EVIL], "profile": EVIL}),
        counted(F1_8),
        failed(detector=EVIL, verifier=EVIL, reason=EVIL),
    ]
    (section,) = sections(records, {records[0].digest: "<script>|).json"})
    text = section_page(section, "../records")
    assert "<script" not in text
    assert len(table(text, "role")) == 1
    assert len(rows(part(text, "## All rows"))) == 3
    assert len(rows(part(text, "## By slide"))) == 2


class TestSlides:
    LARGE: tuple[Counts, ...] = ((20, 0, 0), (10, 10, 10), (1, 1, 1), (15, 5, 5))  # F1 1, .5, .5, .75

    def test_f1_of_every_slide_with_the_mean_and_the_worst_of_the_large_ones(self) -> None:
        seeds = counted(self.LARGE), counted([(20, 0, 0), (0, 0, 20), (2, 0, 0), (15, 5, 5)], seed=1)
        text = part(page(*seeds), "## By slide")
        assert "| # | combination | F1 | 00<br><sub>20</sub> | 01<br><sub>20</sub> | 02<br><sub>2</sub> |" in text
        (cells,) = rows(text)
        assert list(cells.values())[3:] == ["1.000", ".250", ".750", ".750", ".667", ".250 (01)"]

    def test_many_slides_have_no_columns_of_their_own(self) -> None:
        (cells,) = rows(part(page(counted([(20, 0, 0)] * 16 + [(10, 10, 10)])), "## By slide"))
        assert list(cells) == ["#", "combination", "F1", "mean of 17", "worst"]
        assert list(cells.values())[3:] == [".971", ".500 (16)"]

    def test_small_slides_have_no_mean(self) -> None:
        (cells,) = rows(part(page(counted(F1_5)), "## By slide"))
        assert list(cells)[-1] == "05"

    def test_one_slide_has_no_table(self) -> None:
        assert "## By slide" not in page(counted([(20, 0, 0)]))


def test_false_positives_on_imposters_are_left_out_beside_f1() -> None:
    one = counted([(30, 20, 10)])
    assert one.test is not None
    said = Agreement(contested_imposters=1, fp_on_imposters=15, fp_elsewhere=5)
    test = one.test.model_copy(update={"annotators": said, "tp": 30, "fp": 20, "fn": 10})
    (cells,) = rows(part(page(one.model_copy(update={"test": test})), "## What the annotators say about the errors"))
    assert cells["F1 without FP on imposters"] == ".800"


def test_kinds_of_domains_have_plurals() -> None:
    assert [plural(kind) for kind in ("scanner", "species")] == ["scanners", "species"]


# ---------------------------------------------------------------------------------------------------------- the count


BREAST = {"tumour": "human breast cancer", "scanner": "one"}


def measured(*counts: tuple[int, int, int], coverage: str | None = None, **names: Any) -> Record:
    """A record of cases of 1 mm2 of breast cancer with these counts (tp, fp, fn), from before counts were recorded."""
    frames = [replace(frame(f"A{i:02d}", *found), area_mm2=1.0, domains=BREAST) for i, found in enumerate(counts)]
    record, _ = complete_record(ok(**names), frames)
    assert record.test is not None
    assert record.test.cases is None
    data = {name: entry.model_copy(update={"coverage": coverage}) for name, entry in record.data.items()}
    return record.model_copy(update={"data": data})


def counts_in(text: str) -> list[dict[str, str]]:
    """The rows of the table of counts."""
    return [row for row in rows(text) if "limits of agreement" in row]


def test_the_count_of_each_row_is_shown_by_the_cut_offs_of_the_card() -> None:
    exact, more = measured((2, 0, 0), (5, 0, 0), (9, 0, 0)), measured((1, 2, 1), (5, 4, 0), (9, 3, 0), detector="rpn")
    first, second = counts_in(page(exact, more))
    assert (first["bias"], first["limits of agreement"], first["ICC"]) == ("+0.0", "+0.0 to +0.0", "1.00")
    assert second == {
        "#": "2",
        "combination": "fixed + rpn + resnet50 + linear",
        "cases": "3",
        "detected/mm2": "8.0",
        "annotated/mm2": "5.3",
        "bias": "+2.7",
        "limits of agreement": "-0.3 to +5.7",
        "ICC": ".78",  # mean squares: cases 193/6, raters 32/3, error 7/6
        "same side": "2 of 3",  # 9 detected and 5 annotated per mm2 are on two sides of 8
    }


def test_the_count_is_the_mean_over_seeds() -> None:
    seeds = (measured((2, n, 0), (5, n, 0), (9, n, 0), seed=n) for n in range(3))
    (row,) = counts_in(page(*seeds))
    assert (row["bias"], row["limits of agreement"]) == ("+1.0", "+1.0 to +1.0")


def test_a_copy_with_positives_only_and_fields_scanned_twice_are_named() -> None:
    text = page(measured((2, 0, 0), (5, 0, 0), (9, 0, 0), coverage="5 of 9 slides; positives only"))
    assert r"Frames without mitoses are missing \(positives only\)" in text
    assert "several scanners" not in text
    assert "positives only" not in page(measured((2, 0, 0)))
    twice = measured((2, 0, 0), (5, 0, 0))
    assert twice.frames is not None
    assert twice.test is not None
    scans = [entry.model_copy(update={"group": "A00"}) for entry in twice.frames.test]
    scans[1] = scans[1].model_copy(update={"domains": {**BREAST, "scanner": "two"}})
    counts = [count.model_copy(update={"group": "A00"}) for count in twice.test.frames]
    changes = {"frames": Frames(val=[], test=scans), "test": twice.test.model_copy(update={"frames": counts})}
    assert "- 1 case has frames of several scanners" in page(twice.model_copy(update=changes))


def test_rows_without_areas_are_named_where_others_have_a_count() -> None:
    with_areas, without = measured((2, 0, 0), (5, 0, 0)), counted(F1_5, detector="rpn")
    data = {"data": with_areas.data}
    text = page(with_areas, without.model_copy(update=data))
    assert "older records) are not in this table" in text.replace("\\", "")
    assert len(counts_in(text)) == 1
    assert "older records" not in page(with_areas)


def test_without_areas_the_count_is_not_mentioned() -> None:
    assert "## The count" not in page(ok())
