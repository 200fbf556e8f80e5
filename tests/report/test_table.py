"""Rows and sections: which rows are ranked together, which is the best, and which cannot be distinguished from it."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from records import failed, ok

from mitobench.evaluate import interval, paired_difference
from mitobench.report.description import trained_on
from mitobench.report.row import LeaderboardRow, plugin
from mitobench.report.table import Section, dataset_title, sections
from mitobench.results.schema import DataEntry, DetectionsEntry, Record
from report.counted import F1_4, F1_5, F1_8, counted


def section(*records: Record) -> Section:
    (found,) = sections(records)
    return found


def radius(record: Record, um: float) -> Record:
    return record.model_copy(update={"pipeline": {**record.pipeline, "radius_um": um}})


# ------------------------------------------------------------------------------------------- what is ranked together


@pytest.mark.parametrize(
    "change",
    [{"data_digest": "e" * 64}, {"matcher": "hungarian"}, {"protocol": "by-slide"}, {"dataset": "mitos2014"}],
    ids=str,
)
def test_records_measured_differently_are_in_different_sections(change: dict[str, Any]) -> None:
    found = sections([ok(), ok(detector="rpn", **{"train_on": [change.get("dataset", "mitos2012")]} | change)])
    assert [len(section.rows) for section in found] == [1, 1]


def test_the_sections_of_a_data_set_begin_with_the_one_that_has_the_most_rows() -> None:
    found = sections(
        [
            ok(dataset="mitos2014", train_on=["mitos2014"]),
            ok(protocol="deployment"),
            ok(),
            ok(detector="rpn"),
        ]
    )
    assert [(one.dataset, one.protocol) for one in found] == [
        ("mitos2012", "official"),
        ("mitos2012", "deployment"),
        ("mitos2014", "official"),
    ]


def test_another_radius_is_another_section() -> None:
    found = sections([ok(), radius(ok(detector="rpn"), 8.0)])
    assert [[rank for rank, _ in section.ranked()] for section in found] == [[1], [1]]


def test_rows_trained_on_different_data_are_ranked_together() -> None:
    record = ok(train_on=["mitos2012", "mitos2014"])
    record = record.model_copy(update={"data": {**record.data, "mitos2014": record.data["mitos2012"]}})
    assert len(section(ok(), record).rows) == 2


def with_data(record: Record, dataset: str, **digests: str) -> Record:
    there = record.data.get(dataset, record.data["mitos2012"])
    entry = there.model_copy(update={"digest": {**there.digest, **digests}})
    return record.model_copy(update={"data": {**record.data, dataset: entry}})


@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_rows_with_other_data_in_any_part_are_never_ranked_together(part: str) -> None:
    found = sections([ok(), with_data(ok(detector="rpn"), "mitos2012", **{part: "e" * 64})])
    assert [len(section.rows) for section in found] == [1, 1]


def test_other_data_of_another_training_set_is_noted_and_ranked_together() -> None:
    both = ok(train_on=["mitos2012", "mitos2014"])
    ranking = section(with_data(both, "mitos2014"), with_data(both, "mitos2014", train="e" * 64))
    assert {remark for row in ranking.rows for remark in ranking.remarks(row)} == {
        "with mitos2014 train data aaaaaaaa",
        "with mitos2014 train data eeeeeeee",
    }


def test_a_title_has_details_only_where_two_would_be_the_same() -> None:
    records = [ok(), radius(ok(), 8.0), with_data(ok(), "mitos2012", train="e" * 64), ok(protocol="by-slide")]
    assert {section.title for section in sections(records)} == {
        "MITOS 2012, by slide",
        "MITOS 2012, official split, radius 8 um",
        "MITOS 2012, official split, radius 5 um, data A",
        "MITOS 2012, official split, radius 5 um, data B",
    }
    assert {section.name for section in sections(records)} == {
        "mitos2012-by-slide",
        "mitos2012-official-radius_8_um",
        "mitos2012-official-radius_5_um-data_A",
        "mitos2012-official-radius_5_um-data_B",
    }


def test_sections_that_differ_in_their_data_alone_list_its_digests() -> None:
    found = sections([ok(), with_data(ok(), "mitos2012", train="e" * 64)])
    digests = {note for ranking in found for note in ranking.notes}
    assert len(digests) == 2
    assert any("its digests: train eeeeeeee, val bbbbbbbb, test dddddddd" in note for note in digests)


def on_scanners(record: Record, *names: str, only: bool = False, test: str = "d") -> Record:
    entry = record.data["mitos2014"].model_copy(update={"scanners": list(names), "digest": {"test": test * 64}})
    update = {"data": {"mitos2014": entry}, "only_scanners": list(names) if only else None}
    return record.model_copy(update=update)


def test_sections_of_different_scanners_are_named_by_them() -> None:
    record = ok(dataset="mitos2014", protocol="by-slide", train_on=["mitos2014"])
    both = sections([on_scanners(record, "H", test="e"), on_scanners(record, "A", "H")])
    assert {section.title for section in both} == {
        "MITOS 2014, by slide, Hamamatsu frames",
        "MITOS 2014, by slide, Aperio and Hamamatsu frames",
    }
    assert [section.title for section in sections([on_scanners(record, "A", "H")])] == ["MITOS 2014, by slide"]
    limited = sections([on_scanners(record, "H", only=True)])
    assert [section.title for section in limited] == ["MITOS 2014, by slide, Hamamatsu frames"]


def test_a_section_has_the_title_that_its_data_set_has_given_itself() -> None:
    record = ok(dataset="folder", protocol="by-slide", train_on=["folder"])
    titled = record.model_copy(
        update={"data": {"folder": record.data["folder"].model_copy(update={"title": "My slides"})}}
    )
    assert [section.title for section in sections([titled])] == ["My slides, by slide"]
    assert trained_on(LeaderboardRow([titled])) == "My slides"
    assert titled.content()["data"]["folder"]["title"] == "My slides"
    assert "title" not in record.content()["data"]["folder"], "records from before it keep their digests"


def weighted(w: Any, **names: Any) -> Record:
    record = ok(**names)
    assert record.chosen is not None
    return record.model_copy(update={"chosen": record.chosen.model_copy(update={"fuser": {"w": w}})})


@pytest.mark.parametrize(
    ("weights", "remark"),
    [
        ([1.0], ["validation gave the score of the verifier no weight"]),
        ([0.0, 0.0], ["validation gave the score of the detector no weight"]),
        ([0.0, 0.5], []),
        ([[], {}], []),
    ],
)
def test_a_row_says_which_score_has_no_weight_in_all_its_seeds(weights: list[Any], remark: list[str]) -> None:
    ranking = section(*(weighted(w, seed=seed) for seed, w in enumerate(weights)))
    assert ranking.remarks(ranking.rows[0]) == remark


@pytest.mark.parametrize("names", [{"verifier": "none"}, {"fuser": "my-own"}])
def test_only_the_weight_of_a_weighted_sum_is_understood(names: dict[str, str]) -> None:
    ranking = section(weighted(1.0, **names))
    assert ranking.remarks(ranking.rows[0]) == []


@pytest.mark.parametrize("title", ["", "a" * 101, "a\nb", "\x1b[31m", "\u202e"])
def test_a_record_whose_title_is_no_title_is_refused(title: str) -> None:
    entry = ok(dataset="folder", protocol="by-slide", train_on=["folder"]).data["folder"].model_dump()
    with pytest.raises(ValidationError, match="title"):
        DataEntry.model_validate({**entry, "title": title})


@pytest.mark.parametrize(
    ("name", "title"),
    [("mitos2012", "MITOS 2012"), ("synthetic-centroids", "Synthetic centroids"), ("<b>", "<b>"), ("", "")],
)
def test_the_title_of_a_data_set_is_its_name_in_words(name: str, title: str) -> None:
    assert dataset_title(name) == title


def test_rows_are_in_the_order_of_mean_f1_and_those_without_one_are_last() -> None:
    ranking = section(
        failed(detector="a"), ok(f1=None, detector="b"), ok(f1=0.0, detector="c"), ok(f1=0.5, detector="d")
    )
    shown = [(rank, row.first.combination["detector"]) for rank, row in ranking.ranked()]
    assert shown == [(1, "d"), (2, "c"), (None, "a"), (None, "b")]
    assert ranking.best is ranking.rows[0]


def test_a_section_without_a_score_has_no_best() -> None:
    ranking = section(failed())
    assert ranking.best is None
    assert ranking.metrics is None
    assert not ranking.tied(ranking.rows[0])
    assert ranking.effects == []


# ----------------------------------------------------------------------------------------------- seeds and conflicts


def test_seeds_of_one_combination_are_one_row() -> None:
    (row,) = section(counted(F1_8, seed=2), counted(F1_4, seed=0), failed(seed=1)).rows
    assert row.seeds == [0, 2]
    assert row.mean("f1") == pytest.approx(0.6)
    assert row.spread("f1") == pytest.approx((0.4, 0.8))
    assert [record.combination["seed"] for record in row.failed] == [1]
    assert row.missing == []
    assert row.title == "fixed + frcnn + resnet50 + linear"


def test_the_title_leaves_out_unused_parts() -> None:
    assert section(ok(estimator="-")).rows[0].title == "frcnn + resnet50 + linear"


def test_a_seed_that_another_row_has_is_missing_and_one_that_failed_is_not() -> None:
    ranking = section(*(ok(seed=seed) for seed in range(3)), ok(f1=0.1, detector="rpn"), failed(seed=1, detector="rpn"))
    assert [row.missing for row in ranking.rows] == [[], [2]]


def test_counts_of_seeds_are_summed_frame_by_frame() -> None:
    (row,) = section(counted(F1_8), counted(F1_4, seed=1)).rows
    assert {(c.tp, c.fp, c.fn) for c in row.counts()} == {(3, 3, 1)}
    assert {(c.tp, c.fp, c.fn) for c in row.counts([1])} == {F1_4}
    assert [c.frame for c in row.counts()] == [f"A{i:02d}" for i in range(6)]


def test_seeds_on_other_frames_are_not_summed() -> None:
    (row,) = section(counted(F1_8), counted([F1_4] * 5, seed=1)).rows
    assert row.counts() == []
    assert row.interval is None


def test_conflicting_records_of_a_seed_are_two_rows_that_are_marked_and_not_ranked() -> None:
    one, other, rest = counted(F1_5), counted(F1_8), counted(F1_4, seed=1)
    for records in permutations((one, other, rest)):
        ranking = section(*records)
        assert [(row.conflicting, row.mean("f1"), row.seeds) for row in ranking.rows] == [
            (False, pytest.approx(0.4), [1]),
            (True, pytest.approx(0.8), [0]),
            (True, pytest.approx(0.5), [0]),
        ]
        assert [rank for rank, _ in ranking.ranked()] == [1, None, None]
        assert ranking.rows[0].missing == [0]
        assert ranking.remarks(ranking.rows[1]) == ["conflicting: another record of this seed has different numbers"]


def test_a_seed_with_and_without_a_score_is_a_conflict_too() -> None:
    assert [row.conflicting for row in section(counted(F1_5), failed()).rows] == [True, True]


OTHER = DetectionsEntry(file="x", rows=1, sha256="f" * 64, packed="f" * 64)


@pytest.mark.parametrize(
    "update",
    [{"validation": None}, {"chosen": None}, {"training_info": {"detector": {"n": 1}}}, {"detections": OTHER}],
    ids=lambda update: next(iter(update)),
)
def test_records_with_equal_scores_conflict_where_anything_else_computed_differs(update: dict[str, Any]) -> None:
    one = counted(F1_5)
    assert [row.conflicting for row in section(one, one.model_copy(update=update)).rows] == [True, True]


def test_a_repetition_with_equal_numbers_counts_once() -> None:
    again = counted(F1_5).model_copy(update={"profile": "copied"})
    (row,) = section(counted(F1_5), counted(F1_8, seed=1), again).rows
    assert row.mean("f1") == pytest.approx(0.65)
    assert not row.conflicting


def test_a_repetition_with_scores_that_older_records_lack_is_no_conflict() -> None:
    older = counted(F1_5)
    assert older.test is not None
    newer = older.model_copy(update={"test": older.test.model_copy(update={"area_mm2": 3.0, "fp_per_mm2": 2.0})})
    assert [row.conflicting for row in section(older, newer).rows] == [False]


# ------------------------------------------------------------------------------------------------ against the best


def random_record(seed: int, **names: Any) -> Record:
    drawn = np.random.default_rng(seed).integers(0, 3, (12, 2)).tolist()
    return counted([(tp, fp, 2 - tp) for tp, fp in drawn], **names)


@pytest.mark.parametrize("seed", range(5))
def test_the_difference_from_the_best_is_paired(seed: int) -> None:
    ranking = section(*(random_record(3 * seed + i, detector=f"d{i}") for i in range(3)))
    assert ranking.best is not None
    assert ranking.difference(ranking.best) is None
    for row in ranking.rows[1:]:
        expected = paired_difference(row.counts(), ranking.best.counts())
        found = ranking.difference(row)
        assert expected is not None
        assert found is not None
        assert found.model_dump() == pytest.approx(expected.model_dump())


def test_the_difference_is_of_the_seeds_that_both_have() -> None:
    """The best has .8 and, on a seed that the other lacks, .5."""
    ranking = section(counted(F1_8), counted(F1_5, seed=1), counted(F1_5, detector="rpn"))
    found = ranking.difference(ranking.rows[1])
    assert found is not None
    assert found.delta == pytest.approx(0.5 - 0.8)


def test_without_a_seed_in_common_there_is_no_difference() -> None:
    ranking = section(counted(F1_8), counted(F1_5, detector="rpn", seed=1))
    assert ranking.difference(ranking.rows[1]) is None
    assert not ranking.tied(ranking.rows[1])


def test_a_row_is_tied_where_the_best_is_not_known_to_be_better() -> None:
    """`near` is behind on one slide of six, `far` on all."""
    ranking = section(
        counted(F1_8),
        counted([F1_8] * 5 + [F1_5], detector="near"),
        counted(F1_4, detector="far"),
        failed(detector="x"),
    )
    assert [(row.first.combination["detector"], ranking.tied(row)) for row in ranking.rows] == [
        ("frcnn", True),
        ("near", True),
        ("far", False),
        ("x", False),
    ]


def test_frames_that_do_not_agree_are_not_compared() -> None:
    ranking = section(counted(F1_8), counted([(1, 1, 2)] * 6, detector="forged"))
    assert ranking.difference(ranking.rows[1]) is None


def test_the_interval_of_several_seeds_is_that_of_their_counts_summed() -> None:
    """Seeds on the same frames: the second finds one mitosis more on every other frame."""
    (row,) = section(counted([F1_4, F1_5] * 3), counted([F1_8, F1_5] * 3, seed=1)).rows
    assert row.interval == interval(row.counts(), "f1", runs=2)
    assert row.interval is not None


# -------------------------------------------------------------------------------------------------------------- notes


def test_published_numbers_are_those_of_the_same_data_and_protocol() -> None:
    assert "DeepDet" in {method.name for method in section(ok()).published}
    assert not section(ok(protocol="by-slide")).published
    assert section(ok()).published_notes


def test_a_name_that_is_a_path_has_no_published_numbers() -> None:
    assert not section(ok(dataset="../experiments/timing", protocol="2012")).published


def test_rows_that_look_the_same_have_a_remark_on_how_they_differ() -> None:
    one = ok(f1=0.5)
    detector = one.plugins["detector"].model_copy(update={"options": {"lr": 0.1}})
    other = ok(f1=0.4).model_copy(update={"plugins": {**one.plugins, "detector": detector}, "device": "cuda"})
    ranking = section(one, other, ok(f1=0.3, detector="rpn"))
    assert [ranking.remarks(row) for row in ranking.rows] == [
        ["with device cpu, detector lr 1e-05"],
        ["with device cuda, detector lr 0.1"],
        [],
    ]


def test_a_note_that_not_all_rows_have_is_a_remark() -> None:
    ranking = section(ok(notes=["no tissue", "from scratch"]), ok(detector="rpn", f1=0.4, notes=["no tissue"]))
    assert ranking.notes == ["no tissue", "test frames scored 2 times for these rows, once a row and seed"]
    assert [ranking.remarks(row) for row in ranking.rows] == [["from scratch"], []]


def test_a_note_of_one_seed_names_the_seed() -> None:
    ranking = section(ok(seed=0, notes=["no tissue"]), ok(seed=1, notes=["no tissue", "no candidate passed"]))
    assert ranking.notes[0] == "no tissue"
    assert [ranking.remarks(row) for row in ranking.rows] == [["no candidate passed (seed 1)"]]


def test_the_path_of_a_record_is_its_name_unless_another_is_given() -> None:
    record = ok().sealed()
    assert section(record).file(record) == f"{record.stem}.json"
    (elsewhere,) = sections([record], {record.digest: "theirs/x.json"})
    assert elsewhere.file(record) == "theirs/x.json"


def test_a_variant_leaves_out_options_without_a_value() -> None:
    record = ok()
    record.plugins["verifier"] = record.plugins["verifier"].model_copy(
        update={"variant": {"patch": 64, "enlarged": None}}
    )
    assert plugin(record, "verifier") == "resnet50 (patch 64)"
